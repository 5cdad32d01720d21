"""INT8 as ONNX Q/DQ or with dynamic ranges (ARM, Jetson), and float16 graphs (Jetson)."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_fgir._files import scratch
from edge_fgir.exporting.activations import Observer
from edge_fgir.exporting.bias_correction import with_corrected_biases
from edge_fgir.exporting.graph import (
    Logits,
    first_convolution,
    give_own_constants,
    linear_convolutions,
    run_onnx,
)
from edge_fgir.exporting.quiet import root_logger_filtered
from edge_fgir.exporting.target import DynamicScheme, QdqScheme
from edge_fgir.runtime import Pixels

_FLOAT16, _FLOAT32 = TensorProto.FLOAT16, TensorProto.FLOAT
_LAYERS = ("Conv", "Gemm", "MatMul")


def quantize_onnx(
    observer: Observer,
    images: Pixels,
    scheme: QdqScheme | DynamicScheme,
    float_layers: Sequence[str] = (),
) -> onnx.ModelProto:
    """Quantize a float32 graph.

    Args:
        observer: Of the graph, which is left as it is.
        images: (N, S, S, 3) that the ranges are measured on.
        scheme: How.
        float_layers: Names of nodes that stay in float.
    """
    with root_logger_filtered(_no_preprocess_advice):
        if isinstance(scheme, DynamicScheme):
            return _quantize_dynamic(observer.model, scheme, float_layers)
        return _quantize_static(observer, images, scheme, float_layers)


def _quantize_static(
    observer: Observer, images: Pixels, scheme: QdqScheme, float_layers: Sequence[str]
) -> onnx.ModelProto:
    from onnxruntime.quantization import (
        CalibrationMethod,
        QDQQuantizer,
        QuantType,
        TensorsData,
    )

    excluded = [*float_layers, *_excluded(observer.model, scheme)]
    constants = {tensor.name for tensor in observer.model.graph.initializer}
    values = [
        value
        for node in observer.model.graph.node
        if node.op_type in scheme.ops and node.name not in excluded
        for value in (*node.input, *node.output)
        if value and value not in constants
    ]
    seen = observer.of(images, values)
    ranges = {name: (np.array(one.lowest), np.array(one.highest)) for name, one in seen.items()}
    source = onnx.ModelProto()  # the quantizer rewrites what it is given
    if scheme.corrected_biases:
        source = with_corrected_biases(observer, images, excluded)
    else:
        source.CopyFrom(observer.model)
    give_own_constants(source, excluded)
    types = {"int8": QuantType.QInt8, "uint8": QuantType.QUInt8}
    quantizer = QDQQuantizer(
        source,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=types[scheme.activations],
        tensors_range=TensorsData(CalibrationMethod.MinMax, ranges),
        nodes_to_quantize=[],
        nodes_to_exclude=excluded,
        op_types_to_quantize=list(scheme.ops),
        extra_options={
            "ActivationSymmetric": scheme.symmetric,
            "WeightSymmetric": True,
            "QuantizeBias": not scheme.symmetric,
            "OpTypesToExcludeOutputQuantization": list(scheme.float_outputs),
        },
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    quantized: onnx.ModelProto = quantizer.model.model
    return quantized


def _excluded(model: onnx.ModelProto, scheme: QdqScheme) -> list[str]:
    """Return the names of the nodes that a scheme leaves in float."""
    excluded = first_convolution(model) if scheme.float_first_conv else []
    if "Gemm" not in scheme.ops:
        excluded += linear_convolutions(model)
    if not scheme.products:
        constants = {tensor.name for tensor in model.graph.initializer}
        excluded += [
            node.name
            for node in model.graph.node
            if node.op_type == "MatMul" and constants.isdisjoint(node.input)
        ]
    return excluded


def _quantize_dynamic(
    model: onnx.ModelProto, scheme: DynamicScheme, float_layers: Sequence[str]
) -> onnx.ModelProto:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    source = onnx.ModelProto()
    source.CopyFrom(model)
    give_own_constants(source, float_layers)
    _transpose_weights(source)
    with scratch() as folder:
        path = folder / "quantized.onnx"
        quantize_dynamic(
            source,
            path,
            op_types_to_quantize=list(scheme.ops),
            nodes_to_exclude=list(float_layers),
            per_channel=True,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )
        return onnx.load(path)


def _transpose_weights(model: onnx.ModelProto) -> None:
    """Let no Gemm transpose its weight.

    Else the quantizer transposes it for each Gemm: for two that share one (GLSim), there and back.
    """
    flags: dict[str, list[onnx.AttributeProto | None]] = defaultdict(list)
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            flags[name].append(_transposing(node) if place == 1 else None)
    for tensor in model.graph.initializer:
        known = [flag for flag in flags[tensor.name] if flag is not None]
        if known and len(known) == len(flags[tensor.name]):
            turned = numpy_helper.to_array(tensor).T.copy()
            tensor.CopyFrom(numpy_helper.from_array(turned, tensor.name))
            for flag in known:
                flag.i = 0


def _transposing(node: onnx.NodeProto) -> onnx.AttributeProto | None:
    """Return what makes a Gemm transpose its weight; None where nothing does."""
    named = (one for one in node.attribute if one.name == "transB" and one.i)
    return next(named, None) if node.op_type == "Gemm" else None


def _no_preprocess_advice(record: logging.LogRecord) -> bool:
    """Drop the advice to pre-process first: the graph is folded and simplified already."""
    return "pre-process" not in record.getMessage()


def sensitive_layers(
    model: onnx.ModelProto, images: Pixels, wanted: Logits, *, optimized: bool = True
) -> list[str]:
    """Return the names of a Q/DQ graph's quantized layers, the one that costs most first.

    Each is computed on float activations in turn; what the error of the logits loses is its share.

    Args:
        model: Q/DQ graph.
        images: (N, S, S, 3).
        wanted: (N, K) logits without quantization.
        optimized: Run with ONNX Runtime's graph optimiser.
    """
    producers = {output: node for node in model.graph.node for output in node.output}
    errors: dict[str, float] = {}
    for index, node in enumerate(model.graph.node):
        if node.op_type not in _LAYERS:
            continue
        sources = [_before_qdq(name, producers) for name in node.input]
        if sources == list(node.input):
            continue
        trial = onnx.ModelProto()
        trial.CopyFrom(model)
        del trial.graph.node[index].input[:]
        trial.graph.node[index].input.extend(sources)
        logits = run_onnx(trial, images, optimized=optimized)
        errors[node.name] = float(np.square(logits - wanted).mean())
    return sorted(errors, key=errors.__getitem__)


def _before_qdq(name: str, producers: dict[str, Any]) -> str:
    """Return the float tensor behind a Q/DQ pair; any other name as it is."""
    node = producers.get(name)
    if node is None or node.op_type != "DequantizeLinear":
        return name
    quantizer = producers.get(node.input[0])
    return quantizer.input[0] if quantizer is not None else name


def to_float16(model: onnx.ModelProto, float_layers: Sequence[str] = ()) -> onnx.ModelProto:
    """Compute in float16 what is float32; input and output keep their types.

    Args:
        model: The graph; it is left as it is.
        float_layers: Names of nodes that stay in float32.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    source = onnx.ModelProto()
    source.CopyFrom(model)
    converted: onnx.ModelProto = convert_float_to_float16(
        source, keep_io_types=True, op_block_list=[], node_block_list=list(float_layers)
    )
    if float_layers:
        _drop_round_trips(converted.graph)
    return converted


def _drop_round_trips(graph: onnx.GraphProto) -> None:
    """Take out casts to float16 and back, which the converter puts between float32 nodes."""
    casts: dict[str, onnx.NodeProto] = {}
    nodes = []
    for node in graph.node:
        # The converter casts a value once for each node that reads it, by one and the same name.
        if node.op_type != "Cast" or casts.setdefault(node.output[0], node) is node:
            nodes.append(node)
    exact: dict[str, str] = {}
    for node in casts.values():
        before = casts.get(node.input[0])
        if before is not None and _to(node) == _FLOAT32 and _to(before) == _FLOAT16:
            exact[node.output[0]] = before.input[0]
    for node in nodes:
        if node.output[0] in exact:  # read by none but the graph, if it is an output
            node.CopyFrom(helper.make_node("Identity", [exact[node.output[0]]], node.output))
        else:
            node.input[:] = [exact.get(name, name) for name in node.input]
    read = {name for node in nodes for name in node.input} | {out.name for out in graph.output}
    ordered = _in_order([node for node in nodes if not read.isdisjoint(node.output)], graph)
    del graph.node[:]
    graph.node.extend(ordered)


def _in_order(nodes: list[onnx.NodeProto], graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Return the nodes so that each comes behind what it reads: the converter appends its casts."""
    known = {"", *(one.name for one in graph.input), *(one.name for one in graph.initializer)}
    ordered: list[onnx.NodeProto] = []
    while nodes:
        waiting = []
        for node in nodes:
            if known.issuperset(node.input):
                known.update(node.output)
                ordered.append(node)
            else:
                waiting.append(node)
        nodes = waiting
    return ordered


def _to(cast: onnx.NodeProto) -> int:
    kind: int = cast.attribute[0].i
    return kind
