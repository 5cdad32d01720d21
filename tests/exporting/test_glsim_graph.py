"""GLSim as one static graph: the same answers and boxes everywhere, the selection in float."""

import io
import warnings
from functools import cache
from typing import Any, get_args

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from stirred import stir
from targets import exported_targets
from timm.layers import Attention
from torch import nn

from edge_fgir.exporting.activations import Observer
from edge_fgir.exporting.backends.openvino import OpenVinoBackend
from edge_fgir.exporting.builders import make_backend
from edge_fgir.exporting.calibration import CalibrationSet
from edge_fgir.exporting.deepstream import with_planar_input
from edge_fgir.exporting.gates import ParityGates
from edge_fgir.exporting.graph import (
    INPUT,
    MODULE,
    REGION,
    SIMILARITY,
    DeployGraph,
    Head,
    check_ops,
    deployed,
    float_nodes,
    session_of,
    to_onnx,
    unquantized_nodes,
    with_head,
)
from edge_fgir.exporting.openvino_ir import to_ir
from edge_fgir.exporting.qdq import quantize_onnx, to_float16
from edge_fgir.exporting.regions import compare_regions, regions_of
from edge_fgir.exporting.search import Search
from edge_fgir.exporting.target import read_target, target_names
from edge_fgir.exporting.traces import first_difference, modules_of, trace_onnx, trace_torch
from edge_fgir.models import Network
from edge_fgir.models.folding import folded
from edge_fgir.models.glsim import CropForm, GLSimOptions
from edge_fgir.models.glsim.selection import boxes_of
from edge_fgir.models.inference import logits_of, normalized_batches
from edge_fgir.runtime.manifest import Normalization
from edge_fgir.runtime.runtimes.openvino import compile_model
from edge_fgir.runtime.runtimes.tensorrt.build import build_plan

pytestmark = pytest.mark.export

NORMALIZATION = Normalization(mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
FORBIDDEN = ("Scatter", "NonZero", "Unique", "Loop", "If", "Random", "Sequence")
FORMS = get_args(CropForm)
VIT = "vit_tiny_patch16_224"
SIZE = 96
CLASSES = 5
DEPTH = 2


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """Blobs on noise: their patches are like and unlike the whole, without ties."""
    random = np.random.default_rng(0)
    images = random.integers(0, 90, (8, SIZE, SIZE, 3))
    for image in images:
        y, x = random.integers(0, SIZE - 40, 2)
        image[y : y + 40, x : x + 40] += random.integers(40, 160, 3)
    return images.astype(np.uint8)


@cache
def built(name: str = VIT) -> Any:
    torch.manual_seed(0)
    options = {"depth": DEPTH} if name == VIT else {}
    glsim = GLSimOptions(top_o=4, zero_head=False)
    model = Network(name=name, options=options, glsim=glsim).build(CLASSES, SIZE).eval()
    stir(model)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=1.5 / module.in_features**0.5)
    return model


@cache
def graph_of(target: str, form: CropForm = "grid_sample", name: str = VIT) -> onnx.ModelProto:
    model = folded(built(name), crop_form=form)
    return to_onnx(model, NORMALIZATION, SIZE, read_target(target).opset)


def outputs_of(model: onnx.ModelProto, pictures: np.ndarray, **options: bool) -> dict[str, Any]:
    session = session_of(model, **options)
    names = [output.name for output in session.get_outputs()]
    runs = [session.run(names, {INPUT: image[None]}) for image in pictures]
    return {
        name: np.concatenate(each)
        for name, each in zip(names, zip(*runs, strict=True), strict=True)
    }


@pytest.mark.parametrize(
    ("name", "form", "target"),
    [
        *((VIT, read_target(target).crop, target) for target in target_names()),
        (VIT, "grid_sample", "openvino"),
        ("vitfs_nano", "matmul", "arm"),
    ],
)
def test_every_runtime_answers_and_looks_as_torch_does(
    name: str, form: CropForm, target: str, pictures: np.ndarray
) -> None:
    model = built(name)
    described = read_target(target)
    graph = graph_of(target, form, name)
    check_ops(graph, described.ops, target)
    kinds = {node.op_type for node in graph.graph.node}
    assert not [kind for kind in kinds if kind.startswith(FORBIDDEN)]
    assert ("GridSample" in kinds) == (form == "grid_sample")
    inferred = onnx.shape_inference.infer_shapes(graph, strict_mode=True).graph
    for value in inferred.value_info:
        assert all(d.HasField("dim_value") for d in value.type.tensor_type.shape.dim), value.name
    expected = logits_of(model, pictures, NORMALIZATION, "torch")
    boxes = regions_of(model, pictures, NORMALIZATION)
    assert boxes is not None
    assert len(np.unique(boxes, axis=0)) > 1
    scale = max(float(np.abs(expected).max()), 1)
    found = outputs_of(graph, pictures)
    assert np.abs(found["logits"] - expected).max() < 1e-4 * scale
    assert np.array_equal(found[REGION], boxes)
    assert found[SIMILARITY].shape == (len(pictures), 6, 6)
    compiled = compile_model(to_ir(graph))
    runs = [compiled(image[None]) for image in pictures]
    answers = np.concatenate([run[0] for run in runs])
    assert np.abs(answers - expected).max() < 1e-4 * scale
    assert np.array_equal(np.concatenate([run[REGION] for run in runs]), boxes)


@pytest.mark.parametrize(("form", "opset"), [("grid_sample", 17), ("matmul", 13)])
def test_older_opsets_and_any_batch(form: CropForm, opset: int, pictures: np.ndarray) -> None:
    """As the specification's section 12 has it, through the exporter that still writes them."""
    model: Any = folded(built(), crop_form=form, class_token_only=False)
    model.forward = model.look
    for module in model.modules():
        if isinstance(module, Attention):
            module.fused_attn = False  # one operator, which 13 does not have
    batches = normalized_batches(pictures, NORMALIZATION, torch.device("cpu"))
    images = next(batches).contiguous()
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        names = ["logits", REGION, SIMILARITY]
        torch.onnx.export(
            model,
            (images[:2],),
            file,
            dynamo=False,
            opset_version=opset,
            input_names=[INPUT],
            output_names=names,
            dynamic_axes={name: {0: "batch"} for name in (INPUT, *names)},
        )
        wanted = model.look(images)
    graph = onnx.load_from_string(file.getvalue())
    assert graph.opset_import[0].version == opset
    kinds = {node.op_type for node in graph.graph.node}
    assert not [kind for kind in kinds if kind.startswith(FORBIDDEN)]
    logits, region, similarity = session_of(graph).run(names, {INPUT: images.numpy()})
    assert np.abs(logits - wanted.logits.numpy()).max() < 1e-4 * wanted.logits.abs().max()
    assert np.array_equal(region, wanted.region.numpy())
    assert np.allclose(similarity, wanted.similarity.numpy(), atol=1e-5)


def test_the_file_holds_the_weights_once() -> None:
    weights = sum(value.numel() for value in built().state_dict().values())
    stored = sum(int(np.prod(one.dims)) for one in graph_of("openvino").graph.initializer)
    assert stored < 1.05 * weights
    ir = OpenVinoBackend(to_ir(graph_of("openvino")), {})
    head = Head(np.zeros(CLASSES, np.float32), 1.0)
    assert len(ir.files(head, {})["openvino/model.bin"]) < 1.05 * 4 * weights


@pytest.mark.parametrize("form", FORMS)
def test_the_first_look_the_selection_and_the_aggregator_stay_float(
    form: CropForm, pictures: np.ndarray
) -> None:
    graph = graph_of("openvino", form)
    kept = set(unquantized_nodes(graph))
    found = {node.op_type for node in graph.graph.node if node.name in kept}
    assert {"TopK", "Floor", "ReduceMax", "ReduceMin"} <= found
    assert ("GridSample" if form == "grid_sample" else "MatMul") in found
    scopes = [
        entry.value
        for node in graph.graph.node
        if node.name in kept
        for entry in node.metadata_props
        if entry.key == MODULE
    ]
    assert {scope.split(".")[0] for scope in scopes} == {"backbone", "selection", "aggregator"}
    layers = [n for n in graph.graph.node if n.op_type in ("Gemm", "MatMul") and n.name in kept]
    # Of each block of the first look, and of the aggregator: query, key and value at once, two
    # products, three layers more.
    assert len(layers) == 6 * (DEPTH + 1) + 2 * (form == "matmul")
    for scheme in read_target("jetson").quantization.transformer.values():
        quantized = quantize_onnx(Observer(graph), pictures, scheme, unquantized_nodes(graph))
        producers = {value: node for node in quantized.graph.node for value in node.output}
        count = 0
        for node in quantized.graph.node:
            sources = [producers[v].op_type for v in node.input if v in producers]
            if node.name in kept:
                assert "DequantizeLinear" not in sources
            elif node.op_type in ("MatMul", "Gemm"):
                count += "DequantizeLinear" in sources
        assert count >= 4 * DEPTH  # the linear layers of the second look's blocks


@pytest.mark.parametrize("form", FORMS)
def test_the_selection_is_exact_in_a_float16_graph(form: CropForm, pictures: np.ndarray) -> None:
    graph = graph_of("openvino", form)
    half = to_float16(graph, float_nodes(graph))
    to = {node.output[0]: node.attribute[0].i for node in half.graph.node if node.op_type == "Cast"}
    back = [node for node in half.graph.node if to.get(node.output[0]) == TensorProto.FLOAT]
    assert TensorProto.FLOAT16 in to.values()
    assert back
    assert not [node for node in back if to.get(node.input[0]) == TensorProto.FLOAT16]
    found = outputs_of(half, pictures, optimized=False)
    assert [value.dtype for value in found.values()] == [np.float32] * 3
    # Its box follows from its map, as float16 numbers would not.
    similar = torch.from_numpy(found[SIMILARITY]).flatten(1)
    boxes = boxes_of(similar, 6, SIZE, 4, closed=False)
    assert np.array_equal(found[REGION], boxes.numpy())
    assert len(np.unique(similar.numpy().astype(np.float16))) < similar.numel()
    whole = outputs_of(graph, pictures)
    assert np.abs(found[SIMILARITY] - whole[SIMILARITY]).max() < 0.01
    same = (found[REGION] == whole[REGION]).all(axis=1)
    error = np.abs(found["logits"] - whole["logits"])[same]
    assert error.max() < 0.05 * np.abs(whole["logits"]).max()


def test_both_looks_begin_in_float(pictures: np.ndarray) -> None:
    graph = graph_of("openvino")
    scheme = next(iter(read_target("jetson").quantization.transformer.values()))
    quantized = quantize_onnx(Observer(graph), pictures, scheme, unquantized_nodes(graph))
    weights = {tensor.name for tensor in quantized.graph.initializer}
    convs = [node for node in quantized.graph.node if node.op_type == "Conv"]
    assert len(convs) == 2
    assert all(node.input[1] in weights for node in convs)


@pytest.mark.parametrize("target", exported_targets())
def test_int8_by_the_ordinary_search(target: str, pictures: np.ndarray) -> None:
    model = built()
    described = read_target(target)
    gates = described.gates.model_copy(update={"max_top1_drop": 100.0})
    reference = logits_of(model, pictures, NORMALIZATION, "torch")
    labels = reference.argmax(axis=1)
    graph = graph_of(target, described.crop)
    network = deployed(folded(model, crop_form=described.crop), NORMALIZATION)
    schemes = dict(list(described.quantization.transformer.items())[:1])
    quantization = described.quantization.model_copy(update={"transformer": schemes})
    plain = make_backend(graph, described, "fp32", network)
    choice = Search(
        float32=plain,
        base=plain,
        fallback=make_backend(graph, described, described.float_precision, network),
        fallback_precision=described.float_precision,
        parity=ParityGates(reference, labels, gates),
        validation=pictures,
        calibration=CalibrationSet(pictures, "0" * 64),
        wanted=reference,
    ).run(quantization, transformer=True, float_too=False)
    assert choice.trial.precision == "int8"
    spread = reference - reference.mean(axis=1, keepdims=True)
    # A network that has learned nothing: 0.3 of its spread with VNNI, 0.5 without. 1 is chance.
    assert choice.trial.stage.rms_delta_logit < 0.6 * np.sqrt(np.square(spread).mean())
    backend = choice.trial.backend
    if isinstance(backend, OpenVinoBackend):
        floats = [op for op in backend.model.get_ordered_ops() if op.get_type_name() == "TopK"]
        assert floats
        head = Head(np.zeros(CLASSES, np.float32), 1.0)
        assert set(backend.files(head, {})) == {"openvino/model.xml", "openvino/model.bin"}


@pytest.mark.parametrize("name", [VIT, "vitfs_nano"])
def test_arms_dynamic_scheme_takes_the_graph_too(name: str, pictures: np.ndarray) -> None:
    described = read_target("arm")
    plain = make_backend(graph_of("arm", described.crop, name), described, "fp32")
    schemes = described.quantization.transformer.values()
    (dynamic,) = (scheme for scheme in schemes if scheme.tool == "dynamic")
    wanted = plain.run(pictures)
    wrong = plain.quantized(dynamic, pictures).run(pictures) - wanted
    assert np.square(wrong).mean() < 0.01 * np.square(wanted).mean()


def test_the_head_leaves_the_other_outputs(pictures: np.ndarray) -> None:
    head = Head(np.zeros(CLASSES, np.float32), 2.0)
    whole = with_head(graph_of("openvino"), head)
    found = outputs_of(whole, pictures)
    assert list(found) == ["probabilities", REGION, SIMILARITY]
    assert np.allclose(found["probabilities"].sum(axis=1), 1, atol=1e-5)
    planar = with_planar_input(whole, SIZE)
    assert [output.name for output in planar.graph.output] == ["probabilities"]


def test_where_the_numbers_part_is_told_of_modules_that_run_twice(pictures: np.ndarray) -> None:
    model, graph = folded(built()), graph_of("openvino")
    right = trace_torch(DeployGraph(model, NORMALIZATION), pictures)
    found = trace_onnx(graph, modules_of(graph), pictures)
    shared = [name for name in found if name in right and right[name].size == found[name].size]
    assert [name for name in shared if name.startswith("backbone.blocks")]
    assert first_difference(right, found, 1e-3) == ""
    spoiled = {**found, "aggregator.mlp.fc1": 2 * found["aggregator.mlp.fc1"]}
    assert "aggregator.mlp.fc1" in first_difference(right, spoiled, 1e-3)


def test_boxes_are_compared() -> None:
    a = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10]], np.float32)
    b = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]], np.float32)
    found = compare_regions(a, b)
    assert found.images == 3
    assert found.identical == pytest.approx(100 / 3)
    assert found.mean_iou == pytest.approx((1 + 1 / 3 + 0) / 3)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_tensorrt_builds_it(form: CropForm, pictures: np.ndarray) -> None:
    tensorrt_rtx = pytest.importorskip("tensorrt_rtx", reason="the builder has no wheel here")
    target = read_target("jetson")
    graph = graph_of("jetson", form)
    precise, kept = float_nodes(graph), unquantized_nodes(graph)
    schemes = target.quantization.transformer.values()
    forms = (
        to_float16(graph, precise),
        *(to_float16(quantize_onnx(Observer(graph), pictures, s, kept), precise) for s in schemes),
    )
    for one in forms:
        plan = build_plan(
            tensorrt_rtx, one.SerializeToString(), compute_capabilities=target.compute_capabilities
        )
        assert len(plan) > 100_000
