"""Token reduction as a graph: fixed shapes, plain operators, the same answers everywhere."""

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from stirred import stir
from torch import nn

from edge_fgir.exporting.activations import Observer
from edge_fgir.exporting.graph import check_ops, run_onnx, to_onnx
from edge_fgir.exporting.openvino_ir import run_ir, to_ir
from edge_fgir.exporting.qdq import quantize_onnx, to_float16
from edge_fgir.exporting.target import read_target, target_names
from edge_fgir.models import Network
from edge_fgir.models.folding import folded
from edge_fgir.models.inference import logits_of
from edge_fgir.models.reduction import METHODS, Reduction
from edge_fgir.runtime.manifest import Normalization
from edge_fgir.runtime.runtimes.tensorrt.build import build_plan

pytestmark = pytest.mark.export

NORMALIZATION = Normalization(mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
FORBIDDEN = ("Scatter", "NonZero", "Unique", "Loop", "If", "Random", "Sequence")
STATIC = [method for method in METHODS if method != "none"]
SIZE = 96
"""36 patches: odd and even counts come up."""
OPSET = read_target("jetson").opset


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)


def reduced(method: str, clca: bool = True, name: str = "vit_tiny_patch16_224") -> Any:
    torch.manual_seed(0)
    reduction = Reduction(
        method=method, keep_rate=0.6, blocks=(1, 2), cla=clca, clr_tokens=int(clca)
    )
    options = {"depth": 4, "embed_dim": 48} if name.startswith("vit_") else {}
    model = Network(name=name, reduction=reduction, options=options).build(5, SIZE).eval()
    stir(model)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=1.5 / module.in_features**0.5)
    return model


def constants(graph: onnx.GraphProto) -> set[str]:
    nodes = {node.output[0] for node in graph.node if node.op_type == "Constant"}
    return nodes | {tensor.name for tensor in graph.initializer}


def check(graph: onnx.ModelProto, expected: np.ndarray, pictures: np.ndarray) -> None:
    for target in target_names():
        check_ops(graph, read_target(target).ops, target)
    kinds = {node.op_type for node in graph.graph.node}
    assert not [kind for kind in kinds if kind.startswith(FORBIDDEN)]
    fixed = constants(graph.graph)
    for node in graph.graph.node:
        if node.op_type == "TopK":
            assert node.input[1] in fixed
    inferred = onnx.shape_inference.infer_shapes(graph, strict_mode=True).graph
    for value in inferred.value_info:
        assert all(d.HasField("dim_value") for d in value.type.tensor_type.shape.dim), value.name
    scale = np.abs(expected).max()
    assert np.abs(run_onnx(graph, pictures) - expected).max() < 1e-4 * max(scale, 1)
    answers = run_ir(to_ir(graph), pictures)
    assert np.abs(answers - expected).max() < 1e-4 * max(scale, 1)
    assert (answers.argmax(1) == expected.argmax(1)).all()


@pytest.mark.parametrize(
    ("method", "clca"), [*((method, True) for method in STATIC), ("evit", False)]
)
def test_a_reduced_transformer_exports(method: str, clca: bool, pictures: np.ndarray) -> None:
    model = reduced(method, clca)
    expected = logits_of(model, pictures, NORMALIZATION, "torch")
    check(to_onnx(folded(model), NORMALIZATION, SIZE, OPSET), expected, pictures)


@pytest.mark.parametrize("method", ["evit"])
def test_a_reduced_vitfs_exports(method: str, pictures: np.ndarray) -> None:
    model = reduced(method, name="vitfs_nano")
    expected = logits_of(model, pictures, NORMALIZATION, "torch")
    check(to_onnx(folded(model), NORMALIZATION, SIZE, OPSET), expected, pictures)


def test_the_last_block_works_for_the_class_token_alone() -> None:
    model = reduced("evit")
    seen: list[int] = []
    model.backbone.blocks[3].mlp.register_forward_pre_hook(lambda _, x: seen.append(x[0].shape[1]))
    model.fold(class_token_only=False)
    with torch.inference_mode():
        model(torch.randn(1, 3, SIZE, SIZE))
        model.fold()
        model(torch.randn(1, 3, SIZE, SIZE))
    assert seen[0] > seen[1] == 1


@pytest.mark.slow
@pytest.mark.parametrize("method", STATIC)
def test_tensorrt_builds_it(method: str, pictures: np.ndarray) -> None:
    tensorrt_rtx = pytest.importorskip("tensorrt_rtx", reason="the builder has no wheel here")
    target = read_target("jetson")
    graph = to_onnx(folded(reduced(method)), NORMALIZATION, SIZE, OPSET)
    schemes = target.quantization.transformer.values()
    forms = (
        to_float16(graph),
        *(quantize_onnx(Observer(graph), pictures, scheme) for scheme in schemes),
    )
    for form in forms:
        plan = build_plan(
            tensorrt_rtx, form.SerializeToString(), compute_capabilities=target.compute_capabilities
        )
        assert len(plan) > 100_000
