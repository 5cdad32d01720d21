"""Bundles that are only timed: the real graph and the real files, but weights nobody trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from edge_fgir._files import new_folder, sha256, to_json
from edge_fgir.exporting.builders import Backend, make_backend
from edge_fgir.exporting.graph import DeployGraph, Head, deployed, is_transformer, to_onnx
from edge_fgir.exporting.target import LiteRtScheme, NncfScheme, Target
from edge_fgir.exporting.writer import describe, seal
from edge_fgir.models import folded
from edge_fgir.runs import TrainedModel
from edge_fgir.runtime import (
    MANIFEST,
    Bundle,
    Calibration,
    Pixels,
    Precision,
    check_out,
    is_int8,
)

_RANGES_FROM = 2
"""Pictures of noise that INT8 ranges come from."""


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
    """Let norms multiply that start at zero, as those at the ends of residual branches do: LiteRT's
    converter leaves out a branch that gives nothing."""
    for module in model.modules():
        weight = getattr(module, "weight", None)
        if isinstance(weight, nn.Parameter) and not weight.any():
            nn.init.ones_(weight)


def timing_graph(trained: TrainedModel, target: Target) -> onnx.ModelProto:
    """Return the graph that ``export`` makes of :func:`timing_network`."""
    network = timing_network(trained, target)
    return to_onnx(network.model, trained.normalization, trained.preprocess.size, target.opset)


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

    Raises:
        InputError: ``out`` exists and is no bundle.
        GateError: The target's builder refuses the graph.
    """
    check_out(out, as_zip=False)
    backend = timing_backend(trained, graph, target, precision)
    contents = untrained_contents(trained, backend)
    fields = describe(trained, target, precision, backend.model_file, params=0)
    with new_folder(out, replaces=MANIFEST) as draft:
        seal(draft, contents, fields)
    return Bundle(out)


def noise(side: int, count: int = 1) -> Pixels:
    """Return pictures that show nothing, (count, side, side, 3) ``uint8``."""
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def untrained_contents(trained: TrainedModel, backend: Backend) -> dict[str, bytes]:
    """Return the files of a bundle whose weights are random, by path: nothing was measured."""
    classes = trained.num_classes
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
        **backend.files(Head(np.zeros(classes, np.float32), 1.0), {}),
        "labels.txt": "".join(f"{index}\n" for index in range(classes)).encode(),
        "preprocess.json": to_json(trained.preprocess.model_dump()).encode(),
        "calibration.json": to_json(calibration.model_dump()).encode(),
    }
