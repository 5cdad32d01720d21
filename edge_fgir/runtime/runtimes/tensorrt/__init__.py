"""TensorRT: NVIDIA Jetson. The engine is built on the device and never leaves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_fgir.runtime.runtimes.spec import Device, Engine, Replay, RuntimeSpec

if TYPE_CHECKING:
    from edge_fgir.runtime.bundle import Bundle


def _open(bundle: Bundle, device: Device) -> Engine:
    from edge_fgir.runtime.runtimes.tensorrt.engine import TensorRtEngine

    return TensorRtEngine(bundle)


def _replay(bundle: Bundle, device: Device) -> Engine:
    from edge_fgir.runtime.runtimes.onnxruntime.engine import OnnxRuntimeEngine

    # Its optimiser breaks Q/DQ in float16 (88 instead of 99 % of the labels).
    return OnnxRuntimeEngine(bundle, optimized=False)


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
)

__all__ = ["TENSORRT"]
