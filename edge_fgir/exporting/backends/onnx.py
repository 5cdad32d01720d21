"""A portable ONNX file, quantized by ONNX Runtime's quantizer."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np
import onnx
from onnx import helper

from edge_fgir.exporting import graph, qdq
from edge_fgir.exporting.activations import Observer
from edge_fgir.exporting.graph import INPUT, Head, Logits
from edge_fgir.exporting.target import DynamicScheme, QdqScheme, Scheme, Target
from edge_fgir.exporting.traces import Trace, modules_of, trace_onnx
from edge_fgir.runtime import Pixels, Precision


class OnnxBackend:
    """A portable ONNX file for ONNX Runtime."""

    model_file = "model.onnx"

    def __init__(
        self, model: onnx.ModelProto, names: Mapping[str, str], unquantized: Sequence[str] = ()
    ) -> None:
        self.model, self._names, self._unquantized = model, names, unquantized
        self._observer = Observer(model)

    def quantized(
        self, scheme: Scheme, images: Pixels, float_layers: Sequence[str] = ()
    ) -> OnnxBackend:
        """Quantize with ONNX Runtime's quantizer."""
        floats = (*self._unquantized, *float_layers)
        return OnnxBackend(quantize(self._observer, scheme, images, floats), self._names)

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


def quantize(
    observer: Observer, scheme: Scheme, images: Pixels, float_layers: Sequence[str]
) -> onnx.ModelProto:
    """Quantize the observed graph with ONNX Runtime's quantizer."""
    assert isinstance(scheme, QdqScheme | DynamicScheme)  # a target names no other tool
    return qdq.quantize_onnx(observer, images, scheme, float_layers)


def make_onnx(model: onnx.ModelProto, target: Target, precision: Precision) -> OnnxBackend:
    """Return the backend of a float32 graph."""
    return OnnxBackend(model, modules_of(model), graph.unquantized_nodes(model))
