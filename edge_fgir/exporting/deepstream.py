"""What DeepStream's Gst-nvinfer needs: the graph with its input, a config, labels in its format.

nvinfer fills the input with float32 numbers whatever the graph asks for, planar unless told
otherwise, and refuses to bind ``uint8`` ("Gst-nvinfer" in the DeepStream guide, 9.2; the SDK's
``nvdsinfer_context_impl.cpp`` and ``nvdsinfer_model_builder.cpp``). So it gets a graph of its own:
another input, then the same nodes and weights. It also builds weakly typed networks, with INT8
or FP16 allowed but never both, so what is float16 in a Q/DQ graph is float32 here.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_fgir.exporting.graph import INPUT, OUTPUT
from edge_fgir.runtime import Calibration, Precision, Preprocess

FOLDER = "deepstream"

_NETWORK_MODE: dict[Precision, int] = {"fp32": 0, "int8": 1, "fp16": 2}
# nvinfer's names: bilinear; cubic on the GPU, 5 taps on a Jetson's VIC.
_SCALING_FILTER = {"bilinear": 1, "bicubic": 2}

_HEADER = """\
# Copy this folder out of the bundle: nvinfer writes its engine beside model.onnx, and a bundle
# with a file that nobody sealed is refused. Delete the engine when model.onnx changes.
# On a detector's objects instead of whole frames, set these properties of the element, which go
# before this file: unique-id=2 process-mode=2 infer-on-gie-id=1
"""

_CALIBRATION = """\
Not a calibration table: the graph's own Q/DQ nodes hold the ranges, and TensorRT reads no table
where there are some. Without a file of this name nvinfer falls back from INT8 to FP16, and then
TensorRT refuses the Q/DQ nodes.
"""


def deepstream_files(
    model: bytes,
    preprocess: Preprocess,
    labels: tuple[str, ...],
    calibration: Calibration,
    precision: Precision,
) -> dict[str, bytes]:
    """Return ``deepstream/``: graph, config and labels.

    Args:
        model: The bundle's ONNX file, from ``uint8`` pixels to probabilities.
        preprocess: How pictures come to its size.
        labels: Class names in the order of the output.
        calibration: Its threshold separates the unknown.
        precision: Of the graph.
    """
    side = round(preprocess.size / preprocess.crop_fraction)
    variant = with_planar_input(onnx.load_from_string(model), side)
    if precision == "int8":
        _to_float32(variant.graph)
    files = {
        "model.onnx": variant.SerializeToString(),
        # One line an attribute, of which a classifier has one.
        "labels.txt": (";".join(label.replace(";", ",") for label in labels) + "\n").encode(),
    }
    if precision == "int8":
        files["calibration.txt"] = _CALIBRATION.encode()
    files["config_infer.txt"] = _config(preprocess, side, calibration, precision).encode()
    return {f"{FOLDER}/{name}": data for name, data in files.items()}


def with_planar_input(model: onnx.ModelProto, side: int) -> onnx.ModelProto:
    """Return the graph with another input: float32 (1, 3, side, side), values 0..255.

    Where ``side`` is larger than the graph's own input, the centre is cut out: nvinfer only
    stretches.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.metadata_props[:]  # they describe the other input
    graph = result.graph
    size = graph.input[0].type.tensor_type.shape.dim[1].dim_value
    first = [helper.make_node("Transpose", [INPUT], ["interleaved"], perm=[0, 2, 3, 1])]
    if side != size:
        start = (side - size) // 2
        window = {
            "crop_start": [start, start],
            "crop_end": [start + size, start + size],
            "crop_axes": [1, 2],
        }
        for name, values in window.items():
            graph.initializer.append(numpy_helper.from_array(np.asarray(values, np.int64), name))
        first.append(helper.make_node("Slice", ["interleaved", *window], ["cropped"]))
    del graph.output[1:]  # nvinfer takes every output of a classifier for an attribute's scores
    pixels = first[-1].output[0]
    for node in graph.node:
        node.input[:] = [pixels if name == INPUT else name for name in node.input]
    nodes = [*first, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.input[:]
    shape = [1, 3, side, side]
    graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape))
    onnx.checker.check_model(result)
    return result


def _to_float32(graph: onnx.GraphProto) -> None:
    """Turn every float16 number of a graph into the same float32 one."""
    tensors = list(graph.initializer)
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.FLOAT
            elif attribute.HasField("t"):
                tensors.append(attribute.t)
    for tensor in tensors:
        if tensor.data_type == TensorProto.FLOAT16:
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    del graph.value_info[:]  # they repeat the types, and follow from the rest


def _config(
    preprocess: Preprocess, side: int, calibration: Calibration, precision: Precision
) -> str:
    keys = {
        "gie-unique-id": 1,
        "process-mode": 1,
        "network-type": 1,
        "onnx-file": "model.onnx",
        "model-engine-file": f"model.onnx_b1_gpu0_{precision}.engine",
        "labelfile-path": "labels.txt",
        "batch-size": 1,
        "network-mode": _NETWORK_MODE[precision],
        **({"int8-calib-file": "calibration.txt"} if precision == "int8" else {}),
        "infer-dims": f"3;{side};{side}",
        "network-input-order": 0,
        "model-color-format": 0,
        # Normalisation is in the graph.
        "net-scale-factor": 1,
        "offsets": "0;0;0",
        "maintain-aspect-ratio": 0,
        "scaling-filter": _SCALING_FILTER[preprocess.kernel],
        "output-blob-names": OUTPUT,
        "classifier-threshold": f"{calibration.unknown_threshold:.6g}",
    }
    return f"{_HEADER}[property]\n" + "".join(f"{key}={value}\n" for key, value in keys.items())
