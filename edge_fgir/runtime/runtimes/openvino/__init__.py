"""OpenVINO: Intel CPUs, integrated GPUs and NPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_fgir.runtime.engine_options import EngineOptions
from edge_fgir.runtime.runtimes.openvino.core import (
    compile_model,
    has_bfloat16,
    openvino_core,
)
from edge_fgir.runtime.runtimes.spec import Engine, RuntimeSpec

if TYPE_CHECKING:
    from edge_fgir.runtime.bundle import Bundle


def _open(bundle: Bundle, options: EngineOptions) -> Engine:
    from edge_fgir.runtime.runtimes.openvino.engine import OpenVinoEngine

    return OpenVinoEngine(bundle, options)


def _found() -> tuple[str, ...]:
    return tuple(name.lower() for name in openvino_core().available_devices)


OPENVINO = RuntimeSpec(
    name="openvino",
    library="openvino",
    install='run: pip install "edge-fgir[openvino]"',
    devices=("cpu", "gpu", "npu"),
    open=_open,
    numbered=("gpu",),
    has_precision=True,
    find_devices=_found,
)

__all__ = ["OPENVINO", "compile_model", "has_bfloat16", "openvino_core"]
