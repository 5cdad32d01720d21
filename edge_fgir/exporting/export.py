"""The export: run folder in, sealed bundle out, compared with torch after every stage."""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal, cast

import onnx
from scipy.special import softmax
from torch import nn

from edge_fgir._errors import InputError
from edge_fgir._files import to_json
from edge_fgir.data import DataSet, draw_by_class, typical_images
from edge_fgir.evaluation import Shots, SingleLabel
from edge_fgir.exporting.builders import Backend, find_builder, make_backend
from edge_fgir.exporting.calibration import (
    Validation,
    calibration_set,
    fit_calibration,
)
from edge_fgir.exporting.gates import ParityGates
from edge_fgir.exporting.graph import (
    DeployGraph,
    Head,
    check_ops,
    is_transformer,
    run_onnx,
    selects,
    to_onnx,
)
from edge_fgir.exporting.model_api import model_api_metadata
from edge_fgir.exporting.regions import regions_of
from edge_fgir.exporting.residual import residual_report
from edge_fgir.exporting.search import Choice, Search, Trial
from edge_fgir.exporting.target import Target
from edge_fgir.exporting.traces import first_difference, modules_of, trace_onnx, trace_torch
from edge_fgir.exporting.writer import check_out, describe, write_bundle
from edge_fgir.models import as_wrapper, count_params
from edge_fgir.models.folding import folded
from edge_fgir.models.inference import logits_of
from edge_fgir.models.logit_adjustment import adjustment, best_tau, with_adjustment
from edge_fgir.models.setting import Setting
from edge_fgir.results import AccuracyReport, BundleReport, Stage
from edge_fgir.runs import Run, TrainedModel
from edge_fgir.runtime import Bundle, Pixels
from edge_fgir.runtime.manifest import Precision
from edge_fgir.runtime.signature import SigningKey

Tell = Callable[[Stage | Trial | Choice], None]

_GOLDEN_IMAGES = 16
_EXACT, _ROUNDED = 1e-3, 0.25
"""Relative difference of a layer's outputs that counts as parting: in float32, and quantized."""
_MOST_BYTES = 2_000_000_000


def check_precision(target: Target, wanted: str) -> None:
    """Raise InputError if ``target`` does not offer a precision; ``auto`` always goes."""
    if wanted not in ("auto", *target.precisions):
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
    setting: Setting | None = None,
    fixed_samples: bool = False,
    logit_adjustment: float | Literal["auto"] | None = None,
    as_zip: bool = False,
    signing_key: SigningKey | None = None,
    tell: Tell = lambda event: None,
) -> Bundle:
    """Export a run's model for a target.

    Args:
        run: A finished run folder.
        target: Where it will run.
        data: The run's data set: calibration images come from train, all choices from val.
        out: Bundle to write.
        precision: One the target offers; ``auto``: INT8 where it keeps the gates and is faster.
        setting: Input size, keep rate and token reduction method; None: as the run was
            trained.
            BatchNorm statistics are measured again for another one.
        fixed_samples: Export ATS as a graph that always computes the most tokens it may keep.
        logit_adjustment: tau of the post-hoc logit adjustment, folded into the classifier; torch is
            adjusted alike. ``auto``: the best for the macro accuracy on val. None: none.
        as_zip: Write one uncompressed zip instead of a folder.
        signing_key: Signs the manifest; None: the bundle is not signed.
        tell: Called with each measured stage, each scheme that was tried, and the choice.

    Raises:
        InputError: Run, data, target or precision do not go together, or ``out`` is not ours.
        GateError: A stage broke a bound; nothing was written.
    """
    check_precision(target, precision)
    check_out(out, as_zip=as_zip)
    opened = Run.open(run).at(setting)
    opened.check_classes(data)
    trained, model = opened.description, opened.load(partial(typical_images, data))
    _check_fixed_shapes(model, fixed_samples)
    _check_weights(model, run)
    validation = Validation.of(data, trained.preprocess)
    counts = trained.train_counts or tuple(data.counts("train"))
    tau = _adjust(model, trained, validation, counts, logit_adjustment)
    reference = logits_of(model, validation.images, trained.normalization, "torch")
    parity = ParityGates(reference, validation.labels, target.gates)

    form = folded(model, crop_form=target.crop)
    logits = logits_of(form, validation.images, trained.normalization, "folded")
    explain = partial(_where_folded_parts, model, form, trained, validation.images)
    tell(parity.add("folded", logits, exact=True, explain=explain))

    exported = to_onnx(form, trained.normalization, trained.preprocess.size, target.opset)
    check_ops(exported, target.ops, target.name)
    logits = run_onnx(exported, validation.images)
    explain = partial(_where_onnx_parts, form, trained, exported, validation.images)
    tell(parity.add("onnx", logits, exact=True, explain=explain))

    quantized_on = None
    reports: list[BundleReport | None] = [
        residual_report(form, validation.images, trained.normalization, target, precision)
    ]
    if precision in ("auto", "int8"):
        quantized_on = calibration_set(data, trained.preprocess, target.quantization.images)
        search = Search(
            float32=make_backend(exported, target, "fp32"),
            fallback=make_backend(exported, target, target.float_precision),
            fallback_precision=target.float_precision,
            parity=parity,
            validation=validation.images,
            calibration=quantized_on,
            wanted=logits_of(form, quantized_on.images, trained.normalization, "calibration"),
            foreign=target.machine != platform.machine(),
            tell=tell,
        )
        choice = search.run(
            target.quantization,
            transformer=is_transformer(exported),
            float_too=precision == "auto",
        )
        tell(choice)
        reports.append(choice.report())
        made = choice.trial
    else:
        chosen = cast("Precision", precision)
        backend = make_backend(exported, target, chosen)
        made = Trial.of(precision, chosen, backend, parity, validation.images)
    explain = partial(_where_backend_parts, exported, made.backend, validation.images)
    exact = made.precision == "fp32" and not selects(exported)
    tell(parity.add(made.precision, made.logits, exact=exact, explain=explain))

    calibration = fit_calibration(made.logits, validation.labels, quantized_on)
    head = Head(made.correction, calibration.temperature)
    labels = opened.labels
    probabilities = softmax(made.logits / calibration.temperature, axis=1)
    figures = SingleLabel().figures(probabilities, validation.labels, labels, Shots(counts))
    reports.append(AccuracyReport(**dict(figures), split="val", logit_adjustment=tau))
    contents = {
        **made.backend.files(head, model_api_metadata(trained.preprocess, labels)),
        "labels.txt": "".join(f"{label}\n" for label in labels).encode(),
        "preprocess.json": to_json(trained.preprocess.model_dump()).encode(),
        "calibration.json": to_json(calibration.model_dump()).encode(),
    }
    for report in filter(None, reports):
        contents |= report.as_file()
    if companions := find_builder(target.runtime).companions:
        model_file = contents[made.backend.model_file]
        contents |= companions(model_file, trained.preprocess, labels, calibration, made.precision)
    fields = describe(trained, target, made.precision, made.backend.model_file, count_params(model))
    drawn = {s.path for s in draw_by_class(validation.samples, _GOLDEN_IMAGES)}
    golden = validation.images[[s.path in drawn for s in validation.samples]]
    bundle = write_bundle(
        out,
        contents,
        fields,
        golden,
        parity,
        validation.images,
        exact=exact,
        regions=regions_of(model, validation.images, trained.normalization),
        as_zip=as_zip,
        signing_key=signing_key,
    )
    tell(parity.stages[-1])
    return bundle


def _adjust(
    model: nn.Module,
    trained: TrainedModel,
    validation: Validation,
    counts: tuple[int, ...],
    wanted: float | Literal["auto"] | None,
) -> float | None:
    """Adjust a model's logits in place and return tau."""
    if wanted is None:
        return None
    if wanted == "auto":
        logits = logits_of(model, validation.images, trained.normalization, "logit adjustment")
        wanted = best_tau(logits, validation.labels, counts)
    with_adjustment(model, adjustment(counts, wanted), trained.preprocess.size)
    return wanted


def _where_folded_parts(
    model: nn.Module, form: nn.Module, trained: TrainedModel, images: Pixels
) -> str:
    right, found = (
        trace_torch(DeployGraph(each, trained.normalization), images, blocks=True)
        for each in (model, form)
    )
    return first_difference(right, found, _EXACT)


def _where_onnx_parts(
    form: nn.Module, trained: TrainedModel, exported: onnx.ModelProto, images: Pixels
) -> str:
    right = trace_torch(DeployGraph(form, trained.normalization), images)
    return first_difference(right, trace_onnx(exported, modules_of(exported), images), _EXACT)


def _where_backend_parts(exported: onnx.ModelProto, backend: Backend, images: Pixels) -> str:
    right = trace_onnx(exported, modules_of(exported), images)
    return first_difference(right, backend.trace(images), _ROUNDED)


def _check_weights(model: nn.Module, run: Path) -> None:
    """Refuse weights that are not numbers, and more of them than an ONNX file holds."""
    size = 0
    for name, value in model.state_dict().items():
        size += value.numel() * value.element_size()
        if value.is_floating_point() and not value.isfinite().all():
            raise InputError(
                f"the weights of {run} are not finite: {name}",
                "a training that did not diverge",
                "train again with a smaller optimizer.lr",
            )
    if size >= _MOST_BYTES:
        raise InputError(
            f"the weights of {run} take {size / 1e9:.1f} GB",
            "less than 2 GB, which is all that an ONNX file can hold",
            "train a smaller model",
        )


def _check_fixed_shapes(model: nn.Module, fixed_samples: bool) -> None:
    if as_wrapper(model).adaptive and not fixed_samples:
        raise InputError(
            "token reduction ats keeps what a picture needs, and a graph has one shape",
            "another method, such as evit",
            "or add --fixed-samples: the most tokens are computed for every picture",
        )
