"""One backend a file format: how a float graph becomes what the target's runtime loads."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import Any, Protocol

import onnx
from onnx import helper

from edge_fgir._errors import MissingExtraError
from edge_fgir.exporting import graph, openvino_ir, qdq
from edge_fgir.exporting.graph import Head, Logits
from edge_fgir.exporting.target import Target
from edge_fgir.runtime import Pixels
from edge_fgir.runtime.engines.tensorrt_build import build_plan
from edge_fgir.runtime.manifest import Precision


class Backend(Protocol):
    """A graph on its way to a target; it ends in logits until :meth:`files` adds the rest."""

    model_file: str

    def quantize(self, images: Pixels) -> None:
        """Make it INT8 with ranges measured on (N, S, S, 3) ``images``."""

    def run(self, images: Pixels) -> Logits:
        """Return logits (N, K), computed on this machine's CPU."""

    def files(self, head: Head, metadata: dict[str, str]) -> dict[str, bytes]:
        """Append the head and return the bundle's model files by path.

        Raises:
            GateError: The target's builder refuses the graph.
        """


class OpenVinoBackend:
    """OpenVINO IR."""

    model_file = "openvino/model.xml"

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model: Any = openvino_ir.to_ir(model)

    def quantize(self, images: Pixels) -> None:
        """Quantize with NNCF."""
        self._model = openvino_ir.quantize_ir(self._model, images)

    def run(self, images: Pixels) -> Logits:
        """Run in OpenVINO."""
        return openvino_ir.run_ir(self._model, images)

    def files(self, head: Head, metadata: dict[str, str]) -> dict[str, bytes]:
        """Return ``model.xml`` and ``model.bin``."""
        model = openvino_ir.with_ir_head(self._model, head)
        openvino_ir.set_metadata(model, metadata)
        return openvino_ir.ir_files(model)


class OnnxBackend:
    """A portable ONNX file for ONNX Runtime."""

    model_file = "model.onnx"

    def __init__(self, model: onnx.ModelProto, target: Target) -> None:
        self._model, self._target = model, target

    def quantize(self, images: Pixels) -> None:
        """Insert Q/DQ by the target's scheme."""
        self._model = qdq.quantize_qdq(self._model, images, self._target.quantization)

    def run(self, images: Pixels) -> Logits:
        """Run in ONNX Runtime."""
        return graph.run_onnx(self._model, images)

    def files(self, head: Head, metadata: dict[str, str]) -> dict[str, bytes]:
        """Return ``model.onnx``."""
        model = graph.with_head(self._model, head)
        helper.set_model_props(model, {f"model_info {key}": v for key, v in metadata.items()})
        return {self.model_file: model.SerializeToString()}


class JetsonBackend(OnnxBackend):
    """ONNX that TensorRT builds on the device; here its builder must accept it.

    INT8 graphs are float32 elsewhere: converted to float16 and run in ONNX Runtime, an LRNet-14's
    Q/DQ graph kept only 74 % of its labels (the rounding of the scales alone is not the cause).
    """

    def __init__(self, model: onnx.ModelProto, target: Target, precision: Precision) -> None:
        super().__init__(qdq.to_float16(model) if precision == "fp16" else model, target)

    def files(self, head: Head, metadata: dict[str, str]) -> dict[str, bytes]:
        """Return ``model.onnx`` and how to build it, after the builder has accepted it."""
        if find_spec("tensorrt_rtx") is None:
            raise MissingExtraError("tensorrt-rtx-cu13", "export", "checking Jetson graphs")
        import tensorrt_rtx

        files = super().files(head, metadata)
        capabilities = self._target.compute_capabilities
        plan = build_plan(tensorrt_rtx, files[self.model_file], compute_capabilities=capabilities)
        build = {
            "workspace_mb": 1024,
            "strongly_typed": True,
            "accepted_by": {
                "builder": f"TensorRT-RTX {tensorrt_rtx.__version__}",
                "compute_capabilities": list(capabilities),
                "plan_bytes": len(plan),
            },
        }
        return {**files, "tensorrt/build.json": json.dumps(build, indent=2).encode()}


def make_backend(model: onnx.ModelProto, target: Target, precision: Precision) -> Backend:
    """Return the backend of ``target`` for a float32 ONNX graph that ends in logits."""
    if target.runtime == "openvino":
        return OpenVinoBackend(model)
    if target.runtime == "tensorrt":
        return JetsonBackend(model, target, precision)
    return OnnxBackend(model, target)
