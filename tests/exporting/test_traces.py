"""A number that goes wrong is found at its layer, in every form of the network."""

import numpy as np
import onnx
import pytest
import torch
from stirred import stir
from targets import exported_targets

from edge_fgir.exporting.builders import make_backend
from edge_fgir.exporting.graph import DeployGraph, deployed, to_onnx
from edge_fgir.exporting.openvino_ir import to_ir
from edge_fgir.exporting.target import read_target
from edge_fgir.exporting.traces import (
    first_difference,
    modules_of,
    trace_ir,
    trace_onnx,
    trace_torch,
)
from edge_fgir.models import Network
from edge_fgir.models.folding import folded
from edge_fgir.models.reduction import Reduction
from edge_fgir.runtime.manifest import Normalization

pytestmark = pytest.mark.export

NORMALIZATION = Normalization(mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
BROKEN = {
    "lrnet14": "stages.2.0.residual.0",
    "vitfs_nano": "blocks.5.mlp.fc1",
    "vit_tiny_patch16_224": "backbone.blocks.7.mlp.fc1",
}


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)


def network(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    if name == "lrnet14":
        return folded(Network(name=name).build(5))
    clca = Reduction(method="evit", keep_rate=0.5, cla=True, clr_tokens=1)
    reduction = clca if name.startswith("vit_") else None
    return folded(Network(name=name, reduction=reduction).build(5, 64))


@pytest.mark.parametrize("name", ["lrnet14", "vitfs_nano"])
def test_a_wrong_fold_is_found_at_its_block(name: str, pictures: np.ndarray) -> None:
    torch.manual_seed(0)
    model = Network(name=name).build(5).eval()
    stir(model)
    form = folded(model)

    def parts() -> str:
        right, found = (
            trace_torch(DeployGraph(each, NORMALIZATION), pictures, blocks=True)
            for each in (model, form)
        )
        return first_difference(right, found, 1e-3)

    assert parts() == ""
    block, layer = {
        "lrnet14": ("stages.2.0", "stages.2.0.residual.0"),
        "vitfs_nano": ("blocks.5", "blocks.5.mlp.fc1"),
    }[name]
    with torch.no_grad():
        form.get_submodule(layer).weight.neg_()
    assert f"layer {block} (" in parts()


def damaged(model: onnx.ModelProto, module: str) -> onnx.ModelProto:
    """The graph with one layer's weights turned round."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    value = next(v for v, name in modules_of(model).items() if name == module)
    producers = {output: node for node in result.graph.node for output in node.output}
    tensors = {tensor.name: tensor for tensor in result.graph.initializer}
    node = producers[value]
    while node.op_type not in ("Conv", "Gemm", "MatMul"):
        node = producers[node.input[0]]
    tensor = tensors[node.input[1]]
    array = -onnx.numpy_helper.to_array(tensor)
    tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    return result


@pytest.mark.parametrize("name", BROKEN)
def test_equal_forms_do_not_part_and_a_damaged_layer_is_named(
    name: str, pictures: np.ndarray
) -> None:
    model = network(name)
    graph = to_onnx(model, NORMALIZATION, 64, 18)
    names = modules_of(graph)
    right = trace_torch(DeployGraph(model, NORMALIZATION), pictures)
    assert len(right.keys() & set(names.values())) > 20
    assert first_difference(right, trace_onnx(graph, names, pictures), 1e-3) == ""
    assert first_difference(right, trace_ir(to_ir(graph), names, pictures), 1e-3) == ""

    # The BatchNorm behind a convolution took its place in the graph.
    module = BROKEN[name] if BROKEN[name] in names.values() else _next(BROKEN[name])
    wrong = damaged(graph, module)
    for found in (
        trace_onnx(wrong, names, pictures),
        trace_ir(to_ir(wrong), names, pictures),
    ):
        assert f"first at layer {module} " in first_difference(right, found, 1e-3)


def _next(module: str) -> str:
    parent, _, number = module.rpartition(".")
    return f"{parent}.{int(number) + 1}"


@pytest.mark.parametrize("target", exported_targets())
def test_quantized_networks_are_compared_layer_by_layer(target: str, pictures: np.ndarray) -> None:
    chosen = read_target(target)
    model = network("lrnet14")
    stir(model)  # LiteRT's converter leaves out branches that give nothing
    graph = to_onnx(model, NORMALIZATION, 64, chosen.opset)
    scheme = next(iter(chosen.quantization.cnn.values()))
    made = make_backend(graph, chosen, "int8", deployed(model, NORMALIZATION))
    backend = made.quantized(scheme, pictures)
    right = trace_onnx(graph, modules_of(graph), pictures)
    found = backend.trace(pictures)
    assert len(found) > 10
    assert first_difference(right, found, 0.5) == ""
    assert "part first at layer" in first_difference(right, found, 1e-4)


def test_numbers_that_are_none_part() -> None:
    right = {"a": np.ones(3), "b": np.ones(3)}
    assert "layer b" in first_difference(right, {"a": np.ones(3), "b": np.full(3, np.nan)}, 0.5)
