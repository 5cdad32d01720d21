"""TensorRT: NVIDIA Jetson. The engine is built on the device and never leaves it.

The GPU computes one answer after another, so threads that share an engine take turns: there is one
execution context on one stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_fgir.runtime.engine_options import EngineOptions
from edge_fgir.runtime.runtimes.spec import Engine, Replay, RuntimeSpec

if TYPE_CHECKING:
    from edge_fgir.runtime.bundle import Bundle


def _open(bundle: Bundle, options: EngineOptions) -> Engine:
    from edge_fgir.runtime.runtimes.tensorrt.engine import TensorRtEngine

    return TensorRtEngine(bundle)


def _replay(bundle: Bundle, options: EngineOptions) -> Engine:
    from edge_fgir.runtime.runtimes.onnxruntime.engine import OnnxRuntimeEngine

    # Its optimiser breaks Q/DQ in float16 (88 instead of 99 % of the labels).
    return OnnxRuntimeEngine(bundle, threads=options.threads, optimized=False, cache=options.cache)


TENSORRT = RuntimeSpec(
    name="tensorrt",
    library="tensorrt",
    install="install JetPack's tensorrt (apt: python3-libnvinfer), and make the virtual "
    "environment with --system-site-packages",
    devices=("trt",),
    open=_open,
    replay=Replay(device="cpu", library="onnxruntime", open=_replay),
    hardware="Jetson",
    on_pypi=False,
    survives_fork=False,  # CUDA's driver
)

__all__ = ["TENSORRT"]
