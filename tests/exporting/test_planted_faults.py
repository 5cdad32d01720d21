"""Gross faults, planted in the place of INT8: the search takes none of them for it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from PIL import Image

from edge_fgir.data import labels_of, open_data, prepared_images
from edge_fgir.exporting import read_target, search
from edge_fgir.exporting.builders import make_backend
from edge_fgir.exporting.calibration import CalibrationSet
from edge_fgir.exporting.gates import ParityGates
from edge_fgir.exporting.graph import to_onnx
from edge_fgir.exporting.search import Choice, Search
from edge_fgir.exporting.target import NncfScheme, Quantization
from edge_fgir.models import folded
from edge_fgir.runs import Run

pytestmark = pytest.mark.export

Pictures = np.ndarray
Same: Callable[[np.ndarray], np.ndarray] = lambda array: array  # noqa: E731


@dataclass
class Planted:
    """The network, and what takes the place of its INT8 form."""

    plain: Any
    form: Any
    see: Callable[[Pictures], Pictures] = Same
    say: Callable[[np.ndarray], np.ndarray] = Same

    def quantized(self, scheme: object, images: Pictures, floats: Sequence[str] = ()) -> Planted:
        return Planted(self.form, self.form, self.see, self.say)

    def run(self, images: Pictures) -> np.ndarray:
        if self.plain is self.form:
            return self.say(self.plain.run(np.ascontiguousarray(self.see(images))))
        return self.plain.run(images)

    def operations(self) -> Hashable:
        return id(self)

    def sensitive_layers(self, images: Pictures, wanted: np.ndarray) -> list[str]:
        return []

    def call(self, image: Pictures) -> None:
        return None


@dataclass
class Network:
    """The tiny run, as an export has it."""

    graph: onnx.ModelProto
    plain: Any
    images: Pictures
    labels: np.ndarray
    calibration: Pictures

    def search(self, graph: onnx.ModelProto | None = None, **planted: Any) -> Choice:
        target = read_target("openvino")
        form = make_backend(graph or self.graph, target, "fp32")
        backend: Any = Planted(self.plain, form, **planted)
        scheme = NncfScheme(tool="nncf")
        return Search(
            float32=backend,
            base=backend,
            fallback=backend,
            fallback_precision="fp32",
            parity=ParityGates(self.plain.run(self.images), self.labels, target.gates),
            validation=self.images,
            calibration=CalibrationSet(self.calibration, "0" * 64),
            wanted=self.plain.run(self.calibration),
        ).run(
            Quantization(cnn={"planted": scheme}, transformer={"planted": scheme}),
            transformer=False,
            float_too=True,
        )


@pytest.fixture(scope="module")
def network(tiny_run: Path, photos: Path) -> Network:
    run, data, target = Run.open(tiny_run), open_data(str(photos)), read_target("openvino")
    described = run.description
    form = folded(run.load(), crop_form=target.crop)
    graph = to_onnx(form, described.normalization, described.preprocess.size, target.opset)
    val, train = (data.split(split) for split in ("val", "train"))
    return Network(
        graph,
        make_backend(graph, target, "fp32"),
        prepared_images(data, val, described.preprocess),
        labels_of(val),
        prepared_images(data, train, described.preprocess),
    )


def coarse(images: Pictures) -> Pictures:
    """Shrink and stretch without interpolation."""
    nearest = Image.Resampling.NEAREST
    side = images.shape[1]
    small = [Image.fromarray(image).resize((4, 4), nearest) for image in images]
    return np.stack([np.asarray(each.resize((side, side), nearest)) for each in small])


def without_layers(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Let one convolution in the middle give nothing."""
    form = copy.deepcopy(graph)
    weights = {node.input[1] for node in form.graph.node if node.op_type == "Conv"}
    tensors = [tensor for tensor in form.graph.initializer if tensor.name in weights]
    lost = tensors[1]
    zeros = np.zeros_like(numpy_helper.to_array(lost))
    lost.CopyFrom(numpy_helper.from_array(zeros, lost.name))
    return form


def clipped(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Clip what every convolution sums up, as an accumulator that is too narrow would."""
    form = copy.deepcopy(graph)
    nodes = list(form.graph.node)
    del form.graph.node[:]
    for end, value in (("least", -0.02), ("most", 0.02)):
        form.graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), end))
    for node in nodes:
        form.graph.node.append(node)
        if node.op_type == "Conv":
            name = node.output[0]
            form.graph.node[-1].output[0] = f"{name}_sum"
            clip = helper.make_node("Clip", [f"{name}_sum", "least", "most"], [name])
            form.graph.node.append(clip)
    return form


def test_the_same_in_another_place_is_taken(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_SECONDS", 600.0)  # however busy the machine is
    choice = network.search()
    assert choice.trial.precision == "int8"
    verdict = choice.trial.stage.verdict
    assert verdict is not None
    assert verdict.views >= 900
    # 36 images prove nothing, however many views of them are shown: it ships with its interval.
    assert (verdict.drop, verdict.state) == (0.0, "undecided")


@pytest.mark.parametrize(
    ("spoil", "planted"),
    [
        (without_layers, {}),
        (clipped, {}),
        (None, {"see": coarse}),
        (None, {"see": lambda images: images[..., ::-1]}),
        (None, {"say": lambda logits: np.roll(logits, 1, axis=1)}),
    ],
    ids=["a lost layer", "clipped sums", "a wrong resize", "colours swapped", "classes permuted"],
)
def test_a_gross_fault_is_refused(
    network: Network,
    spoil: Callable[[onnx.ModelProto], onnx.ModelProto] | None,
    planted: dict[str, Any],
) -> None:
    choice = network.search(spoil(network.graph) if spoil else None, **planted)
    assert choice.trial.precision == "fp32"
    assert choice.why.startswith("every INT8 scheme is refused: top-1 falls by")
