"""The export: run folder in, sealed bundle out, compared with torch after every stage."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from scipy.special import softmax

from edge_fgir._errors import InputError
from edge_fgir._files import to_json
from edge_fgir.benchmarking.accuracy import evaluation
from edge_fgir.data import DataSet, draw_by_class, typical_images
from edge_fgir.exporting.backends import make_backend
from edge_fgir.exporting.calibration import (
    Validation,
    calibration_set,
    fit_calibration,
)
from edge_fgir.exporting.gates import ParityReport, Stage
from edge_fgir.exporting.graph import Head, check_ops, run_onnx, to_onnx
from edge_fgir.exporting.target import Target
from edge_fgir.exporting.writer import check_out, describe, write_bundle
from edge_fgir.models import count_params
from edge_fgir.models.inference import logits_of
from edge_fgir.models.reduction import KeepRate, ReducedViT
from edge_fgir.models.trained import TrainedModel, load_at, read_labels
from edge_fgir.runtime import Bundle
from edge_fgir.runtime.manifest import Precision

_GOLDEN_IMAGES = 16


def resolve_precision(target: Target, wanted: str) -> Precision:
    """Return the precision to export; ``auto`` is the target's first.

    Raises:
        InputError: The target does not offer it.
    """
    for precision in target.precisions:
        if wanted in ("auto", precision):
            return precision
    raise InputError(
        f"--precision {wanted} is not offered for target {target.name}",
        f"one of auto, {', '.join(target.precisions)}",
    )


def export(
    run: Path,
    target: Target,
    data: DataSet,
    out: Path,
    *,
    precision: str = "auto",
    image_size: int | None = None,
    keep_rate: KeepRate | None = None,
    fixed_samples: bool = False,
    as_zip: bool = False,
    tell: Callable[[Stage], None] = lambda stage: None,
) -> Bundle:
    """Export a run's model for a target.

    Args:
        run: A finished run folder.
        target: Where it will run.
        data: The run's data set: calibration images come from train, all choices from val.
        out: Bundle to write.
        precision: ``auto`` or one the target offers.
        image_size: Side of the input, pixels; None: the run's own. BatchNorm statistics are
            measured again for another one.
        keep_rate: Share of the tokens that a stage keeps; None: the run's own.
        fixed_samples: Export ATS as a graph that always computes the most tokens it may keep.
        as_zip: Write one uncompressed zip instead of a folder.
        tell: Called with each measured stage.

    Raises:
        InputError: Run, data, target or precision do not go together, or ``out`` is not ours.
        GateError: A stage broke a bound; nothing was written.
    """
    chosen = resolve_precision(target, precision)
    check_out(out, as_zip=as_zip)
    _check_same_data(run, data)
    trained, model = load_at(
        run, partial(typical_images, data), image_size=image_size, keep_rate=keep_rate
    )
    if isinstance(model, ReducedViT):
        _check_fixed_shapes(model, fixed_samples)
        model.fold()
    validation = Validation.of(data, trained.preprocess)
    reference = logits_of(model, validation.images, trained.normalization, "torch")
    parity = ParityReport(reference, validation.labels, target.gates)

    exported = to_onnx(model, trained.normalization, trained.preprocess.size, target.opset)
    check_ops(exported, target.ops, target.name)
    tell(parity.add("onnx", run_onnx(exported, validation.images), exact=True))

    backend = make_backend(exported, target, chosen)
    quantized_on = None
    correction = np.zeros(trained.num_classes, np.float32)
    if chosen == "int8":
        quantized_on = calibration_set(data, trained.preprocess, target.quantization.images)
        backend.quantize(quantized_on.images)
        wanted = logits_of(model, quantized_on.images, trained.normalization, "bias correction")
        correction = (wanted - backend.run(quantized_on.images)).mean(axis=0)
    logits = backend.run(validation.images) + correction
    tell(parity.add(chosen, logits))

    calibration = fit_calibration(logits, validation.labels, quantized_on)
    head = Head(correction, calibration.temperature)
    labels = read_labels(run)
    probabilities = softmax(logits / calibration.temperature, axis=1)
    contents = {
        **backend.files(head, _model_api_metadata(trained, labels)),
        "labels.txt": "".join(f"{label}\n" for label in labels).encode(),
        "preprocess.json": to_json(trained.preprocess.model_dump()).encode(),
        "calibration.json": to_json(calibration.model_dump()).encode(),
        "reports/accuracy.json": to_json(
            {"split": "val", **evaluation(probabilities, validation.labels, labels)}
        ).encode(),
    }
    fields = describe(trained, target, chosen, backend.model_file, count_params(model))
    drawn = {s.path for s in draw_by_class(validation.samples, _GOLDEN_IMAGES)}
    golden = validation.images[[s.path in drawn for s in validation.samples]]
    bundle = write_bundle(out, contents, fields, golden, parity, validation.images, as_zip=as_zip)
    tell(parity.stages[-1])
    return bundle


def _check_fixed_shapes(model: ReducedViT, fixed_samples: bool) -> None:
    if model.reduction.adaptive and not fixed_samples:
        raise InputError(
            "token reduction ats keeps what a picture needs, and a graph has one shape",
            "another method, such as evit",
            "or add --fixed-samples: the most tokens are computed for every picture",
        )


def _check_same_data(run: Path, data: DataSet) -> None:
    if read_labels(run) != data.classes:
        trained = TrainedModel.read(run)
        raise InputError(
            f"run {run} knows other classes than data {data.name}",
            f"the data it was trained on ({trained.data.name})",
            "name it with --data",
        )


def _model_api_metadata(trained: TrainedModel, labels: tuple[str, ...]) -> dict[str, str]:
    """Return what OpenVINO's Model API reads (``rt_info`` and ONNX ``metadata_props``)."""
    return {
        "model_type": "Classification",
        # The list is joined by spaces, so a space inside a label must go.
        "labels": " ".join(label.replace(" ", "_") for label in labels),
        "resize_type": "standard",
        "interpolation_mode": {"bilinear": "LINEAR", "bicubic": "CUBIC"}[trained.preprocess.kernel],
        "reverse_input_channels": "YES",
        "mean_values": "0 0 0",
        "scale_values": "1 1 1",
        "input_dtype": "u8",
    }
