"""INT8 and float16 in TensorFlow Lite files, by ai-edge-quantizer; each operator is asked for."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from edge_fgir.exporting.graph import MODULE
from edge_fgir.exporting.quiet import silent
from edge_fgir.exporting.target import LiteRtScheme
from edge_fgir.exporting.tflite import HEAVY, Model, Operator, operators_in, read, written
from edge_fgir.runtime import Pixels

_SIGNATURE = "serving_default"


class Ranges:
    """What a float file's values reach on calibration images; measured once for all schemes.

    Args:
        content: The file; it is left as it is.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self._images: Pixels | None = None
        self._known: dict[str, Any] = {}

    def of(self, images: Pixels) -> dict[str, Any]:
        """Return lowest and highest numbers by tensor, on ``images`` (N, S, S, 3)."""
        if images is not self._images:
            with warnings.catch_warnings(), silent():
                warnings.simplefilter("ignore")
                from ai_edge_quantizer.calibrator import CalibrationMode

                quantizer = _quantizer(self.content)
                quantizer.add_static_config(".*", "*", 8, 8)
                (name,) = _input_names(self.content)
                self._known = quantizer.calibrate(
                    {_SIGNATURE: [{name: image[None]} for image in images]},
                    num_threads=1,
                    mode=CalibrationMode.CALIBRATION_PROFILER_BASED,
                )
            self._images = images
        return self._known


def quantize_tflite(
    content: bytes, scheme: LiteRtScheme, ranges: Ranges, images: Pixels, kept: Collection[str] = ()
) -> bytes:
    """Quantize a float32 file; weights are int8 by output channel, activations int8.

    Args:
        content: The file, or one of the same operators with other biases.
        scheme: How.
        ranges: Of the file.
        images: (N, S, S, 3) that the ranges are measured on.
        kept: Names of operators that stay in float.
    """
    operators = [one for one in operators_in(read(content)) if one.name not in kept]
    quantizer = _quantizer(content)
    for one in operators:
        if one.kind in scheme.static and (one.is_layer or one.kind not in HEAVY):
            quantizer.add_static_config(_only(one), one.kind, 8, 8)
        elif one.kind in scheme.dynamic and one.is_layer:
            quantizer.add_dynamic_config(_only(one), one.kind, 8)
    return _made(quantizer, ranges.of(images) if scheme.static else None)


def half_tflite(content: bytes, kept: Collection[str] = ()) -> bytes:
    """Return a float32 file whose layers' weights are float16; it computes in float32."""
    from ai_edge_quantizer.quantizer import AlgorithmName

    quantizer = _quantizer(content)
    for one in operators_in(read(content)):
        if one.is_layer and one.name not in kept:
            quantizer.add_weight_only_config(
                _only(one), one.kind, 16, algorithm_key=AlgorithmName.FLOAT_CASTING
            )
    return _made(quantizer, None)


def before_the_first_layer(operators: Sequence[Operator]) -> list[str]:
    """Return the names of the operators in front of the first layer: the normalisation."""
    first = next(place for place, one in enumerate(operators) if one.is_layer)
    return [one.name for one in operators[:first]]


def first_layer(operators: Sequence[Operator]) -> list[str]:
    """Return the names of the layers with the first one's weight: several where a picture is looked
    at twice (GLSim)."""
    layers = [one for one in operators if one.is_layer]
    return [one.name for one in layers if one.inputs[1] == layers[0].inputs[1]]


def with_biases_of(content: bytes, scopes: Mapping[str, str], corrected: onnx.ModelProto) -> bytes:
    """Give convolutions the biases that the same torch modules have in an ONNX graph."""
    biases = _biases(corrected)
    model = read(content)
    for one in operators_in(model, scopes):
        found = [biases[module] for module in one.modules if module in biases]
        if one.is_layer and found and len(one.inputs) > 2:
            _set_constant(model, one.inputs[2], found[0])
    return written(model)


def _biases(graph: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Return the convolutions' biases by the torch module that gives the convolution's value."""
    constants = {one.name: one for one in graph.graph.initializer}
    return {
        entry.value: numpy_helper.to_array(constants[node.input[2]])
        for node in graph.graph.node
        for entry in node.metadata_props
        if entry.key == MODULE and node.op_type == "Conv" and len(node.input) > 2
    }


def _set_constant(model: Model, place: int, value: np.ndarray) -> None:
    from ai_edge_litert.schema_py_generated import BufferT

    tensor = model.subgraphs[0].tensors[place]
    assert tuple(tensor.shape) == value.shape
    buffer = BufferT()  # its own: equal constants share one
    buffer.data = np.frombuffer(value.astype(np.float32).tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor.buffer = len(model.buffers) - 1


def _quantizer(content: bytes) -> Any:
    from ai_edge_quantizer.quantizer import Quantizer

    return Quantizer(content)


def _only(operator: Operator) -> str:
    """Return the pattern that fits what the operator gives, and nothing else."""
    return f"^{re.escape(operator.name)};"


def _made(quantizer: Any, ranges: dict[str, Any] | None) -> bytes:
    if not quantizer.get_quantization_recipe():
        return bytes(quantizer._float_model_buffer)
    with warnings.catch_warnings(), silent():
        warnings.simplefilter("ignore")
        result = quantizer.quantize(ranges, enable_progress_report=False)
    return written(read(bytes(result.quantized_model)))


def _input_names(content: bytes) -> list[str]:
    (signature,) = read(content).signatureDefs
    return [entry.name.decode() for entry in signature.inputs]
