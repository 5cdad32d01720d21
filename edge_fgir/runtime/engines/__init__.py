"""Inference engines behind one small interface; each library is imported when it is used."""

from __future__ import annotations

from typing import Literal, Protocol

from edge_fgir._errors import InputError
from edge_fgir.runtime.bundle import Bundle
from edge_fgir.runtime.engines._onnxruntime_options import onnxruntime_options
from edge_fgir.runtime.engines._openvino_core import openvino_core
from edge_fgir.runtime.engines._shared import Answer, Probabilities
from edge_fgir.runtime.preprocess import Pixels

Device = Literal["auto", "cpu", "gpu", "npu", "trt"]

_LEGAL: dict[str, tuple[Device, ...]] = {
    "openvino": ("auto", "cpu", "gpu", "npu"),
    "onnxruntime": ("auto", "cpu"),
    "tensorrt": ("auto", "trt", "cpu"),
}

_TARGET_OF: dict[Device, str] = {"gpu": "openvino", "npu": "openvino", "trt": "jetson"}


class Engine(Protocol):
    """A compiled model: ``uint8`` NHWC pixels in, probabilities out."""

    @property
    def description(self) -> str:
        """Library, version and device, for reports."""

    def infer(self, batch: Pixels) -> Probabilities:
        """Return (N, K) ``float32`` probabilities for (N, H, W, 3) pixels."""

    def explain(self, batch: Pixels) -> Answer:
        """Return all outputs for (1, H, W, 3) pixels; only where the manifest declares them."""

    def close(self) -> None:
        """Free what the engine holds."""


def open_engine(bundle: Bundle, device: Device = "auto") -> Engine:
    """Compile the bundle's model for ``device``.

    ``auto`` is the bundle's own runtime: OpenVINO and ONNX Runtime on the CPU, TensorRT on the GPU.
    ``cpu`` on a Jetson bundle replays its ONNX graph in ONNX Runtime: for checking, not for speed.

    Raises:
        InputError: The target cannot run there, or its library is not installed.
    """
    manifest = bundle.manifest
    legal = _LEGAL[manifest.runtime]
    if device not in legal:
        target = _TARGET_OF.get(device)
        raise InputError(
            f"{bundle.path} is for target {manifest.target} and has no device {device!r}",
            f"one of {', '.join(legal)}",
            "choose another --device" + (f", or export with --target {target}" if target else ""),
        )
    if manifest.runtime == "openvino":
        from edge_fgir.runtime.engines._openvino import OpenVinoEngine

        return OpenVinoEngine(bundle, "CPU" if device == "auto" else device.upper())
    if manifest.runtime == "onnxruntime" or device == "cpu":
        from edge_fgir.runtime.engines._onnxruntime import OnnxRuntimeEngine

        return OnnxRuntimeEngine(bundle)
    from edge_fgir.runtime.engines._tensorrt import TensorRtEngine

    return TensorRtEngine(bundle)


__all__ = [
    "Answer",
    "Device",
    "Engine",
    "Probabilities",
    "onnxruntime_options",
    "open_engine",
    "openvino_core",
]
