"""A TensorFlow Lite file for LiteRT, converted from torch and quantized by ai-edge-quantizer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import onnx

from edge_fgir.exporting.activations import Observer
from edge_fgir.exporting.bias_correction import with_corrected_biases
from edge_fgir.exporting.features import FEATURES, feature_size
from edge_fgir.exporting.graph import (
    DeployGraph,
    Head,
    Logits,
    linear_convolutions,
)
from edge_fgir.exporting.target import LiteRtScheme, Scheme, Target
from edge_fgir.exporting.tflite import (
    HEAVY,
    Operator,
    call_of,
    kinds_and_shapes,
    operators_behind,
    operators_in,
    read,
    run_tflite,
    scopes_of,
    to_tflite,
    trace_tflite,
)
from edge_fgir.exporting.tflite_edit import with_tflite_features, with_tflite_head
from edge_fgir.exporting.tflite_int8 import (
    Ranges,
    before_the_first_layer,
    first_layer,
    half_tflite,
    quantize_tflite,
    with_biases_of,
)
from edge_fgir.exporting.traces import Trace
from edge_fgir.models import as_wrapper
from edge_fgir.runtime import Pixels, Precision
from edge_fgir.runtime.runtimes.litert import left_by_xnnpack, open_interpreter


@dataclass(frozen=True)
class _Float:
    """The float32 file, and what quantization asks of it.

    Attributes:
        ranges: The file, and what its values reach.
        scopes: Torch modules by what the converter calls them.
        source: The same network as ONNX, whose inputs' means correct biases.
        unquantized: Names of operators that are never rounded.
    """

    ranges: Ranges
    scopes: Mapping[str, str]
    source: Observer
    unquantized: tuple[str, ...]

    @property
    def operators(self) -> list[Operator]:
        return operators_in(read(self.ranges.content), self.scopes)


class LiteRtBackend:
    """A TensorFlow Lite file."""

    model_file = "model.tflite"

    def __init__(
        self,
        content: bytes,
        origin: _Float,
        scheme: LiteRtScheme | None = None,
        images: Pixels | None = None,
        kept: Collection[str] = (),
    ) -> None:
        self.content, self._origin = content, origin
        self._scheme, self._images, self._kept = scheme, images, kept

    def quantized(
        self, scheme: Scheme, images: Pixels, float_layers: Sequence[str] = ()
    ) -> LiteRtBackend:
        """Quantize with ai-edge-quantizer."""
        assert isinstance(scheme, LiteRtScheme)  # a target names no other tool
        origin = self._origin
        kept = {*origin.unquantized, *float_layers}
        if scheme.float_first_conv:
            kept.update(first_layer(origin.operators))
        content = origin.ranges.content
        if scheme.corrected_biases:
            graph = with_corrected_biases(origin.source, images, _nodes_in_float(origin, kept))
            content = with_biases_of(content, origin.scopes, graph)
        made = quantize_tflite(content, scheme, origin.ranges, images, kept)
        return LiteRtBackend(made, origin, scheme, images, kept)

    def sensitive_layers(self, images: Pixels, wanted: Logits) -> list[str]:
        """Return the quantized layers, the one that costs most first.

        Each is left in float in turn; what the error of the logits loses is its share.
        """
        scheme, calibration = self._scheme, self._images
        assert scheme is not None
        assert calibration is not None
        plain = scheme.model_copy(update={"corrected_biases": False})
        errors = {}
        for one in self._origin.operators:
            rounded = one.kind in (*scheme.static, *scheme.dynamic) and one.name not in self._kept
            if one.is_layer and rounded:
                trial = self.quantized(plain, calibration, (*self._kept, one.name))
                errors[one.name] = float(np.square(trial.run(images) - wanted).mean())
        return sorted(errors, key=errors.__getitem__)

    def run(self, images: Pixels) -> Logits:
        """Run in LiteRT."""
        return run_tflite(self.content, images)

    def trace(self, images: Pixels) -> Trace:
        """Run in LiteRT with all layers open."""
        return trace_tflite(self.content, self._origin.scopes, images)

    def operations(self) -> Hashable:
        """Return kinds of the operators, and types and shapes of their tensors."""
        return kinds_and_shapes(self.content)

    def call(self, image: Pixels) -> Callable[[], object]:
        """Return one inference in LiteRT."""
        return call_of(open_interpreter(self.content), image)

    def files(self, head: Head, metadata: dict[str, str]) -> dict[str, bytes]:
        """Return ``model.tflite``, and which of its operators XNNPACK takes.

        Raises:
            GateError: What the classifier reads cannot be told.
        """
        content = self.content
        if feature_size(self._origin.source.model) is not None:
            content = with_tflite_features(content, FEATURES)
        content = with_tflite_head(content, head)
        told = json.dumps(delegation(content, self._origin.scopes), indent=2).encode()
        return {self.model_file: content, "litert/delegation.json": told}


def delegation(content: bytes, scopes: Mapping[str, str]) -> dict[str, Any]:
    """Say which operators XNNPACK takes, and which heavy ones it leaves to slower kernels."""
    operators = operators_in(read(content), scopes)
    modules = {one.output: one.modules[0] if one.modules else "" for one in operators}
    left = left_by_xnnpack(open_interpreter(content, threads=1))
    heavy = [
        {"operator": one["op_name"], "layer": modules.get(int(one["outputs"][0]), "")}
        for one in left
        if one["op_name"] in HEAVY
    ]
    return {
        "delegate": f"XNNPACK of ai-edge-litert {version('ai-edge-litert')}",
        "operators": dict(Counter(one.kind for one in operators)),
        "left": dict(Counter(one["op_name"] for one in left)),
        "heavy_left": heavy,
    }


_origins: WeakKeyDictionary[DeployGraph, _Float] = WeakKeyDictionary()
"""An export asks for several forms of one network; converting it takes most of the time."""


def make_litert(
    model: onnx.ModelProto, target: Target, precision: Precision, network: DeployGraph | None
) -> LiteRtBackend:
    """Return the backend of a float32 network; ``fp16`` stores weights as float16."""
    assert network is not None  # what the converter starts from
    if network not in _origins:
        _origins[network] = _converted(model, network)
    origin = _origins[network]
    content = origin.ranges.content
    if precision == "fp16":
        wrapper = as_wrapper(network.model)
        content = half_tflite(content, _of(origin.operators, wrapper.full_precision))
    return LiteRtBackend(content, origin)


def _converted(model: onnx.ModelProto, network: DeployGraph) -> _Float:
    side = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    content, scopes = to_tflite(network, side), scopes_of(network)
    operators = operators_in(read(content), scopes)
    wrapper = as_wrapper(network.model)
    unquantized = (
        *before_the_first_layer(operators),
        *_of(operators, (*wrapper.full_precision, *wrapper.unquantized)),
        *operators_behind(read(content), wrapper.unquantized_outputs),
    )
    return _Float(Ranges(content), scopes, Observer(model), unquantized)


def _of(operators: Sequence[Operator], modules: Collection[str]) -> list[str]:
    """Return the names of the operators that compute one of the outermost modules."""
    return [
        one.name
        for one in operators
        if any(module.split(".")[0] in modules for module in one.modules)
    ]


def _nodes_in_float(origin: _Float, kept: Collection[str]) -> list[str]:
    """Return the convolutions of the ONNX graph whose biases stay as they are."""
    graph = origin.source.model
    floats = {module for one in origin.operators if one.name in kept for module in one.modules}
    named = [
        node.name
        for node in graph.graph.node
        if any(entry.value in floats for entry in node.metadata_props)
    ]
    return [*named, *linear_convolutions(graph)]
