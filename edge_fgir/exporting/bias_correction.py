"""Bias correction: what a convolution's rounded weights add on average is taken from its bias.

Nagel et al. 2019 (arXiv 1906.04721), section 4.2, with the inputs' means measured on calibration
images. It matters most where a sum has few terms, so that rounding does not cancel: in depthwise
convolutions, which NNCF's own correction passes over. ONNX Runtime's quantizer has none.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_fgir.exporting.activations import Observer
from edge_fgir.exporting.exact_sums import unclipped_steps
from edge_fgir.exporting.graph import session_of
from edge_fgir.runtime import Pixels

_Array = npt.NDArray[np.float32]


def with_corrected_biases(
    observer: Observer,
    images: Pixels,
    float_layers: Collection[str] = (),
    *,
    unclipped: bool = False,
) -> onnx.ModelProto:
    """Return the observed graph with other biases, for its convolutions to be rounded afterwards.

    Args:
        observer: Of the float32 graph.
        images: (N, S, S, 3) for the means.
        float_layers: Names of nodes that are not rounded.
        unclipped: Weights will have steps at which no sum of two products is clipped.
    """
    result = onnx.ModelProto()
    result.CopyFrom(observer.model)
    graph = result.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    convs = [
        node
        for node in graph.node
        if node.op_type == "Conv" and node.name not in float_layers and node.input[1] in weights
    ]
    inputs = observer.of(images, [node.input[0] for node in convs])
    errors = [
        _rounding(numpy_helper.to_array(weights[node.input[1]]), unclipped=unclipped)
        for node in convs
    ]
    means = [inputs[node.input[0]].mean for node in convs]
    for node, shift in zip(convs, _outputs(result, convs, means, errors), strict=True):
        added = shift.mean(axis=(0, *range(2, shift.ndim)))
        bias = numpy_helper.to_array(weights[node.input[2]]) if len(node.input) > 2 else 0
        name = f"{node.name}_corrected_bias"
        graph.initializer.append(numpy_helper.from_array(np.float32(bias - added), name))
        node.input[:] = [*node.input[:2], name]
    read = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return result


def _rounding(weight: _Array, *, unclipped: bool) -> _Array:
    """Return what int8 makes of a weight (O, ...), symmetric and by output channel, less it."""
    scale = np.abs(weight).max(axis=tuple(range(1, weight.ndim)), keepdims=True) / 127
    scale = np.maximum(scale, np.finfo(np.float32).tiny)
    if unclipped:
        scale = unclipped_steps(weight, scale, axis=1)
    error: _Array = np.round(weight / scale) * scale - weight
    return error.astype(np.float32)


def _outputs(
    model: onnx.ModelProto,
    convs: Sequence[onnx.NodeProto],
    inputs: Sequence[_Array],
    weights: Sequence[_Array],
) -> list[_Array]:
    """Return what convolutions make of other inputs and weights, without biases."""
    nodes, places = [], []
    for index, (node, value) in enumerate(zip(convs, inputs, strict=True)):
        name = f"{index}"
        places.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape))
        nodes.append(helper.make_node("Conv", [name, f"weight {name}"], [f"output {name}"]))
        nodes[-1].attribute.extend(node.attribute)
    outputs = [onnx.ValueInfoProto(name=node.output[0]) for node in nodes]
    constants = [
        numpy_helper.from_array(weight, f"weight {index}") for index, weight in enumerate(weights)
    ]
    graph = helper.make_graph(nodes, "convolutions", places, outputs, constants)
    alone = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    feed = {f"{index}": value for index, value in enumerate(inputs)}
    results: list[_Array] = session_of(alone).run(None, feed) if nodes else []
    return results
