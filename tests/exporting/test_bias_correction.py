from itertools import pairwise

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from edge_fgir.exporting import make_backend, read_target, to_onnx
from edge_fgir.exporting.activations import Observer
from edge_fgir.exporting.bias_correction import with_corrected_biases
from edge_fgir.exporting.exact_sums import unclipped_steps
from edge_fgir.exporting.graph import first_convolution, linear_convolutions, run_onnx
from edge_fgir.exporting.qdq import quantize_onnx
from edge_fgir.exporting.target import NncfScheme, QdqScheme
from edge_fgir.runtime import Normalization

pytestmark = pytest.mark.export

NORMALIZATION = Normalization(mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
SCHEME = QdqScheme(tool="qdq", ops=("Conv", "Relu", "Clip", "Add"), float_first_conv=True)


def pictures(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def depthwise_network() -> nn.Module:
    """Depthwise and pointwise convolutions in turns, padded, strided, with and without bias."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.ReLU6()]
    for index in range(4):
        layers += [
            nn.Conv2d(16, 16, 5, padding=2, groups=16, bias=index % 2 == 0),
            nn.ReLU6(),
            nn.Conv2d(16, 16, 1),
            nn.ReLU6(),
        ]
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            layer.weight.data *= 3
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5)).eval()


@pytest.fixture(scope="module")
def graph() -> onnx.ModelProto:
    return to_onnx(depthwise_network(), NORMALIZATION, 32, 18)


def error(form: onnx.ModelProto, wanted: np.ndarray, images: np.ndarray) -> float:
    return float(np.sqrt(np.square(run_onnx(form, images) - wanted).mean()))


def with_rounded_weights(graph: onnx.ModelProto, *, unclipped: bool = False) -> onnx.ModelProto:
    """As int8 holds them, a channel at a time; activations in float."""
    result = onnx.ModelProto()
    result.CopyFrom(graph)
    for tensor in result.graph.initializer:
        weight = numpy_helper.to_array(tensor)
        if weight.ndim == 4 and weight.dtype == np.float32:
            scale = np.abs(weight).max(axis=(1, 2, 3), keepdims=True) / 127
            scale = unclipped_steps(weight, scale, axis=1) if unclipped else scale
            rounded = (np.round(weight / scale) * scale).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(rounded, tensor.name))
    return result


def values_of(graph: onnx.ModelProto, names: list[str], images: np.ndarray) -> list[np.ndarray]:
    seen = Observer(graph).of(images, names)
    return [seen[name].mean for name in names]


@pytest.mark.parametrize("unclipped", [False, True])
def test_a_rounded_layer_gives_on_average_what_it_gave(
    graph: onnx.ModelProto, unclipped: bool
) -> None:
    """Also at the padded border, and where there was no bias."""
    images = pictures(8)
    for conv in (node for node in graph.graph.node if node.op_type == "Conv"):
        others = [n.name for n in graph.graph.node if n.op_type == "Conv" and n is not conv]
        alone = with_corrected_biases(Observer(graph), images, others, unclipped=unclipped)
        weight = {conv.input[1]}
        kept = onnx.ModelProto()
        kept.CopyFrom(alone)
        for tensor, rounded in zip(
            kept.graph.initializer,
            with_rounded_weights(alone, unclipped=unclipped).graph.initializer,
            strict=True,
        ):
            if tensor.name in weight:
                tensor.CopyFrom(rounded)
        right, corrected = (values_of(form, [conv.output[0]], images)[0] for form in (graph, kept))
        difference = (corrected - right).mean(axis=(0, 2, 3))
        assert np.abs(difference).max() < 1e-5 * np.abs(right).max()


def test_layers_in_float_keep_their_biases(graph: onnx.ModelProto) -> None:
    images = pictures(4)
    every = [node.name for node in graph.graph.node if node.op_type == "Conv"]
    untouched = with_corrected_biases(Observer(graph), images, every)
    assert np.array_equal(run_onnx(untouched, images), run_onnx(graph, images))
    assert not np.array_equal(
        run_onnx(with_corrected_biases(Observer(graph), images, every[1:]), images),
        run_onnx(graph, images),
    )


def test_the_error_of_a_depthwise_network_falls(graph: onnx.ModelProto) -> None:
    """By what weights alone add, and with activations rounded too; on pictures never seen."""
    images, others = pictures(32), pictures(32, seed=1)
    wanted = run_onnx(graph, others)
    corrected = with_corrected_biases(Observer(graph), images)
    weights = [error(with_rounded_weights(form), wanted, others) for form in (graph, corrected)]
    assert weights[1] < 0.5 * weights[0]
    both = [
        error(
            quantize_onnx(
                Observer(graph), images, SCHEME.model_copy(update={"corrected_biases": on})
            ),
            wanted,
            others,
        )
        for on in (False, True)
    ]
    assert both[1] < both[0]


@pytest.mark.parametrize("target", ["openvino", "arm", "jetson"])
def test_every_target_corrects_and_leaves_the_first_convolution(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its weights are not rounded, so its bias must stay."""
    declared = read_target(target)
    graph = to_onnx(depthwise_network(), NORMALIZATION, 32, declared.opset)
    scheme = next(iter(declared.quantization.cnn.values()))
    assert isinstance(scheme, NncfScheme | QdqScheme)
    assert scheme.corrected_biases
    kept: list[str] = []

    def watched(
        observer: Observer, images: np.ndarray, float_layers: list[str], **options: bool
    ) -> object:
        kept.extend(float_layers)
        assert options.get("unclipped", False) == (target == "openvino")
        return with_corrected_biases(observer, images, float_layers, **options)

    where = "backends.openvino" if target == "openvino" else "qdq"
    monkeypatch.setattr(f"edge_fgir.exporting.{where}.with_corrected_biases", watched)
    images = pictures(8)
    form = make_backend(graph, declared, "fp32").quantized(scheme, images)
    assert set(kept) == set(first_convolution(graph))
    wanted = run_onnx(graph, images)
    assert error_of(form.run(images), wanted) < 0.2 * wanted.std()


class Excited(nn.Module):
    """A depthwise layer with squeeze-excite and a hard-swish."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.squeeze, self.excite = nn.Conv2d(16, 4, 1), nn.Conv2d(4, 16, 1)
        self.head = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.hardswish(self.depthwise(self.stem(x).relu()))
        gate = self.excite(self.squeeze(x.mean((2, 3), keepdim=True)).relu())
        return self.head((x * nn.functional.hardsigmoid(gate)).mean((2, 3)))


@pytest.mark.parametrize("target", ["openvino", "arm", "jetson"])
def test_squeeze_and_excite_stay_in_float(target: str) -> None:
    declared = read_target(target)
    graph = to_onnx(Excited().eval(), NORMALIZATION, 32, declared.opset)
    convs = [node.name for node in graph.graph.node if node.op_type == "Conv"]
    assert linear_convolutions(graph) == convs[2:]
    scheme, images = next(iter(declared.quantization.cnn.values())), pictures(8)
    backend = make_backend(graph, declared, "fp32").quantized(scheme, images)
    wanted = run_onnx(graph, images)
    quantized = {
        name.removesuffix("/WithoutBiases") for name in backend.sensitive_layers(images, wanted)
    }
    assert quantized & set(convs) == {convs[1]}
    assert error_of(backend.run(images), wanted) < 0.1 * wanted.std()


def error_of(logits: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.sqrt(np.square(logits - wanted).mean()))


def test_ranges_are_measured_once(graph: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_fgir.exporting import activations

    passes = []
    measured = activations._observed

    def counted(*arguments: object) -> dict[str, activations.Activation]:
        passes.append(arguments)
        return measured(*arguments)

    monkeypatch.setattr(activations, "_observed", counted)
    backend, images = make_backend(graph, read_target("arm"), "fp32"), pictures(4)
    for scheme in read_target("arm").quantization.cnn.values():
        backend.quantized(scheme, images)
    assert len(passes) == 1
    backend.quantized(SCHEME, pictures(4, seed=2))
    assert len(passes) == 2


def test_an_observer_knows_ends_and_means(graph: onnx.ModelProto) -> None:
    images = pictures(6)
    name = next(node.output[0] for node in graph.graph.node if node.op_type == "Clip")
    opened = onnx.ModelProto()
    opened.CopyFrom(graph)
    opened.graph.output.insert(0, onnx.ValueInfoProto(name=name))
    del opened.graph.output[1:]
    each = run_onnx(opened, images)
    seen = Observer(graph).of(images, [name])[name]
    assert (seen.lowest, seen.highest) == (each.min(), each.max())
    assert np.allclose(seen.mean[0], each.mean(axis=0), atol=1e-6)
    assert all(a >= b for a, b in pairwise((seen.highest, seen.mean.max(), seen.lowest)))
