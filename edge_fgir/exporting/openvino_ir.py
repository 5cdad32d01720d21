"""The OpenVINO IR: conversion, NNCF INT8, metadata."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

import numpy as np
import onnx

from edge_fgir._errors import EdgeFgirError
from edge_fgir._files import scratch
from edge_fgir.exporting.exact_sums import unclipped_steps
from edge_fgir.exporting.graph import OUTPUT, Head, Logits, is_transformer
from edge_fgir.exporting.quiet import errors_only
from edge_fgir.exporting.target import NncfScheme
from edge_fgir.runtime import Pixels
from edge_fgir.runtime.runtimes.openvino import compile_model, openvino_core

_MOVES = ("Gather", "GatherElements", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze")
"""Operations that compute nothing."""

WITHOUT_BIAS = "/WithoutBiases"
"""Appended to the name of an ONNX node whose bias OpenVINO adds in an operation of its own."""


def to_ir(model: onnx.ModelProto) -> Any:
    """Read an ONNX graph into an ``openvino.Model``.

    Read as it is, a convolution's bias is no constant and a clip two operations, in which NNCF
    knows neither; conversion folds and fuses them. It would also fuse attention into one operation,
    of which no product could be left in float, so a transformer is read as it is.
    """
    from openvino.tools.ovc import convert_model

    core, content = openvino_core(), model.SerializeToString()
    if is_transformer(model):
        return core.read_model(content)
    return convert_model(io.BytesIO(content))


def quantize_ir(
    model: Any, images: Pixels, scheme: NncfScheme, float_layers: Sequence[str] = ()
) -> Any:
    """Quantize with NNCF.

    Args:
        model: ``openvino.Model`` in float32; it is left as it is.
        images: (N, S, S, 3) that the ranges are measured on.
        scheme: How.
        float_layers: Names of operations that stay in float.
    """
    # Importing NNCF makes torch look for a CUDA compiler and complain that there is no GPU.
    with errors_only("torch.utils.cpp_extension"):
        import nncf
        from nncf.quantization.advanced_parameters import (
            AdvancedQuantizationParameters,
            AdvancedSmoothQuantParameters,
            OverflowFix,
        )
        from nncf.quantization.range_estimator import RangeEstimatorParametersSet
    # What NNCF ends with; it keeps the weights in float for what must be done before.
    from openvino._offline_transformations import compress_quantize_weights_transformation

    alpha = -1.0 if scheme.smooth_quant is None else scheme.smooth_quant
    ignored = [
        *float_layers,
        *(_first_convolution(model) if scheme.float_first_conv else ()),
        *(() if scheme.transformer else _linear_convolutions(model)),
        *(() if scheme.products else _products(model)),
    ]
    # NNCF draws its bars on standard output, which is the command's answer.
    with errors_only("nncf"), redirect_stdout(io.StringIO()), _on_our_core():
        quantized = nncf.quantize(
            model,
            nncf.Dataset([image[None] for image in images]),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(images),
            model_type=nncf.ModelType.TRANSFORMER if scheme.transformer else None,
            ignored_scope=nncf.IgnoredScope(names=ignored) if ignored else None,
            advanced_parameters=AdvancedQuantizationParameters(
                overflow_fix=OverflowFix.DISABLE,
                activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
                disable_bias_correction=scheme.corrected_biases or not scheme.bias_correction,
                smooth_quant_alphas=AdvancedSmoothQuantParameters(matmul=alpha),
                backend_params={"compress_weights": False},
            ),
        )
    _unclip(quantized)
    compress_quantize_weights_transformation(quantized)
    return quantized


@contextmanager
def _on_our_core() -> Iterator[None]:
    """Let NNCF run models on the process's core, not on one of its own for each of them.

    Those end in no certain order, and may leave the thread with a signal stack that is gone
    (:func:`openvino_core`): the end of a child process killed exports now and then.
    """
    import openvino

    core, made_anew = openvino_core(), openvino.Core
    openvino.Core = lambda: core
    try:
        yield
    finally:
        openvino.Core = made_anew


def _unclip(model: Any) -> None:
    """Give weights steps at which no processor clips a sum of two products.

    Args:
        model: Quantized, its weights still in float; it is changed.
    """
    from openvino import opset13 as ops

    for operation in model.get_ordered_ops():
        if operation.get_type_name() not in ("Convolution", "GroupConvolution", "MatMul"):
            continue
        quantizer = operation.input_value(1).get_node()
        constant = _constant_of(quantizer)
        if constant is None:
            continue
        low, high = (quantizer.input_value(place).get_node().data for place in (1, 2))
        steps = (high - low) / (quantizer.get_attributes()["levels"] - 1)
        grown = unclipped_steps(constant.data, steps, _input_channels(operation)) / steps
        for place, bound in enumerate((low, high, low, high), start=1):
            wider = ops.constant(np.float32(bound * grown))
            quantizer.input(place).replace_source_output(wider.output(0))


def _constant_of(quantizer: Any) -> Any | None:
    """Return the constant that is rounded; None: this is no FakeQuantize of one."""
    if quantizer.get_type_name() != "FakeQuantize":
        return None
    source = quantizer.input_value(0).get_node()
    return source if source.get_type_name() == "Constant" else None


def _input_channels(operation: Any) -> int:
    """Return the axis of the input channels of a layer's weight, its second input."""
    if operation.get_type_name() == "MatMul":
        return -1 if operation.get_attributes()["transpose_b"] else -2
    return 2 if operation.get_type_name() == "GroupConvolution" else 1


def _first_convolution(model: Any) -> list[str]:
    """Return the names of the operations with the first convolution's weight.

    These are several where a picture is looked at twice (GLSim).
    """
    found = [one for one in model.get_ordered_ops() if one.get_type_name() == "Convolution"]
    weights = [one.input_value(1).get_node().get_friendly_name() for one in found]
    return [
        one.get_friendly_name()
        for one, weight in zip(found, weights, strict=True)
        if weight == weights[0]
    ]


def _linear_convolutions(model: Any) -> list[str]:
    """Return the names of the convolutions of a single place with a kernel of one, as those of
    squeeze-excite."""
    return [
        one.get_friendly_name()
        for one in model.get_ordered_ops()
        if one.get_type_name() == "Convolution"
        and all(set(one.input(place).get_shape()[2:]) == {1} for place in (0, 1))
    ]


def _products(model: Any) -> list[str]:
    """Return the names of the operations that multiply two activations."""
    return [
        one.get_friendly_name()
        for one in model.get_ordered_ops()
        if one.get_type_name() == "MatMul"
        and all(value.get_node().get_type_name() != "Constant" for value in one.input_values())
    ]


def operations_in(model: Any) -> tuple[tuple[str, str], ...]:
    """Return kind and output (type and shape) of each operation, sorted."""
    return tuple(
        sorted(
            (operation.get_type_name(), f"{value.get_element_type()}{value.get_partial_shape()}")
            for operation in model.get_ops()
            for value in operation.outputs()
        )
    )


def is_quantized(model: Any) -> bool:
    """Say whether NNCF has quantized a graph."""
    return any(operation.get_type_name() == "FakeQuantize" for operation in model.get_ops())


def operations_of(model: Any, values: Collection[str]) -> list[str]:
    """Return the names of the operations that give any of the ONNX ``values``."""
    return [
        operation.get_friendly_name()
        for operation in model.get_ordered_ops()
        if any(not output.get_names().isdisjoint(values) for output in operation.outputs())
    ]


def sensitive_operations(
    model: Any, images: Pixels, wanted: Logits, *, bfloat16: bool = False
) -> list[str]:
    """Return the names of a quantized IR's layers, the one that costs most first.

    Each is computed on float activations in turn; what the error of the logits loses is its share.

    Args:
        model: ``openvino.Model`` with FakeQuantize operations; left as it was.
        images: (N, S, S, 3).
        wanted: (N, K) logits without quantization.
        bfloat16: Of float layers; see :func:`run_ir`.
    """
    errors: dict[str, float] = {}
    for operation in model.get_ordered_ops():
        if operation.get_type_name() not in ("Convolution", "GroupConvolution", "MatMul"):
            continue
        changed = []
        for port in map(_source_port, operation.inputs()):
            quantizer = port.get_source_output().get_node()
            if quantizer.get_type_name() == "FakeQuantize":
                changed.append((port, port.get_source_output()))
                port.replace_source_output(quantizer.input_value(0))
        if not changed:
            continue
        name = operation.get_friendly_name()
        errors[name] = float(np.square(run_ir(model, images, bfloat16=bfloat16) - wanted).mean())
        for port, source in changed:
            port.replace_source_output(source)
    return sorted(errors, key=errors.__getitem__)


def _source_port(port: Any) -> Any:
    """Return the port that a value came in by before it was moved to where ``port`` reads it."""
    node = port.get_source_output().get_node()
    return _source_port(node.input(0)) if node.get_type_name() in _MOVES else port


def run_ir(model: Any, images: Pixels, *, bfloat16: bool = False) -> Logits:
    """Run a graph on (N, S, S, 3) pixels: (N, K) of its output."""
    import openvino as ov

    queue = ov.AsyncInferQueue(compile_model(model, bfloat16=bfloat16, many=True))
    outputs: dict[int, Logits] = {}

    def keep(request: Any, number: int) -> None:
        outputs[number] = np.array(request.get_output_tensor(0).data, np.float32)

    queue.set_callback(keep)
    for number, image in enumerate(images):
        queue.start_async(image[None], number)
    queue.wait_all()
    return np.concatenate([outputs[number] for number in range(len(images))])


def with_ir_head(model: Any, head: Head) -> Any:
    """Append ``head``, whose output takes the logits' place."""
    import openvino as ov
    from openvino import opset13 as ops

    logits = model.outputs[0].get_node().input_value(0)
    corrected = ops.add(logits, ops.constant(head.correction[None]))
    scaled = ops.multiply(corrected, ops.constant(np.float32(1 / head.temperature)))
    probabilities = ops.softmax(scaled, 1)
    probabilities.output(0).set_names({OUTPUT})
    probabilities.set_friendly_name(OUTPUT)
    others = [ops.result(output.get_node().input_value(0)) for output in model.outputs[1:]]
    results = [ops.result(probabilities), *others]
    return ov.Model(results, model.get_parameters(), "edge_fgir")


def set_metadata(model: Any, entries: dict[str, str]) -> None:
    """Write Model API's ``rt_info``."""
    for key, value in entries.items():
        model.set_rt_info(value, ["model_info", key])


def ir_files(model: Any, *, half: bool = False) -> dict[str, bytes]:
    """Return the IR's files as bytes; ``half``: weights stored as float16."""
    import openvino as ov

    with scratch() as folder:
        path = folder / "model.xml"
        try:
            ov.save_model(model, path, compress_to_fp16=half)
        except RuntimeError as error:  # all that it says of a full disk is "iostream error"
            raise EdgeFgirError(
                f"OpenVINO cannot write to {folder}: {str(error).splitlines()[-1]}; expected room "
                "for the model; free some, or set TMPDIR to another folder"
            ) from error
        return {f"openvino/{p.name}": p.read_bytes() for p in sorted(folder.iterdir())}


def to_half_ir(model: Any) -> Any:
    """Return the graph with weights stored as float16, as the file will hold them."""
    xml, weights = (ir_files(model, half=True)[f"openvino/model.{end}"] for end in ("xml", "bin"))
    return openvino_core().read_model(xml, weights)
