from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from scipy.special import softmax
from stirred import stir
from torch import nn

from edge_fgir import GateError
from edge_fgir.exporting.activations import Observer
from edge_fgir.exporting.builders import make_backend
from edge_fgir.exporting.graph import (
    INPUT,
    DeployGraph,
    Head,
    check_ops,
    is_transformer,
    run_onnx,
    session_of,
    to_onnx,
    with_head,
)
from edge_fgir.exporting.openvino_ir import (
    quantize_ir,
    run_ir,
    sensitive_operations,
    to_ir,
    with_ir_head,
)
from edge_fgir.exporting.qdq import quantize_onnx, sensitive_layers
from edge_fgir.exporting.target import NncfScheme, QdqScheme, read_target, target_names
from edge_fgir.models import Network
from edge_fgir.models.folding import folded
from edge_fgir.models.inference import logits_of
from edge_fgir.runs import Run
from edge_fgir.runtime.manifest import Normalization
from edge_fgir.runtime.runtimes.openvino import compile_model, openvino_core

pytestmark = pytest.mark.export

# One of each kind; the others differ in the number of blocks or in width.
EXPORTED = ("lrnet14", "lrnet50", "lrnet14d", "lrnet50d", "vitfs_nano", "vitfs_nano_ln")
NORMALIZATION = Normalization(mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)


VIT = "vit_tiny_patch16_224"


def randomised(name: str) -> torch.nn.Module:
    """A model whose BatchNorms do something: folding errors must show. Of a ViT two blocks."""
    torch.manual_seed(0)
    options = {"depth": 2, "embed_dim": 48} if name == VIT else {}
    model = Network(name=name, options=options).build(5, 64).eval()
    stir(model)
    return model


@pytest.mark.parametrize("name", EXPORTED)
def test_onnx_equals_torch_with_nothing_left_but_the_listed_operators(
    name: str, pictures: np.ndarray
) -> None:
    model = randomised(name)
    graph = to_onnx(folded(model), NORMALIZATION, 64, 18)
    kinds = [node.op_type for node in graph.graph.node]
    # arXiv 2507.12157, docs/science/tgda.md#acceptance, leaves those of a ViTFS between a ReLU and
    # a zero-padded convolution.
    assert "BatchNormalization" not in kinds
    if name.startswith("vitfs"):
        assert kinds.count("Conv") == 5  # what a norm adds to a convolution is a constant
    for target in target_names():
        check_ops(graph, read_target(target).ops, target)
    expected = logits_of(model, pictures, NORMALIZATION, "torch")
    assert np.abs(run_onnx(graph, pictures) - expected).max() < 1e-3 * np.abs(expected).max()


@pytest.mark.parametrize("target", target_names())
@pytest.mark.parametrize("name", ["lrnet14", "vitfs_nano", "vitfs_nano_ln", VIT])
def test_a_target_takes_its_own_opset(name: str, target: str, pictures: np.ndarray) -> None:
    chosen = read_target(target)
    model = randomised(name)
    graph = to_onnx(folded(model), NORMALIZATION, 64, chosen.opset)
    assert {entry.version for entry in graph.opset_import if not entry.domain} == {chosen.opset}
    check_ops(graph, chosen.ops, target)
    expected = logits_of(model, pictures, NORMALIZATION, "torch")
    assert np.abs(run_onnx(graph, pictures) - expected).max() < 1e-3 * np.abs(expected).max()


def test_lrnet14_is_as_small_as_the_paper_says() -> None:
    kinds = [n.op_type for n in to_onnx(randomised("lrnet14"), NORMALIZATION, 64, 18).graph.node]
    counted = {kind: kinds.count(kind) for kind in ("Conv", "Relu", "Add", "Gemm", "ReduceMean")}
    assert counted == {"Conv": 18, "Relu": 13, "Add": 6, "Gemm": 1, "ReduceMean": 1}


def test_input_is_uint8_nhwc_of_the_models_size() -> None:
    graph = to_onnx(randomised("lrnet14"), NORMALIZATION, 64, 18).graph
    tensor = graph.input[0].type.tensor_type
    assert tensor.elem_type == onnx.TensorProto.UINT8
    assert [dim.dim_value for dim in tensor.shape.dim] == [1, 64, 64, 3]


def test_normalisation_is_that_of_the_training(pictures: np.ndarray) -> None:
    graph = DeployGraph(torch.nn.Identity(), NORMALIZATION)
    (planes,) = graph(torch.from_numpy(pictures))
    found = planes.permute(0, 2, 3, 1).numpy()
    expected = (pictures / 255 - NORMALIZATION.mean) / np.asarray(NORMALIZATION.std)
    assert np.allclose(found, expected, atol=1e-5)


def test_head_is_corrected_tempered_softmax_in_both_formats(pictures: np.ndarray) -> None:
    graph = to_onnx(randomised("lrnet14"), NORMALIZATION, 64, 18)
    head = Head(np.asarray([0.5, 0, -0.5, 0, 1], np.float32), temperature=1.7)
    expected = softmax((run_onnx(graph, pictures) + head.correction) / 1.7, axis=1)
    assert np.allclose(run_onnx(with_head(graph, head), pictures), expected, atol=1e-5)
    assert np.allclose(run_ir(with_ir_head(to_ir(graph), head), pictures), expected, atol=1e-5)


def test_many_pictures_are_answered_side_by_side_in_their_order() -> None:
    graph = to_onnx(randomised("lrnet14"), NORMALIZATION, 64, 18)
    images = np.random.default_rng(0).integers(0, 256, (24, 64, 64, 3), dtype=np.uint8)
    ir = to_ir(graph)
    compiled, session = compile_model(ir), session_of(graph, exact=True)
    # As a device computes: one after another.
    in_openvino = np.concatenate([compiled(image[None])[0] for image in images])
    in_onnx = np.concatenate([session.run(None, {INPUT: image[None]})[0] for image in images])
    assert np.allclose(run_ir(ir, images), in_openvino, atol=1e-5)
    assert np.allclose(run_onnx(graph, images), in_onnx, atol=1e-5)
    assert np.abs(np.diff(in_onnx, axis=0)).max(axis=1).min() > 1e-3  # no two are alike


def test_an_operator_off_the_list_closes_the_gate() -> None:
    graph = to_onnx(
        torch.nn.Sequential(randomised("lrnet14"), torch.nn.Softplus()), NORMALIZATION, 64, 18
    )
    with pytest.raises(GateError, match=r"uses Softplus \(layer 1\); expected .*target arm lists"):
        check_ops(graph, read_target("arm").ops, "arm")


class Unexportable(torch.nn.Module):
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.special.bessel_j0(pixels.mean((2, 3)))


class Undecided(torch.nn.Module):
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        means = pixels.mean((2, 3))
        return means if means.sum() > 0 else -means


@pytest.mark.parametrize("model", [Unexportable(), Undecided()], ids=["operator", "control flow"])
def test_what_onnx_cannot_say_is_one_line(
    model: torch.nn.Module, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(GateError, match="torch cannot write the network as ONNX: ") as caught:
        to_onnx(model, NORMALIZATION, 16, 18)
    assert len(str(caught.value).splitlines()) == 1
    assert "".join(capsys.readouterr()) == ""


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_050"])
def test_timms_small_networks_go_to_every_target(name: str, pictures: np.ndarray) -> None:
    model = randomised(name)
    graph = to_onnx(folded(model), NORMALIZATION, 64, 19)
    for target in target_names():
        check_ops(graph, read_target(target).ops, target)
    expected = logits_of(model, pictures, NORMALIZATION, "torch")
    assert np.abs(run_onnx(graph, pictures) - expected).max() < 1e-3 * np.abs(expected).max()


def test_int8_sums_do_not_overflow_where_a_cpu_lacks_vnni() -> None:
    """Weights and activations at their ends: x86 kernels would clip sums of two products."""
    scheme = QdqScheme(tool="qdq", ops=("MatMul", "Gemm"), activations="uint8")
    torch.manual_seed(0)
    layers = (torch.nn.AvgPool2d(8), torch.nn.Flatten(), torch.nn.Linear(192, 16), torch.nn.ReLU())
    model = torch.nn.Sequential(*layers, torch.nn.Linear(16, 5))
    with torch.no_grad():
        for layer in (model[2], model[4]):
            layer.weight.copy_(layer.weight.sign())
    images = np.random.default_rng(0).integers(128, 256, (8, 64, 64, 3), dtype=np.uint8)
    found = quantize_onnx(Observer(to_onnx(model, NORMALIZATION, 64, 18)), images, scheme)
    simulated = run_onnx(found, images, optimized=False)
    assert np.abs(run_onnx(found, images) - simulated).max() < 0.02 * np.abs(simulated).max()


def test_the_exported_run_is_the_trained_one(tiny_run: Path) -> None:
    opened = Run.open(tiny_run)
    trained, model = opened.description, opened.load()
    pixels = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    graph = to_onnx(model, trained.normalization, 32, 18)
    expected = logits_of(model, pixels, trained.normalization, "torch")
    assert np.abs(run_onnx(graph, pixels) - expected).max() < 1e-3


def quantized_layers(graph: onnx.ModelProto, kind: str) -> int:
    """Count the nodes of a kind that read what was quantized."""
    producers = {output: node for node in graph.graph.node for output in node.output}
    return sum(
        node.op_type == kind
        and node.input[0] in producers
        and producers[node.input[0]].op_type == "DequantizeLinear"
        for node in graph.graph.node
    )


def test_attention_is_quantized_where_the_scheme_says_so() -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
    graph = to_onnx(folded(randomised(VIT)), NORMALIZATION, 64, 18)
    for products in (False, True):
        scheme = QdqScheme(tool="qdq", ops=("Gemm", "MatMul"), products=products)
        found = quantize_onnx(Observer(graph), images, scheme)
        assert quantized_layers(found, "Gemm") == 9  # four linear layers a block, and the head
        assert quantized_layers(found, "MatMul") == 4 * products


@pytest.mark.parametrize("products", [False, True])
def test_openvino_finds_the_layers_of_a_transformer(products: bool) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    graph = to_onnx(folded(randomised(VIT)), NORMALIZATION, 64, 18)
    scheme = NncfScheme(tool="nncf", transformer=True, bias_correction=False, products=products)
    ir = quantize_ir(to_ir(graph), images, scheme)
    kinds = {one.get_friendly_name(): one.get_type_name() for one in ir.get_ordered_ops()}
    ranked = sensitive_operations(ir, images, run_onnx(graph, images))
    # Of a block's two products NNCF leaves that with the probabilities in float anyhow.
    assert sum(kinds[name] == "MatMul" for name in ranked) == 2 * (4 + products) + 1


@pytest.mark.parametrize("name", ["lrnet14", VIT])
def test_quantizing_leaves_the_threads_signal_stack_alone(
    name: str, pictures: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cores of OpenVINO take it away when they end; without one any child's end is a crash."""
    openvino = pytest.importorskip("openvino")
    openvino_core()
    monkeypatch.setattr(openvino, "Core", lambda: pytest.fail("NNCF made a core of its own"))
    quantization = read_target("openvino").quantization
    schemes = quantization.transformer if name == VIT else quantization.cnn
    graph = to_ir(to_onnx(folded(randomised(name)), NORMALIZATION, 64, 18))
    quantize_ir(graph, pictures, next(iter(schemes.values())))


@pytest.mark.parametrize(("name", "kind"), [("lrnet14", "Convolution"), (VIT, "MatMul")])
def test_no_pair_of_weights_can_leave_sixteen_bits(
    name: str, kind: str, pictures: np.ndarray
) -> None:
    """In the file they are int8 of more than seven bits."""
    quantization = read_target("openvino").quantization
    schemes = quantization.transformer if name == VIT else quantization.cnn
    graph = to_ir(to_onnx(folded(randomised(name)), NORMALIZATION, 64, 18))
    quantized = quantize_ir(graph, pictures, next(iter(schemes.values())))
    most, seen = 0, 0
    for layer in (one for one in quantized.get_ordered_ops() if one.get_type_name() == kind):
        node = layer.input_value(1).get_node()
        while node.get_type_name() in ("Multiply", "Convert", "Subtract"):
            node = node.input_value(0).get_node()
        if node.get_type_name() != "Constant" or node.data.dtype != np.int8:
            continue
        inputs = np.moveaxis(node.data.astype(int), -1 if kind == "MatMul" else 1, 0)
        first, second = inputs[: len(inputs) // 2 * 2 : 2], inputs[1::2]
        for sign in (1, -1):
            pairs = np.maximum(sign * first, 0) + np.maximum(sign * second, 0)
            most = max(most, int(pairs.max()))
        seen = max(seen, int(np.abs(inputs).max()))
    assert 120 <= most <= 128
    assert seen > 64


@pytest.mark.parametrize("target", ["openvino", "arm"])
def test_schemes_that_differ_in_numbers_alone_compute_the_same(target: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
    graph = to_onnx(folded(randomised("lrnet14")), NORMALIZATION, 64, 18)
    base = make_backend(graph, read_target(target), "fp32")
    schemes = read_target(target).quantization.cnn
    kinds = {name: base.quantized(each, images).operations() for name, each in schemes.items()}
    assert len(set(kinds.values())) == len(kinds)
    assert base.operations() not in kinds.values()
    scheme = next(iter(schemes.values()))
    for twin in (scheme, scheme.model_copy(update={"corrected_biases": False})):
        assert base.quantized(twin, 255 - images).operations() == next(iter(kinds.values()))


@pytest.mark.parametrize("name", ["lrnet14", "tf_efficientnet_lite0"])
def test_a_layer_is_rounded_with_its_activation(name: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
    graph = to_onnx(folded(randomised(name)), NORMALIZATION, 64, 18)
    wanted = run_onnx(graph, images)
    scheme = read_target("arm").quantization.cnn["S8S8"]
    assert isinstance(scheme, QdqScheme)
    together = quantize_onnx(Observer(graph), images, scheme)
    apart = quantize_onnx(Observer(graph), images, scheme.model_copy(update={"ops": ("Conv",)}))
    # What follows the first convolution stays: that is in float.
    assert sum(node.op_type in ("Relu", "Clip") for node in together.graph.node) <= 1

    def error(form: onnx.ModelProto) -> float:
        return float(np.square(run_onnx(form, images) - wanted).mean())

    assert error(together) < error(apart)


def test_what_jetson_layers_give_is_not_rounded() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    graph = to_onnx(folded(randomised("lrnet14")), NORMALIZATION, 64, 19)
    scheme = read_target("jetson").quantization.cnn["convolutions"]
    found = quantize_onnx(Observer(graph), images, scheme)
    layers = {node.output[0] for node in found.graph.node if node.op_type == "Conv"}
    rounded = [node for node in found.graph.node if node.op_type == "QuantizeLinear"]
    assert rounded
    assert layers.isdisjoint(node.input[0] for node in rounded)


@pytest.mark.parametrize("name", ["lrnet14", VIT])
def test_the_layers_that_cost_most_are_found(name: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
    graph = to_onnx(folded(randomised(name)), NORMALIZATION, 64, 18)
    wanted = run_onnx(graph, images)
    scheme = QdqScheme(tool="qdq", ops=("Conv", "Gemm"), float_first_conv=True)
    ranked = sensitive_layers(quantize_onnx(Observer(graph), images, scheme), images, wanted)
    assert len(ranked) == sum(n.op_type in ("Conv", "Gemm") for n in graph.graph.node) - 1

    def error(*float_layers: str) -> float:
        found = run_onnx(quantize_onnx(Observer(graph), images, scheme, float_layers), images)
        return float(np.square(found - wanted).mean())

    half = len(ranked) // 2
    assert error(*ranked[:half]) < 0.7 * error(*ranked[-half:])


def test_openvino_leaves_the_first_convolution_in_float() -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
    ir = to_ir(to_onnx(folded(randomised("lrnet14")), NORMALIZATION, 64, 18))
    scheme = read_target("openvino").quantization.cnn["min-max"]
    assert isinstance(scheme, NncfScheme)

    def rounded_convolutions(scheme: NncfScheme) -> list[bool]:
        return [
            any(
                port.get_source_output().get_node().get_type_name() == "FakeQuantize"
                for port in operation.inputs()
            )
            for operation in quantize_ir(ir, images, scheme).get_ordered_ops()
            if operation.get_type_name() == "Convolution"
        ]

    everywhere = rounded_convolutions(scheme.model_copy(update={"float_first_conv": False}))
    assert len(everywhere) == 18
    assert all(everywhere)
    assert rounded_convolutions(scheme) == [False, *everywhere[1:]]


def test_openvino_finds_its_sensitive_layers_too() -> None:
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(3, 8, 3, 2), nn.ReLU()]
    for _ in range(3):
        layers += [nn.Conv2d(8, 8, 3), nn.ReLU()]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)).eval()
    # One channel before the third convolution is so wide that eight bits hold little else.
    with torch.no_grad():
        model[2].weight[0] *= 3000
        model[2].bias[0] = 3000
        model[4].weight[:, 0] /= 3000
    images = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
    ir = to_ir(to_onnx(model, NORMALIZATION, 64, 18))
    wanted = run_ir(ir, images)
    scheme = NncfScheme(tool="nncf")
    quantized = quantize_ir(ir, images, scheme)
    before = run_ir(quantized, images)
    ranked = sensitive_operations(quantized, images, wanted)
    assert np.array_equal(run_ir(quantized, images), before)  # it was left as it was
    assert len(ranked) == 5

    def error(*float_layers: str) -> float:
        return float(
            np.square(run_ir(quantize_ir(ir, images, scheme, float_layers), images) - wanted).mean()
        )

    assert error(ranked[0]) < 0.1 * np.square(before - wanted).mean()
    assert error(*ranked[1:]) > 0.5 * np.square(before - wanted).mean()


GRAPH = """
<ir_version: 8, opset_import: ["" : 18]>
graph (float[1, 2, 2] x) => (float[1, 2, 2] y) <float[2, 2] w = {{1, 2, 3, 4}}> {{ {nodes} }}
"""


@pytest.mark.parametrize(
    ("nodes", "attends"),
    [
        ("k = Transpose<perm=[0, 2, 1]>(x) s = MatMul(x, k) a = Softmax(s) y = MatMul(a, x)", True),
        ("s = MatMul(x, w) a = Softmax(s) b = Mul(a, x) c = MatMul(b, w) y = Add(c, x)", False),
        ("k = Transpose<perm=[0, 2, 1]>(x) s = MatMul(x, k) y = MatMul(s, x)", False),
    ],
    ids=["attention", "branches weighed by a softmax", "products without one"],
)
def test_attention_is_a_product_of_what_a_softmax_weighed(nodes: str, attends: bool) -> None:
    assert is_transformer(onnx.parser.parse_model(GRAPH.format(nodes=nodes))) == attends
