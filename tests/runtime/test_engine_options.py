"""What may be asked of an engine, and how it is refused."""

from __future__ import annotations

from typing import Any

import pytest

from edge_fgir import Classifier, EngineOptions, InputError, bench
from edge_fgir.runtime.runtimes import find_runtime


@pytest.mark.unit
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": 0}, "threads 0; expected a number from 1 to 1024"),
        ({"threads": 5000}, "threads 5000; expected a number from 1 to 1024"),
        ({"precision": "int8"}, "precision 'int8'; expected one of f32, f16, bf16"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        EngineOptions(**options)
    assert str(caught.value) == message


@pytest.mark.unit
@pytest.mark.parametrize(
    ("runtime", "device", "there"),
    [
        ("openvino", "cpu", True),
        ("openvino", "gpu.1", True),
        ("openvino", "gpu.", False),
        ("openvino", "gpu.one", False),
        ("openvino", "cpu.0", False),
        ("onnxruntime", "gpu.1", False),
        ("tensorrt", "cpu", True),
    ],
)
def test_only_some_devices_are_numbered(runtime: str, device: str, there: bool) -> None:
    assert find_runtime(runtime).has(device) == there


@pytest.mark.export
def test_a_device_in_upper_case_means_the_same(tiny_bundle) -> None:
    with Classifier.open(tiny_bundle, "CPU") as model:
        assert model.info["engine"].endswith(" CPU")


@pytest.mark.export
def test_a_precision_that_was_asked_for_is_told(tiny_bundle, arm_bundle) -> None:
    with Classifier.open(tiny_bundle, EngineOptions(precision="f32")) as model:
        assert model.info["engine"].endswith(" CPU in f32, as asked")
    with pytest.raises(InputError, match=r"in precision f32; expected none: onnxruntime computes"):
        Classifier.open(arm_bundle, EngineOptions(precision="f32"))


@pytest.mark.export
def test_another_machine_is_asked_for_a_device_alone(tiny_bundle) -> None:
    with pytest.raises(InputError, match="a variant with host pi; expected a device alone"):
        bench(tiny_bundle, device=EngineOptions(threads=1), host="pi")


@pytest.mark.export
def test_openvino_computes_as_many_answers_at_once_as_threads_leave_room_for(
    tiny_bundle, monkeypatch
) -> None:
    from edge_fgir.runtime.runtimes.openvino import core

    asked = []

    class Core:
        available_devices = ("CPU",)

        def compile_model(self, model: object, device: str, hints: dict[str, Any]) -> None:
            asked.append((hints.get("NUM_STREAMS"), hints.get("INFERENCE_NUM_THREADS")))

    monkeypatch.setattr(core, "openvino_core", Core)
    monkeypatch.setattr(core, "usable_cores", lambda: 8)
    for threads in (None, 1, 3, 16):
        core.compile_model(None, threads=threads)
    assert asked == [(None, None), (8, 8), (2, 6), (1, 16)]
