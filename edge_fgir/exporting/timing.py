"""Bundles that are only timed: the real graph and the real files, but weights nobody trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from edge_fgir._files import new_folder, sha256, to_json
from edge_fgir.exporting.builders import Backend, make_backend
from edge_fgir.exporting.features import exported_graph, feature_size
from edge_fgir.exporting.graph import DeployGraph, Head, deployed, is_transformer
from edge_fgir.exporting.target import LiteRtScheme, NncfScheme, Target
from edge_fgir.exporting.writer import describe, seal
from edge_fgir.models import folded
from edge_fgir.runs import TrainedModel
from edge_fgir.runtime import (
    MANIFEST,
    NOVELTY,
    SPACE,
    Bundle,
    Calibration,
    FeatureSpace,
    Novelty,
    Pixels,
    Precision,
    check_out,
    is_int8,
)

_RANGES_FROM = 2
"""Pictures of noise that INT8 ranges come from."""
_AXES = 64
"""Directions of a space of features: 20 to 75 on the data sets of ``benchmarks/unknown.py``."""


def timing_network(trained: TrainedModel, target: Target) -> DeployGraph:
    """Return what ``export`` converts of a model, with random weights, always the same.

    Time does not depend on weights, so nothing is loaded, calibrated or compared.
    """
    torch.manual_seed(0)
    model = trained.build().eval()
    awaken(model)
    form = folded(model, crop_form=target.crop)
    return deployed(form, trained.normalization)


def awaken(model: nn.Module) -> None:
    """Let weights and biases count that start at zero: runtimes leave out what adds nothing.

    Such are the norms at the ends of residual branches, which LiteRT's converter drops whole.
    """
    for module in model.modules():
        for name, fill in (("weight", 1.0), ("bias", 0.01)):
            value = getattr(module, name, None)
            if isinstance(value, nn.Parameter) and not value.any():
                nn.init.constant_(value, fill)


def timing_graph(trained: TrainedModel, target: Target) -> onnx.ModelProto:
    """Return the graph that ``export`` makes of :func:`timing_network`."""
    return exported_graph(timing_network(trained, target).model, trained, target)


def timing_backend(
    trained: TrainedModel, graph: onnx.ModelProto, target: Target, precision: Precision
) -> Backend:
    """Return a graph as the target's runtime loads it; INT8 by the first of its schemes."""
    backend = make_backend(graph, target, precision, timing_network(trained, target))
    if not is_int8(precision):
        return backend
    schemes = target.quantization
    scheme = next(iter((schemes.transformer if is_transformer(graph) else schemes.cnn).values()))
    if isinstance(scheme, NncfScheme):
        # It changes constants alone, and takes most of the time.
        scheme = scheme.model_copy(update={"bias_correction": False, "corrected_biases": False})
    if isinstance(scheme, LiteRtScheme):
        scheme = scheme.model_copy(update={"corrected_biases": False})
    side = graph.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    return backend.quantized(scheme, noise(side, _RANGES_FROM))


def write_timing_bundle(
    trained: TrainedModel, target: Target, precision: Precision, graph: onnx.ModelProto, out: Path
) -> Bundle:
    """Write a bundle of :func:`timing_graph` that ``bench`` runs; its answers mean nothing.

    It takes as long as what ``export`` will write: it tells features and looks for what is new.

    Raises:
        InputError: ``out`` exists and is no bundle.
        GateError: The target's builder refuses the graph.
    """
    check_out(out, as_zip=False)
    backend = timing_backend(trained, graph, target, precision)
    # A head that changes nothing would be left out.
    head = Head(np.linspace(-1, 1, trained.num_classes, dtype=np.float32), 1.5)
    features = feature_size(graph)
    contents = untrained_contents(trained, backend, head) | _anything_is_known(features)
    fields = describe(trained, target, precision, backend.model_file, params=0, features=features)
    with new_folder(out, replaces=MANIFEST) as draft:
        seal(draft, contents, fields)
    return Bundle(out)


def noise(side: int, count: int = 1) -> Pixels:
    """Return pictures that show nothing, (count, side, side, 3) ``uint8``."""
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def _anything_is_known(features: int | None) -> dict[str, bytes]:
    """Return the files that say what is new, of so many features, to which everything is known."""
    if features is None:
        return {}
    rows = np.random.default_rng(0).normal(size=(1 + _AXES, features)).astype(np.float32)
    novelty = Novelty(threshold=10.0, kept=1.0, rejected={})
    return {
        NOVELTY: to_json(novelty.model_dump()).encode(),
        SPACE: FeatureSpace(rows[0], rows[1:]).to_bytes(),
    }


def untrained_contents(
    trained: TrainedModel, backend: Backend, head: Head | None = None
) -> dict[str, bytes]:
    """Return the files of a bundle whose weights are random, by path: nothing was measured.

    Args:
        trained: The model.
        backend: Its network.
        head: What turns its logits into probabilities; None: softmax alone.
    """
    classes = trained.num_classes
    head = Head(np.zeros(classes, np.float32), 1.0) if head is None else head
    calibration = Calibration(
        temperature=1.0,
        unknown_threshold=0.0,
        kept=1.0,
        ece_before=0.0,
        ece_after=0.0,
        validation_images=0,
        quantization_images=0,
        quantization_hash=sha256(b""),
    )
    return {
        **backend.files(head, {}),
        "labels.txt": "".join(f"{index}\n" for index in range(classes)).encode(),
        "preprocess.json": to_json(trained.preprocess.model_dump()).encode(),
        "calibration.json": to_json(calibration.model_dump()).encode(),
    }
