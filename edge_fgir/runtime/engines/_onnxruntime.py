"""ONNX Runtime on the CPU: ARM boards, and any machine that replays a portable ONNX graph."""

from __future__ import annotations

import numpy as np

from edge_fgir._errors import MissingExtraError
from edge_fgir.runtime.bundle import Bundle
from edge_fgir.runtime.engines._shared import Probabilities
from edge_fgir.runtime.preprocess import Pixels


class OnnxRuntimeEngine:
    """One session on the CPU provider."""

    def __init__(self, bundle: Bundle) -> None:
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise MissingExtraError("onnxruntime", "arm", f"opening {bundle.path}") from error
        options = ort.SessionOptions()
        options.log_severity_level = 3
        manifest = bundle.manifest
        self._session = ort.InferenceSession(
            bundle.read(manifest.model_file), options, providers=["CPUExecutionProvider"]
        )
        self._input, self._output = manifest.input.name, manifest.output.name
        self.description = f"onnxruntime {ort.__version__} CPU"

    def infer(self, batch: Pixels) -> Probabilities:
        """Return (N, K) probabilities."""
        (probabilities,) = self._session.run([self._output], {self._input: batch})
        return np.asarray(probabilities, dtype=np.float32)

    def close(self) -> None:
        """Free the session."""
        del self._session
