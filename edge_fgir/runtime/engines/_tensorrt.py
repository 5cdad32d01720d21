"""TensorRT: NVIDIA Jetson. The engine is built on the device and never leaves it."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from edge_fgir._errors import EdgeFgirError
from edge_fgir.runtime.bundle import Bundle
from edge_fgir.runtime.engines import _cuda
from edge_fgir.runtime.engines._shared import Probabilities
from edge_fgir.runtime.engines.tensorrt_plan import device_plan, import_tensorrt
from edge_fgir.runtime.preprocess import Pixels


class TensorRtEngine:
    """One execution context on one stream, with fixed buffers."""

    def __init__(self, bundle: Bundle) -> None:
        trt = import_tensorrt(bundle)
        self._cuda = _cuda.Cuda()
        runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        self._engine = _load(runtime, bundle)
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


def _load(runtime: Any, bundle: Bundle) -> Any:
    """Return the engine, or None where TensorRT refuses even one built just now."""
    found = device_plan(bundle)
    engine = runtime.deserialize_cuda_engine(found.plan)
    if engine is None and not found.built:
        sys.stderr.write(f"{found.path} is refused by TensorRT: building the engine again\n")
        engine = runtime.deserialize_cuda_engine(device_plan(bundle, force=True).plan)
    return engine
