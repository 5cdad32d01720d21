"""INT8 as ONNX Q/DQ (ARM, Jetson), and float16 graphs (Jetson)."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx

from edge_fgir.exporting.graph import INPUT
from edge_fgir.exporting.target import Quantization
from edge_fgir.runtime import Pixels


def quantize_qdq(model: onnx.ModelProto, images: Pixels, scheme: Quantization) -> onnx.ModelProto:
    """Insert Q/DQ pairs with ranges measured on ``images``; per-channel int8 weights.

    ``ort_qdq``: signed, asymmetric activations. ``symmetric_qdq``: zero points are zero and biases
    stay in float, which TensorRT demands.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType
    from onnxruntime.quantization import quantize_static as quantize

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._images: Iterator[Pixels] = iter(images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self._images, None)
            return None if image is None else {INPUT: image[None]}

    symmetric = scheme.scheme == "symmetric_qdq"
    source = onnx.ModelProto()
    source.CopyFrom(model)  # the quantizer rewrites what it is given
    first = next(node.name for node in model.graph.node if node.op_type == "Conv")
    logging.getLogger().addFilter(_no_preprocess_advice)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quantized.onnx"
        quantize(
            source,
            path,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(scheme.ops),
            nodes_to_exclude=[first] if scheme.float_first_conv else [],
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            extra_options={
                "ActivationSymmetric": symmetric,
                "WeightSymmetric": True,
                "QuantizeBias": not symmetric,
            },
        )
        return onnx.load(path)


def _no_preprocess_advice(record: logging.LogRecord) -> bool:
    """Drop the advice to pre-process first: the graph is folded and simplified already."""
    return "pre-process" not in record.getMessage()


def to_float16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Compute in float16 what is float32; input and output keep their types."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    source = onnx.ModelProto()
    source.CopyFrom(model)
    converted: onnx.ModelProto = convert_float_to_float16(
        source, keep_io_types=True, op_block_list=[]
    )
    return converted
