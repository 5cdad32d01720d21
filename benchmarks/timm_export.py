"""One network of timm with random weights, exported for targets and opened as a device does."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import timm
import torch
from PIL import Image
from torch import nn

from edge_fgir._errors import EdgeFgirError
from edge_fgir.exporting import Target, read_target
from edge_fgir.exporting.builders import Backend, make_backend
from edge_fgir.exporting.graph import Logits, check_ops, is_transformer, to_onnx
from edge_fgir.exporting.timing import untrained_contents
from edge_fgir.exporting.writer import describe, seal
from edge_fgir.models import Network, folded, logits_of, normalized, summarize
from edge_fgir.runs import TrainedModel
from edge_fgir.runtime import (
    Bundle,
    Classifier,
    DataInfo,
    Normalization,
    Pixels,
    Precision,
    Preprocess,
    find_runtime,
    open_engine,
)

Row = dict[str, Any]

_CLASSES, _IMAGES = 10, 8
_SIDES = (128, 224)
"""Input sides that are tried, pixels; then the one that timm built the network for."""
_LEAST_DEVIATION = 0.02
"""Of a layer's weights: some heads begin so small that no picture would be told from another."""
_NORMALIZATION = Normalization(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def row_of(name: str, targets: Sequence[str]) -> Row:
    """Export a network for the targets.

    Returns:
        Its input side, ``varies`` (the deviation of a centred logit over the pictures), and by
        target what :func:`_exported` says; or ``error``, where it cannot be built at all.
    """
    row: Row = {"network": name}
    try:
        row["size"] = side = _side_of(name)
        trained = TrainedModel(
            name=name,
            network=Network(name=name),
            num_classes=_CLASSES,
            normalization=_NORMALIZATION,
            preprocess=Preprocess(size=side),
            data=DataInfo(name="generated", licence="", hash="0" * 64),
        )
        torch.manual_seed(0)
        model, images = trained.build().eval(), _pictures(side)
        _stir(model, images)
        expected = logits_of(model, images, _NORMALIZATION, "torch")
        row["varies"] = float(_varying(_centred(expected)).std())
        row["targets"] = {
            target: _exported(trained, model, images, expected, read_target(target))
            for target in targets
        }
    except Exception as error:
        row["error"] = _first_line(error)
    return row


def _side_of(name: str) -> int:
    """Return the smallest input side that the network can be built for and takes, pixels."""
    for side in _SIDES:
        try:
            summarize(Network(name=name).build(_CLASSES, side, meta=True), name, side, _CLASSES)
        except EdgeFgirError:
            continue
        except NotImplementedError:  # something does not run without numbers
            pass
        return side
    return int(timm.get_pretrained_cfg(name).input_size[-1])


def _pictures(side: int) -> Pixels:
    """Return pictures of smooth colours with some grain, (N, side, side, 3)."""
    random = np.random.default_rng(0)
    smooth = random.integers(0, 256, (_IMAGES, 6, 6, 3), dtype=np.uint8)
    large = [np.asarray(Image.fromarray(each).resize((side, side))) for each in smooth]
    grain = random.normal(0, 12, (_IMAGES, side, side, 3))
    pictures: Pixels = np.clip(np.stack(large) + grain, 0, 255).astype(np.uint8)
    return pictures


@torch.no_grad()
def _stir(model: nn.Module, pictures: Pixels) -> None:
    """Give a fresh network what training gives: scales, shifts and statistics that differ.

    What a network begins with as a constant (norms, biases, LayerScale, a residual branch that is
    off) becomes random, then BatchNorms measure their statistics on the pictures.
    """
    torch.manual_seed(0)
    for parameter in model.parameters():
        start = float(parameter.flatten()[0])
        if not bool((parameter == start).all()):
            if parameter.ndim > 1 and 0 < float(parameter.std()) < _LEAST_DEVIATION / 4:
                parameter.mul_(_LEAST_DEVIATION / float(parameter.std()))
        elif abs(start) > 0.1:
            parameter.mul_(torch.empty_like(parameter).uniform_(0.7, 1.3))
        else:
            parameter.copy_(torch.empty_like(parameter).uniform_(-0.3, 0.3))
    for norm in model.modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm):
            norm.reset_running_stats()
            norm.momentum = None  # the mean of all batches
            norm.train()
    model(normalized(torch.from_numpy(pictures).permute(0, 3, 1, 2), _NORMALIZATION))
    model.eval()


def _exported(
    trained: TrainedModel, model: nn.Module, images: Pixels, expected: Logits, target: Target
) -> Row:
    """Export for one target, in float32 and INT8.

    Returns:
        ``delta``, what a centred logit of the opened bundle is off at most, ``int8`` (``scheme``
        and ``relative_error``, that of the logits over how they vary), or an ``error`` in place of
        either.
    """
    start = time.perf_counter()
    result: Row = {}
    try:
        form = folded(model, crop_form=target.crop)
        graph = to_onnx(form, trained.normalization, trained.preprocess.size, target.opset)
        check_ops(graph, target.ops, target.name)
        backend = make_backend(graph, target, "fp32")
        off = _off(trained, target, "fp32", backend, images, expected)
        result["delta"] = float(np.abs(off).max())
        result["int8"] = _quantized(trained, graph, target, images, expected)
    except Exception as error:
        result["error"] = _first_line(error)
    return {**result, "seconds": round(time.perf_counter() - start, 1)}


def _quantized(
    trained: TrainedModel,
    graph: onnx.ModelProto,
    target: Target,
    images: Pixels,
    expected: Logits,
) -> Row:
    schemes = target.quantization
    kind = schemes.transformer if is_transformer(graph) else schemes.cnn
    name, scheme = next(iter(kind.items()))
    try:
        backend = make_backend(graph, target, "int8").quantized(scheme, images)
        off = _off(trained, target, "int8", backend, images, expected)
    except Exception as error:
        return {"scheme": name, "error": _first_line(error)}
    noise, signal = _varying(off), _varying(_centred(expected))
    return {"scheme": name, "relative_error": float(noise.std() / signal.std())}


def _off(
    trained: TrainedModel,
    target: Target,
    precision: Precision,
    backend: Backend,
    images: Pixels,
    expected: Logits,
) -> Logits:
    """Write a bundle, open it as a device does, and return what its centred logits are off."""
    contents = untrained_contents(trained, backend)
    fields = describe(trained, target, precision, backend.model_file, params=0)
    with tempfile.TemporaryDirectory() as folder:
        seal(Path(folder), contents, fields)
        bundle = Bundle(Path(folder))
        engine = open_engine(bundle, find_runtime(target.runtime).gate_device)
        with Classifier(bundle, engine) as classifier:
            answers = [classifier.infer(image[None]) for image in images]
    logits = np.log(np.maximum(np.concatenate(answers), 1e-30))
    return _centred(logits) - _centred(expected)


def _centred(logits: Logits) -> Logits:
    centred: Logits = logits - logits.mean(axis=1, keepdims=True)
    return centred


def _varying(logits: Logits) -> Logits:
    varying: Logits = logits - logits.mean(axis=0)
    return varying


def _first_line(error: Exception) -> str:
    text = next((line for line in str(error).splitlines() if line.strip()), "")
    return text if isinstance(error, EdgeFgirError) else f"{type(error).__name__}: {text}"
