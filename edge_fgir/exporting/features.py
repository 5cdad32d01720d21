"""What a network's classifier reads, as one more output of the graph."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper
from torch import nn

from edge_fgir.exporting.builders import find_builder
from edge_fgir.exporting.graph import LOGITS, to_onnx
from edge_fgir.exporting.target import Target
from edge_fgir.runs import TrainedModel

FEATURES = "features"
"""The output (1, F)."""


def exported_graph(form: nn.Module, trained: TrainedModel, target: Target) -> onnx.ModelProto:
    """Return the float32 graph of a folded network for a target: it ends in logits, and in features
    where it has any and the target's runtime tells them."""
    graph = to_onnx(form, trained.normalization, trained.preprocess.size, target.opset)
    return with_features(graph) if find_builder(target.runtime).tells_features else graph


def with_features(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph with its features as one more output, and computed as before.

    A network that ends in something else than a linear layer, or that tells more than logits
    already, comes back as it is.
    """
    value = None if len(model.graph.output) > 1 else _read_by_classifier(model)
    if value is None:
        return model
    name, size = value
    result = onnx.ModelProto()
    result.CopyFrom(model)
    for node in result.graph.node:
        node.input[:] = [FEATURES if each == name else each for each in node.input]
        node.output[:] = [FEATURES if each == name else each for each in node.output]
    result.graph.output.append(
        helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, [1, size])
    )
    return result


def feature_size(model: onnx.ModelProto) -> int | None:
    """Return F; None where the graph has no such output."""
    for output in model.graph.output:
        if output.name == FEATURES:
            size: int = output.type.tensor_type.shape.dim[1].dim_value
            return size
    return None


def _read_by_classifier(model: onnx.ModelProto) -> tuple[str, int] | None:
    """Return name and length of the vector that the last linear layer multiplies."""
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    makers = {value: node for node in graph.node for value in node.output}
    node = makers[LOGITS]
    while node.op_type == "Add":  # a bias, or the adjustment of the logits
        variable = [name for name in node.input if name not in constants]
        if len(variable) != 1 or variable[0] not in makers:
            return None
        node = makers[variable[0]]
    if node.op_type not in ("Gemm", "MatMul") or node.input[1] not in constants:
        return None
    name = node.input[0]
    for value in onnx.shape_inference.infer_shapes(model).graph.value_info:
        dims = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        if value.name == name and len(dims) == 2 and dims[0] == 1 and name in makers:
            return name, dims[1]
    return None
