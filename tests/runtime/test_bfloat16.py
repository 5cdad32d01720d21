"""Bundles that ask for bfloat16, on processors with and without it."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from bfloat16 import take_bfloat16_away
from bundles import make_bundle

pytest.importorskip("openvino")

from edge_fgir import Classifier
from edge_fgir.runtime import Precision, is_bfloat16, is_int8, verify
from edge_fgir.runtime.runtimes.openvino import has_bfloat16

pytestmark = pytest.mark.export

ASKED = [precision for precision in get_args(Precision) if is_bfloat16(precision)]


def answers(path: Path, precision: str) -> tuple[str, np.ndarray]:
    bundle = make_bundle(path / f"{precision}.fgir", precision=precision)
    with Classifier.open(bundle) as model:
        size = model.image_size
        pixels = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), dtype=np.uint8)
        return model.info["engine"], model.infer(pixels)


def test_the_names_say_what_is_computed_in_what() -> None:
    assert [(p, is_int8(p), is_bfloat16(p)) for p in get_args(Precision)] == [
        ("int8", True, False),
        ("int8-bf16", True, True),
        ("bf16", False, True),
        ("fp16", False, False),
        ("fp32", False, False),
    ]


@pytest.mark.parametrize("precision", ASKED)
def test_a_processor_with_bfloat16_computes_in_it(tmp_path: Path, precision: str) -> None:
    if not has_bfloat16():
        pytest.skip("this processor has no bfloat16")
    engine, found = answers(tmp_path, precision)
    _, exact = answers(tmp_path, "fp32")
    assert engine.endswith(" CPU in bfloat16")
    assert 0 < np.abs(found - exact).max() < 0.05


@pytest.mark.parametrize("precision", ASKED)
def test_a_processor_without_it_computes_in_float32_and_verify_says_so(
    tmp_path: Path, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_bfloat16_away(monkeypatch)
    engine, found = answers(tmp_path, precision)
    _, exact = answers(tmp_path, "fp32")
    assert engine.endswith(" CPU in float32, as it has no bfloat16")
    assert np.array_equal(found, exact)
    *_, golden = verify(tmp_path / f"{precision}.fgir")
    assert golden.ok
    assert golden.name == f"golden images in {engine}"


def test_what_does_not_ask_for_it_is_float32_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, here = answers(tmp_path / "here", "fp32")
    take_bfloat16_away(monkeypatch)
    other, there = answers(tmp_path / "there", "fp32")
    assert engine == other
    assert engine.endswith(" CPU")
    assert np.array_equal(here, there)
