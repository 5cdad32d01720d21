"""OpenVINO: Intel CPUs, integrated GPUs and NPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_fgir.runtime.runtimes.openvino.core import (
    compile_model,
    has_bfloat16,
    openvino_core,
)
from edge_fgir.runtime.runtimes.spec import Device, Engine, RuntimeSpec

if TYPE_CHECKING:
    from edge_fgir.runtime.bundle import Bundle


def _open(bundle: Bundle, device: Device) -> Engine:
    from edge_fgir.runtime.runtimes.openvino.engine import OpenVinoEngine

    return OpenVinoEngine(bundle, device.upper())


OPENVINO = RuntimeSpec(
    name="openvino",
    library="openvino",
    install='run: pip install "edge-fgir[openvino]"',
    devices=("cpu", "gpu", "npu"),
    open=_open,
)

__all__ = ["OPENVINO", "compile_model", "has_bfloat16", "openvino_core"]
