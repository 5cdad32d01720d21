"""LiteRT's interpreters: how they are opened, and what XNNPACK takes of a file."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from bundles import expected_probabilities

from edge_fgir import Classifier, InputError
from edge_fgir.runtime import Bundle, find_runtime
from edge_fgir.runtime.runtimes.litert import left_by_xnnpack, open_interpreter

pytestmark = pytest.mark.export
pytest.importorskip("ai_edge_litert")


def test_a_bundle_answers_as_numpy_does(litert_bundle: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    with Classifier.open(litert_bundle) as model:
        found = model(picture, color="rgb").probabilities
        assert model.info["engine"].startswith("ai-edge-litert ")
    assert found == pytest.approx(expected_probabilities(picture, 3), abs=1e-4)


def test_xnnpack_computes_it(litert_bundle: Path) -> None:
    content = Bundle(litert_bundle).read("model.tflite")
    left = {one["op_name"] for one in left_by_xnnpack(open_interpreter(content))}
    assert left <= {"CAST", "MEAN"}
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    alone = Interpreter(model_content=content, experimental_op_resolver_type=plain)
    everything = {one["op_name"] for one in left_by_xnnpack(alone)}
    assert everything == {"CAST", "MUL", "MEAN", "FULLY_CONNECTED", "SOFTMAX"}


def test_without_the_library_it_says_what_to_install(
    litert_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(InputError, match=r'ai_edge_litert is not .*"edge-fgir\[litert\]"') as error:
        Classifier.open(litert_bundle)
    assert len(str(error.value).splitlines()) == 1


def test_its_devices_are_those_of_the_registry() -> None:
    spec = find_runtime("litert")
    assert (spec.choices, spec.gate_device) == (("auto", "cpu"), "auto")
