"""LiteRT: torch's network as TensorFlow Lite, quantized, delegated and looked into."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch
from stirred import stir

from edge_fgir import GateError, InputError
from edge_fgir.exporting import make_backend, read_target, to_onnx
from edge_fgir.exporting.backends.litert import LiteRtBackend, delegation
from edge_fgir.exporting.features import with_features
from edge_fgir.exporting.graph import DeployGraph, Head, deployed, run_onnx, session_of
from edge_fgir.exporting.tflite import (
    HEAVY,
    call_of,
    operators_in,
    read,
    run_tflite,
    scopes_of,
    to_tflite,
    written,
)
from edge_fgir.exporting.traces import first_difference, trace_torch
from edge_fgir.models import Network
from edge_fgir.models.folding import folded
from edge_fgir.models.inference import logits_of
from edge_fgir.models.reduction import Reduction
from edge_fgir.runtime.formats import check_tflite
from edge_fgir.runtime.manifest import Normalization
from edge_fgir.runtime.runtimes.litert import open_interpreter
from edge_fgir.runtime.targets import operators_of

pytestmark = [
    pytest.mark.export,
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("litert_torch") is None, reason="edge-fgir[export-litert] is not installed"
    ),
]

NORMALIZATION = Normalization(mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
SIDE, CLASSES = 64, 5
TARGET = read_target("litert")
SMALL_VIT = ("vit_tiny_patch16_224", {"depth": 3, "embed_dim": 48})
SELECTING = ("evit", "tome", "topk")
REFUSED = ("ats", "dpcknn")
"""Methods of token reduction that the converter takes, and those that it does not."""


def reduced(method: str) -> tuple[str, dict[str, Any], Reduction]:
    return *SMALL_VIT, Reduction(method=method, keep_rate=0.6, blocks=(1,))


NETWORKS: dict[str, tuple[str, dict[str, Any], Reduction | None]] = {
    "lrnet14": ("lrnet14", {}, None),
    "vitfs_nano": ("vitfs_nano", {}, None),
    **{method: reduced(method) for method in (*SELECTING, *REFUSED)},
}
TAKEN = [key for key in NETWORKS if key not in REFUSED]


def pictures(count: int = 4) -> np.ndarray:
    """Blurred noise: of plain noise all pictures look alike to a network."""
    small = np.random.default_rng(0).integers(0, 256, (count, SIDE // 8, SIDE // 8, 3), np.uint8)
    return small.repeat(8, axis=1).repeat(8, axis=2)


@cache
def network_of(key: str) -> DeployGraph:
    torch.manual_seed(0)
    name, options, reduction = NETWORKS[key]
    model = Network(name=name, options=options, reduction=reduction).build(CLASSES, SIDE).eval()
    stir(model)
    return deployed(folded(model, crop_form=TARGET.crop), NORMALIZATION)


@cache
def backend_of(key: str, precision: Any = "fp32") -> LiteRtBackend:
    network = network_of(key)
    graph = to_onnx(network.model, NORMALIZATION, SIDE, TARGET.opset)
    made = make_backend(graph, TARGET, precision, network)
    assert isinstance(made, LiteRtBackend)
    return made


@pytest.mark.parametrize("key", TAKEN)
def test_it_answers_as_torch_does(key: str) -> None:
    wanted = logits_of(network_of(key).model, pictures(), NORMALIZATION, "torch")
    backend = backend_of(key)
    assert np.abs(backend.run(pictures()) - wanted).max() < 1e-4 * np.abs(wanted).max()
    check_tflite(backend.content, operators_of("litert"))
    half = backend_of(key, "fp16")
    assert np.abs(half.run(pictures()) - wanted).max() < 2e-2 * np.abs(wanted).max()
    assert len(half.content) < 0.6 * len(backend.content)


def test_static_int8_rounds_weights_by_channel_and_leaves_input_and_head_in_float() -> None:
    scheme = TARGET.quantization.cnn["static"]
    content = backend_of("lrnet14").quantized(scheme, pictures()).content
    model = read(content)
    tensors = model.subgraphs[0].tensors
    first, *others = [one for one in operators_in(model) if one.kind == "CONV_2D"]
    types = {"float32": 0, "int8": 9}
    assert tensors[first.inputs[1]].type == types["float32"]
    for one in others:
        weights = tensors[one.inputs[1]]
        assert weights.type == tensors[one.output].type == types["int8"]
        assert len(weights.quantization.scale) == weights.shape[0] > 1
        assert not np.any(weights.quantization.zeroPoint)
    (place,), (answer,) = model.subgraphs[0].inputs, model.subgraphs[0].outputs
    assert (tensors[place].type, list(tensors[place].shape)) == (3, [1, SIDE, SIDE, 3])
    assert tensors[answer].type == types["float32"]


def test_dynamic_int8_rounds_the_linear_layers() -> None:
    scheme = TARGET.quantization.transformer["dynamic"]
    base = backend_of("vitfs_nano")
    form = base.quantized(scheme, pictures())
    model = read(form.content)
    tensors = model.subgraphs[0].tensors
    linear = [one for one in operators_in(model) if one.kind == "FULLY_CONNECTED"]
    assert len(linear) > 10
    # Its attention has one head, whose products are no layers.
    assert {tensors[one.inputs[1]].type for one in linear if one.is_layer} == {9}
    assert {tensors[one.inputs[1]].type for one in linear if not one.is_layer} == {0}
    assert {tensors[one.inputs[0]].type for one in linear} == {0}
    wanted = base.run(pictures())
    error = form.run(pictures()) - wanted
    assert 0 < np.sqrt(np.square(error).mean()) < 0.1 * wanted.std()
    assert form.operations() != base.operations()


def test_biases_take_what_rounding_weights_adds() -> None:
    base, images = backend_of("lrnet14"), pictures(16)
    scheme = TARGET.quantization.cnn["static"]
    plain = scheme.model_copy(update={"corrected_biases": False})
    wanted = base.run(images)
    errors = [
        np.square(base.quantized(each, images).run(images) - wanted).mean()
        for each in (scheme, plain)
    ]
    assert errors[0] < errors[1]
    forms = [base.quantized(each, images).operations() for each in (scheme, plain)]
    assert forms[0] == forms[1]


def test_the_layers_that_cost_most_go_back_to_float_first() -> None:
    base, images = backend_of("lrnet14"), pictures(8)
    scheme = TARGET.quantization.cnn["static"].model_copy(update={"corrected_biases": False})
    wanted = base.run(images)
    ranked = base.quantized(scheme, images).sensitive_layers(images[:4], wanted[:4])
    kinds = [one.kind for one in operators_in(read(base.content))]
    assert len(ranked) == kinds.count("CONV_2D") - 1 + kinds.count("FULLY_CONNECTED")

    def error(layer: str) -> float:
        found = base.quantized(scheme, images, (layer,)).run(images[:4])
        return float(np.square(found - wanted[:4]).mean())

    assert error(ranked[0]) < error(ranked[-1])


@pytest.mark.parametrize("method", REFUSED)
def test_a_reduction_that_the_converter_does_not_take_is_named(method: str) -> None:
    with pytest.raises(GateError, match=r"litert-torch (cannot convert|makes 2 graphs)") as caught:
        to_tflite(network_of(method), SIDE)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("method", SELECTING)
def test_selected_tokens_are_those_that_torch_selects(method: str) -> None:
    """In INT8 too: the picked tokens' rows differ by rounding alone, not by other tokens."""
    backend = backend_of(method)
    scheme = TARGET.quantization.transformer["dynamic"]
    wanted, found = backend.run(pictures(8)), backend.quantized(scheme, pictures()).run(pictures(8))
    assert (wanted.argmax(axis=1) == found.argmax(axis=1)).mean() >= 0.75


@pytest.mark.parametrize("key", TAKEN)
def test_xnnpack_takes_every_heavy_operator(key: str) -> None:
    backend = backend_of(key)
    schemes = TARGET.quantization.cnn if key == "lrnet14" else TARGET.quantization.transformer
    # XNNPACK takes no FULLY_CONNECTED whose weights are computed: attention of one head, and ToMe's
    # comparison of its tokens.
    expected = {"vitfs_nano": "attn", "tome": ""}.get(key)
    for form in (backend, backend.quantized(next(iter(schemes.values())), pictures())):
        told = delegation(form.content, scopes_of(network_of(key)))
        left = {(one["operator"], one["layer"].split(".")[-1]) for one in told["heavy_left"]}
        assert left == (set() if expected is None else {("FULLY_CONNECTED", expected)})
        assert set(told["operators"]) & set(HEAVY)


def test_heavy_operators_that_xnnpack_leaves_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_fgir.exporting.backends import litert

    def without_delegate(content: bytes, threads: int) -> Any:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        kind = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        return Interpreter(model_content=content, experimental_op_resolver_type=kind)

    monkeypatch.setattr(litert, "open_interpreter", without_delegate)
    told = delegation(backend_of("lrnet14").content, scopes_of(network_of("lrnet14")))
    assert told["left"] == told["operators"]
    assert {"operator": "CONV_2D", "layer": "stem.2"} in told["heavy_left"]


def test_the_head_is_a_corrected_tempered_softmax() -> None:
    backend = backend_of("lrnet14")
    head = Head(np.asarray([0.5, 0, -0.5, 0, 1], np.float32), temperature=1.7)
    files = backend.files(head, {})
    logits = (backend.run(pictures()) + head.correction) / 1.7
    wanted = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.allclose(run_tflite(files["model.tflite"], pictures()), wanted, atol=1e-5)


@pytest.mark.parametrize("key", ["lrnet14", "vitfs_nano"])
@pytest.mark.parametrize("rounded", [False, True], ids=["float", "int8"])
def test_what_the_classifier_reads_is_a_second_output(key: str, rounded: bool) -> None:
    network = network_of(key)
    graph = with_features(to_onnx(network.model, NORMALIZATION, SIDE, TARGET.opset))
    backend = make_backend(graph, TARGET, "fp32", deployed(network.model, NORMALIZATION))
    if rounded:
        schemes = TARGET.quantization.cnn if key == "lrnet14" else TARGET.quantization.transformer
        backend = backend.quantized(next(iter(schemes.values())), pictures(16))
    files = backend.files(Head(np.zeros(CLASSES, np.float32), 1.0), {})
    check_tflite(files["model.tflite"], operators_of("litert"))
    interpreter = open_interpreter(files["model.tflite"])
    places = {one["name"]: one["index"] for one in interpreter.get_output_details()}
    assert list(places) == ["probabilities", "features"]
    session = session_of(graph)
    for image in pictures():
        call_of(interpreter, image[None])()
        found = interpreter.get_tensor(places["features"])
        _, wanted = session.run(["logits", "features"], {"image": image[None]})
        error = np.abs(found - wanted).max()
        assert found.shape == wanted.shape
        assert error < (0.3 if rounded else 1e-4) * np.abs(wanted).max()


def test_a_layer_that_computes_something_else_is_named() -> None:
    backend, network = backend_of("lrnet14"), network_of("lrnet14")
    right = trace_torch(network, pictures())
    assert first_difference(right, backend.trace(pictures()), 1e-3) == ""
    model = read(backend.content)
    operators = operators_in(model, scopes_of(network))
    spoilt = next(one for one in operators if "stages.2.0.residual.3" in one.modules)
    tensors = model.subgraphs[0].tensors
    weights = model.buffers[tensors[spoilt.inputs[1]].buffer]
    weights.data = np.zeros_like(np.frombuffer(weights.data, np.uint8))
    form = LiteRtBackend(written(model), backend._origin)
    named = first_difference(right, form.trace(pictures()), 1e-3)
    assert named.startswith(f"the numbers part first at layer {spoilt.modules[0]} ")


class Unknown(torch.nn.Module):
    def forward(self, pixels: Any) -> Any:
        return torch.special.bessel_j0(pixels.mean((2, 3)))


def test_an_operator_that_litert_lacks_is_named_with_its_layer(
    capfd: pytest.CaptureFixture[str],
) -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), Unknown())
    with pytest.raises(GateError, match=r"aten.special_bessel_j0.default \(layer 1\); ") as caught:
        to_tflite(deployed(model, NORMALIZATION), 16)
    assert len(str(caught.value).splitlines()) == 1
    assert capfd.readouterr().out == ""


def test_without_the_converter_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_fgir.exporting import tflite

    monkeypatch.setattr(tflite, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"litert-torch is not installed; .*\[export-litert\]"):
        to_tflite(network_of("lrnet14"), SIDE)


def test_what_was_made_of_onnx_and_of_torch_is_one_network() -> None:
    network = network_of("lrnet14")
    graph = to_onnx(network.model, NORMALIZATION, SIDE, TARGET.opset)
    found: Callable[[Any], Any] = backend_of("lrnet14").run
    assert np.abs(run_onnx(graph, pictures()) - found(pictures())).max() < 1e-4
