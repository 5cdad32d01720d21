"""What the benchmarks of speed time: a transformer at one input size, in either CPU runtime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx

from edge_fgir.exporting.graph import INPUT, session_of
from edge_fgir.exporting.openvino_ir import to_ir
from edge_fgir.runtime.runtimes.openvino import compile_model

Run = Callable[[], object]


@dataclass(frozen=True)
class Case:
    """A transformer at one input size."""

    name: str
    size: int

    def __str__(self) -> str:
        return f"{self.name} {self.size} px"


def in_openvino(graph: onnx.ModelProto, image: np.ndarray) -> Run:
    """Return one inference in OpenVINO, float32."""
    request = compile_model(to_ir(graph)).create_infer_request()
    return lambda: request.infer([image], share_inputs=True)


def in_onnxruntime(graph: onnx.ModelProto, image: np.ndarray) -> Run:
    """Return one inference in ONNX Runtime."""
    session = session_of(graph)
    return lambda: session.run(None, {INPUT: image})


RUNTIMES: dict[str, Callable[[onnx.ModelProto, np.ndarray], Run]] = {
    "OpenVINO": in_openvino,
    "ONNX Runtime": in_onnxruntime,
}
