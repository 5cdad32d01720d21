"""ONNX Runtime on the CPU: ARM boards, and any machine that replays a portable ONNX graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_fgir.runtime.engine_options import EngineOptions
from edge_fgir.runtime.runtimes.onnxruntime.session import SharedWeightError, open_session
from edge_fgir.runtime.runtimes.spec import Engine, RuntimeSpec

if TYPE_CHECKING:
    from edge_fgir.runtime.bundle import Bundle


def _open(bundle: Bundle, options: EngineOptions) -> Engine:
    from edge_fgir.runtime.runtimes.onnxruntime.engine import OnnxRuntimeEngine

    return OnnxRuntimeEngine(bundle, threads=options.threads, cache=options.cache)


ONNXRUNTIME = RuntimeSpec(
    name="onnxruntime",
    library="onnxruntime",
    install='run: pip install "edge-fgir[arm]"',
    devices=("cpu",),
    open=_open,
)

__all__ = ["ONNXRUNTIME", "SharedWeightError", "open_session"]
