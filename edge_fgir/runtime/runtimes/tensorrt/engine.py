"""A bundle's ONNX graph, built by TensorRT on the device."""

from __future__ import annotations

import sys
from threading import Lock
from typing import Any

import numpy as np

from edge_fgir._errors import EdgeFgirError
from edge_fgir.runtime.bundle import Bundle
from edge_fgir.runtime.preprocess import Pixels
from edge_fgir.runtime.runtimes.opening import Outputs
from edge_fgir.runtime.runtimes.spec import Answer, Probabilities
from edge_fgir.runtime.runtimes.tensorrt import cuda
from edge_fgir.runtime.runtimes.tensorrt.plan import device_plan, import_tensorrt


class TensorRtEngine:
    """One execution context on one stream, with fixed buffers; callers take turns."""

    def __init__(self, bundle: Bundle) -> None:
        trt = import_tensorrt(bundle)
        self._cuda = cuda.Cuda()
        runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        self._engine = _load(runtime, bundle)
        if self._engine is None:
            raise EdgeFgirError(f"TensorRT {trt.__version__} cannot load the engine it built")
        self._runtime = runtime  # the engine must not outlive it
        self._context = self._engine.create_execution_context()
        manifest = bundle.manifest
        shapes: list[tuple[int, ...]] = [(1, manifest.output.classes)]
        if (spec := manifest.explanation) is not None:
            shapes += [(1, 4), (1, spec.grid, spec.grid)]
        if manifest.features is not None:
            shapes.append((1, manifest.features.size))
        self._declared = Outputs.of(bundle)
        self._outputs = [np.empty(shape, np.float32) for shape in shapes]
        self._input_shape = (1, *manifest.input.shape[1:])
        self._device_in = self._cuda.allocate(int(np.prod(self._input_shape)))
        self._device_out = [self._cuda.allocate(output.nbytes) for output in self._outputs]
        self._stream = self._cuda.create_stream()
        self._context.set_tensor_address(manifest.input.name, self._device_in)
        # All of them, whether read or not: TensorRT writes every output.
        for name, address in zip(self._declared.names, self._device_out, strict=True):
            self._context.set_tensor_address(name, address)
        self._turn = Lock()
        self.description = f"tensorrt {trt.__version__} GPU"

    def infer(self, batch: Pixels) -> Probabilities:
        """Return (N, K) probabilities; the images of a batch run one after another."""
        with self._turn:
            answers = [self._run(image, self._outputs[:1])[0].copy() for image in batch]
        return np.concatenate(answers)

    def observe(self, batch: Pixels) -> Answer:
        """Return all outputs for one image."""
        with self._turn:
            return self._declared.answer(self._run(batch, self._outputs))

    def _run(self, image: Pixels, wanted: list[Probabilities]) -> list[Probabilities]:
        """Run one image and bring the first outputs, ``wanted``, back."""
        image = np.ascontiguousarray(image).reshape(self._input_shape)
        copies, stream = self._cuda, self._stream
        copies.to_device(self._device_in, image.ctypes.data, image.nbytes, stream)
        if not self._context.execute_async_v3(stream):
            raise EdgeFgirError("TensorRT could not run the engine")
        for output, address in zip(wanted, self._device_out, strict=False):
            copies.to_host(output.ctypes.data, address, output.nbytes, stream)
        copies.synchronize(stream)
        return wanted

    def close(self) -> None:
        """Free the device buffers."""
        for address in (self._device_in, *self._device_out):
            self._cuda.free(address)


def _load(runtime: Any, bundle: Bundle) -> Any:
    """Return the engine, or None where TensorRT refuses even one built just now."""
    found = device_plan(bundle)
    engine = runtime.deserialize_cuda_engine(found.plan)
    if engine is None and not found.built:
        sys.stderr.write(f"{found.path} is refused by TensorRT: building the engine again\n")
        engine = runtime.deserialize_cuda_engine(device_plan(bundle, force=True).plan)
    return engine
