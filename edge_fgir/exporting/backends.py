"""One backend a file format: how a float graph becomes what the target's runtime loads."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
import onnx
from onnx import helper

from edge_fgir._errors import MissingExtraError
from edge_fgir.exporting import graph, openvino_ir, qdq
from edge_fgir.exporting.graph import INPUT, Head, Logits
from edge_fgir.exporting.target import DynamicScheme, NncfScheme, QdqScheme, Scheme, Target
from edge_fgir.exporting.traces import Trace, modules_of, trace_ir, trace_onnx
from edge_fgir.runtime import Pixels
from edge_fgir.runtime.manifest import Precision
from edge_fgir.runtime.runtimes.openvino import compile_model
from edge_fgir.runtime.runtimes.tensorrt.build import build_plan


class Backend(Protocol):
    """A graph on its way to a target; it ends in logits until :meth:`files` adds the rest."""

    model_file: str

    def quantized(
        self, scheme: Scheme, images: Pixels, float_layers: Sequence[str] = ()
    ) -> Backend:
        """Return it as INT8.

        Args:
            scheme: How.
            images: (N, S, S, 3) that the ranges are measured on.
            float_layers: Names of layers that stay in float.
        """

    def sensitive_layers(self, images: Pixels, wanted: Logits) -> list[str]:
        """Return the quantized layers, the one that costs most first.

        Args:
            images: (N, S, S, 3).
            wanted: (N, K) logits without quantization.
        """

    def run(self, images: Pixels) -> Logits:
        """Return logits (N, K), computed on this machine's CPU."""

    def trace(self, images: Pixels) -> Trace:
        """Return the layers' outputs on the first images."""

    def operations(self) -> Hashable:
        """Return what is computed, without the numbers: what is equal is equally fast."""

    def call(self, image: Pixels) -> Callable[[], object] | None:
        """Return one inference of (1, S, S, 3) to be timed; None where its runtime is not here."""

    def files(self, head: Head, metadata: dict[str, str]) -> dict[str, bytes]:
        """Append the head and return the bundle's model files by path.

        Raises:
            GateError: The target's builder refuses the graph.
        """


class OpenVinoBackend:
    """OpenVINO IR."""

    model_file = "openvino/model.xml"

    def __init__(
        self,
        model: Any,
        names: Mapping[str, str],
        unquantized: Sequence[str] = (),
        *,
        half: bool = False,
    ) -> None:
        self.model, self._names, self._unquantized, self._half = model, names, unquantized, half

    def quantized(
        self, scheme: Scheme, images: Pixels, float_layers: Sequence[str] = ()
    ) -> OpenVinoBackend:
        """Quantize with NNCF."""
        assert isinstance(scheme, NncfScheme)
        floats = (*self._unquantized, *float_layers)
        model = openvino_ir.quantize_ir(self.model, images, scheme, floats)
        return OpenVinoBackend(model, self._names)

    def sensitive_layers(self, images: Pixels, wanted: Logits) -> list[str]:
        """Return the operations whose inputs are quantized, the costliest first."""
        return openvino_ir.sensitive_operations(self.model, images, wanted)

    def run(self, images: Pixels) -> Logits:
        """Run in OpenVINO."""
        return openvino_ir.run_ir(self.model, images)

    def trace(self, images: Pixels) -> Trace:
        """Run in OpenVINO with all layers open."""
        return trace_ir(self.model, self._names, images)

    def operations(self) -> Hashable:
        """Return kind, type and shape of the operations' outputs."""
        return openvino_ir.operations_in(self.model)

    def call(self, image: Pixels) -> Callable[[], object]:
        """Return one inference in OpenVINO."""
        request = compile_model(self.model).create_infer_request()
        request.get_input_tensor(0).data[...] = image
        inference: Callable[[], object] = request.infer
        return inference

    def files(self, head: Head, metadata: dict[str, str]) -> dict[str, bytes]:
        """Return ``model.xml`` and ``model.bin``."""
        model = openvino_ir.with_ir_head(self.model, head)
        openvino_ir.set_metadata(model, metadata)
        return openvino_ir.ir_files(model, half=self._half)


class OnnxBackend:
    """A portable ONNX file for ONNX Runtime."""

    model_file = "model.onnx"

    def __init__(
        self, model: onnx.ModelProto, names: Mapping[str, str], unquantized: Sequence[str] = ()
    ) -> None:
        self.model, self._names, self._unquantized = model, names, unquantized

    def quantized(
        self, scheme: Scheme, images: Pixels, float_layers: Sequence[str] = ()
    ) -> OnnxBackend:
        """Quantize with ONNX Runtime's quantizer."""
        floats = (*self._unquantized, *float_layers)
        return OnnxBackend(_quantized(self.model, scheme, images, floats), self._names)

    def sensitive_layers(self, images: Pixels, wanted: Logits) -> list[str]:
        """Return the nodes whose inputs are quantized, the costliest first."""
        return qdq.sensitive_layers(self.model, images, wanted)

    def run(self, images: Pixels) -> Logits:
        """Run in ONNX Runtime."""
        return graph.run_onnx(self.model, images)

    def trace(self, images: Pixels) -> Trace:
        """Run in ONNX Runtime with all layers open."""
        return trace_onnx(self.model, self._names, images)

    def operations(self) -> Hashable:
        """Return kinds of the nodes, and types and shapes of the weights."""
        nodes = tuple(node.op_type for node in self.model.graph.node)
        weights = ((each.data_type, *each.dims) for each in self.model.graph.initializer)
        return nodes, tuple(sorted(weights))

    def call(self, image: Pixels) -> Callable[[], object] | None:
        """Return one inference in ONNX Runtime."""
        session = graph.session_of(self.model)
        feed: dict[str, np.ndarray] = {INPUT: image}
        return lambda: session.run(None, feed)

    def files(self, head: Head, metadata: dict[str, str]) -> dict[str, bytes]:
        """Return ``model.onnx``."""
        model = graph.with_head(self.model, head)
        helper.set_model_props(model, {f"model_info {key}": v for key, v in metadata.items()})
        return {self.model_file: model.SerializeToString()}


class JetsonBackend(OnnxBackend):
    """ONNX that TensorRT builds on the device; here its builder must accept it.

    INT8 graphs are float16 elsewhere. ONNX Runtime replays them without its graph optimiser, which
    breaks Q/DQ in float16: an LRNet-14 kept 88 % of its labels with it and 99 % without.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        names: Mapping[str, str],
        capabilities: Sequence[str],
        unquantized: Sequence[str] = (),
        precise: Sequence[str] = (),
    ) -> None:
        super().__init__(model, names, unquantized)
        self._capabilities, self._precise = capabilities, precise

    def quantized(
        self, scheme: Scheme, images: Pixels, float_layers: Sequence[str] = ()
    ) -> JetsonBackend:
        """Quantize with ONNX Runtime's quantizer; float16 elsewhere."""
        floats = (*self._unquantized, *float_layers)
        model = qdq.to_float16(_quantized(self.model, scheme, images, floats), self._precise)
        return JetsonBackend(model, self._names, self._capabilities)

    def sensitive_layers(self, images: Pixels, wanted: Logits) -> list[str]:
        """Return the nodes whose inputs are quantized, the costliest first."""
        return qdq.sensitive_layers(self.model, images, wanted, optimized=False)

    def run(self, images: Pixels) -> Logits:
        """Replay in ONNX Runtime."""
        return graph.run_onnx(self.model, images, optimized=False)

    def trace(self, images: Pixels) -> Trace:
        """Replay in ONNX Runtime with all layers open."""
        return trace_onnx(self.model, self._names, images, optimized=False)

    def call(self, image: Pixels) -> None:
        """Return None: TensorRT is not here."""
        return

    def files(self, head: Head, metadata: dict[str, str]) -> dict[str, bytes]:
        """Return ``model.onnx`` and how to build it, after the builder has accepted it."""
        if find_spec("tensorrt_rtx") is None:
            raise MissingExtraError("tensorrt-rtx-cu13", "export", "checking Jetson graphs")
        import tensorrt_rtx

        files = super().files(head, metadata)
        plan = build_plan(
            tensorrt_rtx, files[self.model_file], compute_capabilities=self._capabilities
        )
        build = {
            "workspace_mb": 1024,
            "strongly_typed": True,
            "accepted_by": {
                "builder": f"TensorRT-RTX {tensorrt_rtx.__version__}",
                "compute_capabilities": list(self._capabilities),
                "plan_bytes": len(plan),
            },
        }
        return {**files, "tensorrt/build.json": json.dumps(build, indent=2).encode()}


def _quantized(
    model: onnx.ModelProto, scheme: Scheme, images: Pixels, float_layers: Sequence[str]
) -> onnx.ModelProto:
    assert isinstance(scheme, QdqScheme | DynamicScheme)
    return qdq.quantize_onnx(model, images, scheme, float_layers)


def make_backend(model: onnx.ModelProto, target: Target, precision: Precision) -> Backend:
    """Return the backend of ``target`` for a float32 ONNX graph that ends in logits.

    Args:
        model: The graph.
        target: Where it will run.
        precision: ``fp16`` rounds the weights, or all of it; ``int8`` stays float32 until
            :meth:`Backend.quantized`.
    """
    names, kept = modules_of(model), graph.unquantized_nodes(model)
    precise = graph.float_nodes(model)
    half = precision == "fp16"
    if target.runtime == "openvino":
        ir = openvino_ir.to_ir(model)
        values = {v for node in model.graph.node if node.name in kept for v in node.output}
        operations = openvino_ir.operations_of(ir, values)
        form = openvino_ir.to_half_ir(ir) if half else ir
        return OpenVinoBackend(form, names, operations, half=half)
    if target.runtime == "tensorrt":
        form = qdq.to_float16(model, precise) if half else model
        return JetsonBackend(form, names, target.compute_capabilities, kept, precise)
    return OnnxBackend(model, names, kept)
