"""What networks of timm compute reaches a device, and nothing else does: operators one by one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from timm.layers.halo_attn import HaloAttn
from torch import Tensor, nn
from torch.nn import functional as F

from edge_fgir import GateError
from edge_fgir.exporting import read_target
from edge_fgir.exporting.builders import make_backend
from edge_fgir.exporting.graph import Head, check_ops, run_onnx, to_onnx
from edge_fgir.models import Network, logits_of
from edge_fgir.runtime import Normalization
from edge_fgir.runtime.formats import check_onnx, checked_ir
from edge_fgir.runtime.targets import operators_of

pytestmark = pytest.mark.export

NORMALIZATION = Normalization(mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
SIDE, CLASSES = 32, 3

Step = Callable[[Tensor], Tensor]


def square_attention(x: Tensor) -> Tensor:
    """Attention with as many heads as tokens, 4 of 8 channels."""
    tokens = F.adaptive_avg_pool2d(x, 2).flatten(2).transpose(1, 2)
    wide = torch.cat([tokens] * 24, 2) * torch.linspace(-3, 3, 96)
    q, k, v = wide.reshape(-1, 4, 3, 4, 8).permute(2, 0, 3, 1, 4).unbind(0)
    joined = ((q @ k.transpose(2, 3)).softmax(3) @ v).transpose(1, 2).reshape(-1, 4, 32)
    return (joined * torch.linspace(0, 1, 32)).unsqueeze(3)


STEPS: dict[str, tuple[str, Step]] = {
    "nearest": ("Resize", lambda x: F.interpolate(x, scale_factor=2.0)),
    "bilinear": ("Resize", lambda x: F.interpolate(x, (20, 20), mode="bilinear")),
    "bicubic": ("Resize", lambda x: F.interpolate(x, (20, 20), mode="bicubic")),
    "zeros": ("Pad", lambda x: F.avg_pool2d(F.pad(x, (0, 1, 0, 1)), 2, 1)),
    "group norm": ("InstanceNormalization", lambda x: F.group_norm(x, 1)),
    "reciprocal": ("Reciprocal", lambda x: torch.reciprocal(1 + x.square())),
    "tanh": ("Tanh", torch.tanh),
    "places": ("Gather", lambda x: x[:, :, [7, 0, 3, 3]]),  # torch writes it as GatherND
    "pooling": ("Gather", lambda x: F.adaptive_avg_pool2d(x, (7, 4))),  # and this, by two axes
    "attention": ("Softmax", square_attention),
}


class Around(nn.Module):
    """A convolution, one step, and a classifier."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.conv, self.step = nn.Conv2d(3, 4, 3), step
        self.head = nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.head(self.step(self.conv(x)).mean((2, 3)))
        return result


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)


@pytest.mark.parametrize("target", ["openvino", "arm", "jetson"])
@pytest.mark.parametrize("name", STEPS)
def test_a_step_is_exported_looked_through_and_right(
    name: str, target: str, pictures: np.ndarray
) -> None:
    operator, step = STEPS[name]
    chosen = read_target(target)
    torch.manual_seed(0)
    model = Around(step).eval()
    graph = to_onnx(model, NORMALIZATION, SIDE, chosen.opset)
    check_ops(graph, chosen.ops, target)
    if operator != "InstanceNormalization" or chosen.opset < 20:
        assert operator in {node.op_type for node in graph.graph.node}
    backend = make_backend(graph, chosen, "fp32")
    expected = logits_of(model, pictures, NORMALIZATION, "torch")
    assert np.abs(backend.run(pictures) - expected).max() < 1e-5
    files = backend.files(Head(np.zeros(CLASSES, np.float32), 1.0), {})
    listed = operators_of(chosen.runtime)
    if backend.model_file.endswith(".xml"):
        checked_ir(files[backend.model_file], len(files["openvino/model.bin"]), listed)
    else:
        check_onnx(files[backend.model_file], listed)


@pytest.mark.parametrize("name", STEPS)
def test_a_step_is_computed_in_float16_where_jetson_asks_for_it(
    name: str, pictures: np.ndarray
) -> None:
    """Some inputs, such as the scales of a Resize, stay float32."""
    target = read_target("jetson")
    torch.manual_seed(0)
    model = Around(STEPS[name][1]).eval()
    backend = make_backend(to_onnx(model, NORMALIZATION, SIDE, target.opset), target, "fp16")
    expected = logits_of(model, pictures, NORMALIZATION, "torch")
    assert np.abs(backend.run(pictures) - expected).max() < 1e-2
    assert "model.onnx" in backend.files(Head(np.zeros(CLASSES, np.float32), 1.0), {})


def test_zeros_in_front_of_a_max_pooling_stay_zeros(pictures: np.ndarray) -> None:
    """ONNX Runtime's optimiser takes them for the pooling's own padding; HGNet's stem has both."""

    def step(x: Tensor) -> Tensor:
        return F.max_pool2d(F.pad(-x.square() - 1, (0, 1, 0, 1)), 2, 1)

    torch.manual_seed(0)
    model = Around(step).eval()
    graph = to_onnx(model, NORMALIZATION, SIDE, 18)
    kinds = [node.op_type for node in graph.graph.node]
    assert "Pad" in kinds
    assert "MaxPool" in kinds
    expected = logits_of(model, pictures, NORMALIZATION, "torch")
    assert np.abs(run_onnx(graph, pictures) - expected).max() < 1e-5


def test_windows_that_overlap_are_quantized_for_openvino(pictures: np.ndarray) -> None:
    """A HaloNet's: OpenVINO fails to compile a Gather by a table where its input is quantized."""

    def step(x: Tensor) -> Tensor:
        windows: Tensor = attention(x[..., :8, :8])
        return windows

    torch.manual_seed(0)
    attention = HaloAttn(4, 4, num_heads=2, dim_head=4, block_size=4, halo_size=1).eval()
    model = Around(step).eval()
    target = read_target("openvino")
    graph = to_onnx(model, NORMALIZATION, SIDE, target.opset)
    check_ops(graph, target.ops, target.name)
    expected = logits_of(model, pictures, NORMALIZATION, "torch")
    assert np.abs(run_onnx(graph, pictures) - expected).max() < 1e-5
    scheme = next(iter(target.quantization.transformer.values()))
    quantized = make_backend(graph, target, "int8").quantized(scheme, pictures)
    assert np.abs(quantized.run(pictures) - expected).max() < 0.1


@pytest.mark.parametrize("runtime", ["onnxruntime", "tensorrt"])
@pytest.mark.parametrize("operator", ["If", "Loop", "Scan", "SequenceMap", "NonZero"])
def test_control_flow_and_shapes_that_pictures_change_stay_off_the_lists(
    operator: str, runtime: str
) -> None:
    assert operator not in operators_of(runtime)


@pytest.mark.parametrize("operator", ["Resize", "Pad", "InstanceNormalization", "Tanh"])
def test_a_listed_operator_with_a_graph_inside_is_refused(operator: str) -> None:
    node = onnx.helper.make_node(operator, ["x"], ["y"])
    node.attribute.add(name="body", type=onnx.AttributeProto.GRAPH).g.name = "inner"
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [], []))
    with pytest.raises(ValueError, match="AttributeProto has field 6"):
        check_onnx(model.SerializeToString(), operators_of("onnxruntime"))


def test_an_operator_off_the_list_is_named_with_its_layer() -> None:
    graph = to_onnx(Around(F.softplus).eval(), NORMALIZATION, SIDE, 18)
    with pytest.raises(GateError) as caught:
        check_ops(graph, read_target("arm").ops, "arm")
    assert "uses Softplus" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_attention_with_a_mask_is_written_in_its_parts(pictures: np.ndarray) -> None:
    """Torch's exporter fails on the fused operator: a view of a layout that is not there."""
    torch.manual_seed(0)
    model = Network(name="test_vit_relpos", options={"depth": 1}).build(CLASSES, SIDE).eval()
    graph = to_onnx(model, NORMALIZATION, SIDE, 18)
    assert "Softmax" in {node.op_type for node in graph.graph.node}
    expected = logits_of(model, pictures, NORMALIZATION, "torch")
    assert np.abs(run_onnx(graph, pictures) - expected).max() < 1e-5
