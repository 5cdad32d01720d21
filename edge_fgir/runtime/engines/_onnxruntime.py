"""ONNX Runtime on the CPU: ARM boards, and any machine that replays a portable ONNX graph."""

from __future__ import annotations

import os

import numpy as np

from edge_fgir._errors import MissingExtraError
from edge_fgir.runtime.bundle import Bundle
from edge_fgir.runtime.engines._onnxruntime_options import onnxruntime_options
from edge_fgir.runtime.engines._shared import (
    Answer,
    Probabilities,
    answer_of,
    checked_onnx,
    output_names,
    unloadable,
)
from edge_fgir.runtime.preprocess import Pixels

_WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"


class OnnxRuntimeEngine:
    """One session on the CPU provider."""

    def __init__(self, bundle: Bundle) -> None:
        try:
            import onnxruntime as ort
            from onnxruntime.capi.onnxruntime_pybind11_state import Fail
        except ImportError as error:
            raise MissingExtraError("onnxruntime", "arm", f"opening {bundle.path}") from error
        manifest = bundle.manifest
        model = checked_onnx(bundle)

        def opened(*, exact: bool) -> ort.InferenceSession:
            options = onnxruntime_options(exact=exact)
            # Weights beside the file would be looked for in the current folder: none are, they have
            # no hash in the manifest.
            options.add_session_config_entry(_WEIGHTS_FOLDER, os.devnull)
            # Else it would open its own format too, which nobody has looked through.
            options.add_session_config_entry("session.load_model_format", "ONNX")
            if manifest.runtime == "tensorrt":
                # A replay: its optimiser breaks Q/DQ in float16 (88 instead of 99 % of the labels).
                options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
            return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

        try:
            try:
                self._session = opened(exact=True)
            except Fail:  # x86 without VNNI: a weight that two nodes share cannot be converted
                self._session = opened(exact=False)
        except Exception as error:  # ONNX Runtime's errors have no base of their own
            raise unloadable(bundle, "ONNX Runtime", error) from error
        known = {output.name for output in self._session.get_outputs()}
        self._input, self._outputs = manifest.input.name, output_names(bundle, known)
        self.description = f"onnxruntime {ort.__version__} CPU"

    def infer(self, batch: Pixels) -> Probabilities:
        """Return (N, K) probabilities."""
        (probabilities,) = self._session.run(self._outputs[:1], {self._input: batch})
        return np.asarray(probabilities, dtype=np.float32)

    def explain(self, batch: Pixels) -> Answer:
        """Return all outputs for one image."""
        return answer_of(self._session.run(self._outputs, {self._input: batch}))

    def close(self) -> None:
        """Free the session."""
        del self._session
