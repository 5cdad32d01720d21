"""TensorRT: NVIDIA Jetson. The engine is built on the device and never leaves it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from types import ModuleType

import numpy as np

from edge_fgir._errors import EdgeFgirError, InputError
from edge_fgir._files import write_atomic
from edge_fgir.runtime.bundle import Bundle
from edge_fgir.runtime.engines._cuda import Cuda
from edge_fgir.runtime.engines._shared import Probabilities
from edge_fgir.runtime.engines.tensorrt_build import build_plan
from edge_fgir.runtime.preprocess import Pixels


class TensorRtEngine:
    """One execution context on one stream, with fixed buffers."""

    def __init__(self, bundle: Bundle) -> None:
        trt = _import_tensorrt(bundle)
        self._cuda = Cuda()
        runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        self._engine = runtime.deserialize_cuda_engine(_cached_plan(bundle, trt, self._cuda))
        if self._engine is None:
            raise EdgeFgirError(f"TensorRT {trt.__version__} cannot load the engine it built")
        self._runtime = runtime  # the engine must not outlive it
        self._context = self._engine.create_execution_context()
        manifest = bundle.manifest
        self._output = np.empty((1, manifest.output.classes), np.float32)
        self._input_shape = (1, *manifest.input.shape[1:])
        self._device_in = self._cuda.allocate(int(np.prod(self._input_shape)))
        self._device_out = self._cuda.allocate(self._output.nbytes)
        self._stream = self._cuda.create_stream()
        self._context.set_tensor_address(manifest.input.name, self._device_in)
        self._context.set_tensor_address(manifest.output.name, self._device_out)
        self.description = f"tensorrt {trt.__version__} GPU"

    def infer(self, batch: Pixels) -> Probabilities:
        """Return (N, K) probabilities; the images of a batch run one after another."""
        return np.concatenate([self._infer_one(image) for image in batch])

    def _infer_one(self, image: Pixels) -> Probabilities:
        image = np.ascontiguousarray(image).reshape(self._input_shape)
        cuda, stream, output = self._cuda, self._stream, self._output
        cuda.to_device(self._device_in, image.ctypes.data, image.nbytes, stream)
        if not self._context.execute_async_v3(stream):
            raise EdgeFgirError("TensorRT could not run the engine")
        cuda.to_host(output.ctypes.data, self._device_out, output.nbytes, stream)
        cuda.synchronize(stream)
        return output.copy()

    def close(self) -> None:
        """Free the device buffers."""
        for address in (self._device_in, self._device_out):
            self._cuda.free(address)


def _import_tensorrt(bundle: Bundle) -> ModuleType:
    try:
        import tensorrt
    except ImportError as error:
        raise InputError(
            f"{bundle.path} is for target {bundle.manifest.target}; TensorRT is not installed here",
            "a Jetson with JetPack",
            "run: edge-fgir doctor --target jetson; to replay its graph without TensorRT, "
            "add --device cpu",
        ) from error
    module: ModuleType = tensorrt
    return module


def _cached_plan(bundle: Bundle, trt: ModuleType, cuda: Cuda) -> bytes:
    """Return the plan for this very graph, GPU, TensorRT and driver; build it the first time."""
    onnx = bundle.read(bundle.manifest.model_file)
    key = hashlib.sha256(onnx)
    key.update(f"{trt.__version__} {cuda.driver_version()} {_gpu_name()}".encode())
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cached = root / "edge-fgir" / f"{key.hexdigest()}.plan"
    # Loading a plan runs native code from it: the cache is readable by its owner alone.
    cached.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if cached.exists():
        return cached.read_bytes()
    build = json.loads(bundle.read("tensorrt/build.json"))
    plan = build_plan(trt, onnx, workspace_mb=int(build["workspace_mb"]))
    write_atomic(cached, plan)
    return plan


def _gpu_name() -> str:
    for path in ("/proc/device-tree/compatible", "/proc/driver/nvidia/version"):
        if Path(path).exists():
            return Path(path).read_text(errors="replace")
    return "unknown"
