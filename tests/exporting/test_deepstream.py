from __future__ import annotations

import configparser
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto

from edge_fgir.exporting import read_target
from edge_fgir.exporting.backends.onnx import OnnxBackend
from edge_fgir.exporting.builders import make_backend
from edge_fgir.exporting.deepstream import deepstream_files
from edge_fgir.exporting.graph import Head, run_onnx, session_of, to_onnx
from edge_fgir.models import Network
from edge_fgir.runtime import Bundle, Calibration, Pixels, Precision, Preprocess, verify
from edge_fgir.runtime.manifest import Normalization

pytestmark = pytest.mark.export

SIDE = 32
LABELS = ("red kite", "tit; great", "Ø")
NORMALIZATION = Normalization(mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
HEAD = Head(np.asarray([0.5, 0, -0.5], np.float32), temperature=1.7)
CALIBRATION = Calibration(
    temperature=1.7,
    unknown_threshold=0.123456789,
    kept=0.95,
    ece_before=5.0,
    ece_after=1.0,
    validation_images=30,
    quantization_images=6,
    quantization_hash="0" * 64,
)
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")
pytest.importorskip("tensorrt_rtx", reason="Jetson graphs are checked by TensorRT-RTX")


@pytest.fixture(scope="module")
def pictures() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (6, SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def exported() -> onnx.ModelProto:
    torch.manual_seed(0)
    network = Network(name="lrnet14").build(len(LABELS)).eval()
    return to_onnx(network, NORMALIZATION, SIDE, read_target("jetson").opset)


@pytest.fixture(scope="module")
def models(exported: onnx.ModelProto, pictures: Pixels) -> dict[Precision, bytes]:
    """A Jetson bundle's model.onnx in each precision."""
    target = read_target("jetson")
    scheme = next(iter(target.quantization.cnn.values()))
    floats: tuple[Precision, ...] = ("fp32", "fp16")
    backends = {name: make_backend(exported, target, name) for name in floats}
    backends["int8"] = backends["fp32"].quantized(scheme, pictures)
    return {
        name: backends[name].files(HEAD, {"labels": "a b c"})["model.onnx"] for name in backends
    }


def files_of(model: bytes, precision: Precision, **preprocess: object) -> dict[str, bytes]:
    return deepstream_files(
        model, Preprocess(size=SIDE, **preprocess), LABELS, CALIBRATION, precision
    )


def keys_of(files: dict[str, bytes]) -> dict[str, str]:
    """Read the config as GLib's key files are read: one group, no interpolation."""
    parser = configparser.ConfigParser(
        delimiters="=", comment_prefixes="#", interpolation=None, strict=True
    )
    parser.read_string(files["deepstream/config_infer.txt"].decode())
    assert parser.sections() == ["property"]
    return dict(parser["property"])


def planar(pictures: Pixels) -> np.ndarray:
    """What nvinfer hands over: y = 1 * (x - 0), float32, channel by channel."""
    return pictures.astype(np.float32).transpose(0, 3, 1, 2)


def answers(model: bytes, batch: np.ndarray) -> np.ndarray:
    session = session_of(onnx.load_from_string(model), exact=True)
    (name,) = (entry.name for entry in session.get_inputs())
    return np.concatenate([session.run(None, {name: image[None]})[0] for image in batch])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_both_graphs_give_the_same_probabilities(models, pictures, precision):
    model = models[precision]
    # As the bundle's graph is replayed: the optimiser breaks Q/DQ in float16.
    expected = run_onnx(onnx.load_from_string(model), pictures, optimized=False)
    assert np.ptp(expected) > 0.01  # not a constant, which anything would reproduce
    found = answers(files_of(model, precision)["deepstream/model.onnx"], planar(pictures))
    # A Q/DQ graph's float16 becomes float32, which rounds less: a step of a quantizer.
    assert np.abs(found - expected).max() <= (1e-2 if precision == "int8" else 1e-6)


def test_a_qdq_graph_in_float32_gives_the_same_probabilities(exported, pictures):
    """The same without float16 on either side."""
    target = read_target("jetson")
    scheme = next(iter(target.quantization.cnn.values()))
    float32 = OnnxBackend(exported, {}).quantized(scheme, pictures)
    model = float32.files(HEAD, {})["model.onnx"]
    expected = run_onnx(onnx.load_from_string(model), pictures)
    found = answers(files_of(model, "int8")["deepstream/model.onnx"], planar(pictures))
    assert np.abs(found - expected).max() <= 1e-6


def test_a_centre_crop_becomes_part_of_the_graph(models, pictures):
    preprocess = Preprocess(size=SIDE, crop_fraction=0.75)
    side = 43  # 32 / 0.75
    large = np.random.default_rng(1).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    cropped = np.stack([preprocess.apply(picture) for picture in large])
    files = files_of(models["fp32"], "fp32", crop_fraction=0.75)
    assert keys_of(files)["infer-dims"] == f"3;{side};{side}"
    expected = run_onnx(onnx.load_from_string(models["fp32"]), cropped)
    found = answers(files["deepstream/model.onnx"], planar(large))
    assert np.abs(found - expected).max() <= 1e-6


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_key_fits_the_graph_and_the_bundle(models, precision):
    files = files_of(models[precision], precision)
    keys = keys_of(files)
    graph = onnx.load_from_string(files["deepstream/" + keys.pop("onnx-file")]).graph
    (source,), (answer,) = graph.input, graph.output
    tensor = source.type.tensor_type
    shape = [dim.dim_value for dim in tensor.shape.dim]
    assert tensor.elem_type == TensorProto.FLOAT  # nvinfer writes nothing else
    assert shape == [int(keys["batch-size"]), *map(int, keys.pop("infer-dims").split(";"))]
    assert keys.pop("network-input-order") == "0"
    assert shape[1] == 3  # so the order is NCHW
    assert keys.pop("model-color-format") == "0"  # RGB
    assert keys.pop("output-blob-names") == answer.name == "probabilities"
    assert answer.type.tensor_type.elem_type == TensorProto.FLOAT  # its parser reads floats
    assert [node.op_type for node in graph.node][-1] == "Softmax"
    labels = files["deepstream/" + keys.pop("labelfile-path")].decode()
    assert labels == "red kite;tit, great;Ø\n"  # ";" separates
    assert [dim.dim_value for dim in answer.type.tensor_type.shape.dim] == [1, len(LABELS)]
    # Normalisation is in the graph: what nvinfer computes is x itself.
    assert (keys.pop("net-scale-factor"), keys.pop("offsets")) == ("1", "0;0;0")
    assert float(keys.pop("classifier-threshold")) == pytest.approx(0.123457)
    mode = keys.pop("network-mode")
    assert mode == {"fp32": "0", "int8": "1", "fp16": "2"}[precision]
    # Without a table of that name, INT8 becomes FP16 and the Q/DQ nodes are refused.
    table = keys.pop("int8-calib-file", None)
    assert (table is not None) == (precision == "int8")
    assert table is None or files[f"deepstream/{table}"].startswith(b"Not a calibration table")
    engine = f"model.onnx_b{keys.pop('batch-size')}_gpu0_{precision}.engine"
    assert keys.pop("model-engine-file") == engine  # as nvinfer names what it builds
    assert keys == {
        "gie-unique-id": "1",
        "process-mode": "1",
        "network-type": "1",
        "maintain-aspect-ratio": "0",
        "scaling-filter": "1",
    }
    assert set(files) <= {
        f"deepstream/{name}"
        for name in ("model.onnx", "labels.txt", "config_infer.txt", "calibration.txt")
    }


def test_the_kernel_of_the_resize(models):
    keys = keys_of(files_of(models["fp32"], "fp32", kernel="bicubic"))
    assert keys["scaling-filter"] == "2"


def test_types_follow_the_network_mode(models):
    """Q/DQ where the mode says INT8, float16 weights where it says FP16, neither elsewhere."""
    kinds = {}
    for precision in PRECISIONS:
        model = files_of(models[precision], precision)["deepstream/model.onnx"]
        graph = onnx.load_from_string(model).graph
        half = any(tensor.data_type == TensorProto.FLOAT16 for tensor in graph.initializer)
        quantized = any(node.op_type == "QuantizeLinear" for node in graph.node)
        kinds[precision] = (half, quantized)
    assert kinds == {"fp32": (False, False), "fp16": (True, False), "int8": (False, True)}


def test_the_other_inputs_metadata_does_not_travel(models):
    model = onnx.load_from_string(models["fp32"])
    assert model.metadata_props
    variant = files_of(models["fp32"], "fp32")["deepstream/model.onnx"]
    assert not onnx.load_from_string(variant).metadata_props


@pytest.mark.parametrize("precision", PRECISIONS)
def test_it_builds_as_nvinfer_builds_it(models, precision):
    """With the batch made dynamic and a profile of one picture, which is what nvinfer does."""
    import tensorrt_rtx as trt

    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    model = files_of(models[precision], precision)["deepstream/model.onnx"]
    assert parser.parse(model), list(_errors(parser))
    source = network.get_input(0)
    assert source.dtype == trt.float32
    source.shape = (-1, 3, SIDE, SIDE)
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    profile.set_shape(source.name, *[(1, 3, SIDE, SIDE)] * 3)
    config.add_optimization_profile(profile)
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    assert builder.build_serialized_network(network, config) is not None


def _errors(parser: Any) -> Iterator[str]:
    for index in range(parser.num_errors):
        yield parser.get_error(index).desc()


def test_a_jetson_bundle_carries_it_sealed(tiny_export):
    out = tiny_export("jetson", "fp32")
    bundle = Bundle(out)
    listed = {entry.path for entry in bundle.manifest.files}
    found = {name: bundle.read(name) for name in listed if name.startswith("deepstream/")}
    model = bundle.read(bundle.manifest.model_file)
    assert found == deepstream_files(
        model, bundle.preprocess, bundle.labels, bundle.calibration, "fp32"
    )
    assert bundle.model_size == len(model)  # the device that runs us keeps one of the two
    assert all(check.ok for check in verify(out))
