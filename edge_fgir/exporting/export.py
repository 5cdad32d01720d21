"""The export: run folder in, sealed bundle out, compared with torch after every stage."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import onnx
from scipy.special import softmax
from torch import nn

from edge_fgir._errors import InputError
from edge_fgir._files import to_json
from edge_fgir.data import DataSet
from edge_fgir.evaluation import Shots, SingleLabel
from edge_fgir.exporting.builders import Backend, find_builder, make_backend, refusals
from edge_fgir.exporting.calibration import (
    KEPT,
    CalibrationSet,
    calibration_set,
    fit_calibration,
)
from edge_fgir.exporting.features import exported_graph, feature_size
from edge_fgir.exporting.frigate import compare_frigate, frigate_files
from edge_fgir.exporting.graph import (
    DeployGraph,
    Head,
    check_ops,
    deployed,
    is_transformer,
    run_onnx,
    selects,
)
from edge_fgir.exporting.model_api import model_api_metadata
from edge_fgir.exporting.novelty import KEPT_BY_EACH, Pictures
from edge_fgir.exporting.options import (
    DEFAULTS,
    ExportOptions,
    check_precision,
    check_program,
    check_unknown,
)
from edge_fgir.exporting.regions import regions_of
from edge_fgir.exporting.residual import residual_report
from edge_fgir.exporting.search import Choice, Search, Trial
from edge_fgir.exporting.source import Ancestor, Source
from edge_fgir.exporting.target import Target
from edge_fgir.exporting.traces import first_difference, modules_of, trace_onnx, trace_torch
from edge_fgir.exporting.web import page_files
from edge_fgir.exporting.writer import describe, write_bundle
from edge_fgir.models import count_params, folded
from edge_fgir.results import AccuracyReport, BundleReport, FrigateReport, SchemeFailure, Stage
from edge_fgir.runs import TrainedModel
from edge_fgir.runtime import Bundle, Calibration, Pixels, Precision, check_out, is_int8


@dataclass(frozen=True)
class FormBegins:
    """What is told next is about the files for one of several runtimes.

    Attributes:
        target: Whose files they are.
        runtime: Which opens them.
    """

    target: str
    runtime: str


Tell = Callable[[Stage | Trial | SchemeFailure | Choice | FrigateReport | FormBegins], None]
Make = Callable[[Precision], Backend]
"""Returns the network as the target's runtime loads it."""

_EXACT, _ROUNDED = 1e-3, 0.25
"""Relative difference of a layer's outputs that counts as parting: in float32, and quantized."""


def export(
    run: Path,
    target: Target,
    data: DataSet,
    out: Path,
    options: ExportOptions = DEFAULTS,
    tell: Tell = lambda event: None,
    *,
    ancestor: Ancestor | None = None,
) -> Bundle:
    """Export a run's model for a target.

    Args:
        run: A finished run folder.
        target: Where it will run.
        data: The run's data set: calibration images come from train, all choices from val.
        out: Bundle to write.
        options: How.
        tell: Called with each measured stage, each scheme that was tried, and the choice.
        ancestor: The run that ``run`` was trained on from: the opened bundle is judged against it.
            None: against ``run``, as all stages before are.

    Raises:
        InputError: Run, data, target or precision do not go together, or ``out`` is not ours.
        GateError: A stage broke a bound; nothing was written.
    """
    check_precision(target, options.precision)
    check_program(target, options.program)
    check_unknown(target, options.unknown)
    check_out(out, as_zip=options.as_zip)
    page = page_files(target)
    source = Source.read(run, data, target.gates, options, ancestor)
    form = _folded(source, target, tell)
    graph = _as_onnx(source, form, target, tell)
    make = partial(
        make_backend, graph, target, network=deployed(form, source.trained.normalization)
    )
    residual = residual_report(
        form, source.images, source.trained.normalization, target, options.precision
    )
    drawn = calibration_set(data, source.trained.preprocess, target.quantization.images)
    features = feature_size(graph)
    if features is None and options.unknown is not None:
        raise InputError(
            f"--unknown {options.unknown} with a network that tells no features",
            "one that looks once and ends in a linear layer",
            "leave --unknown out: the bundle goes by the score alone",
        )
    pictures = (
        None
        if features is None
        else Pictures.of(drawn.images, source.trained.preprocess, options.unknown)
    )
    quantized_on, quantization = None, None
    if options.precision == "auto" or is_int8(options.precision):
        quantized_on = drawn
        choice = _search(source, form, graph, make, target, quantized_on, options, tell)
        made, quantization = choice.trial, choice.report()
    else:
        made = _in_float(source, make, target, cast("Precision", options.precision))
    exact = made.precision == "fp32" and not selects(graph)
    explain = partial(_where_backend_parts, graph, made.backend, source.images)
    gate = source.parity.add(
        made.precision, made.logits, exact=exact, views=made.views, explain=explain
    )
    tell(gate)
    kept = KEPT if features is None else KEPT_BY_EACH
    calibration = fit_calibration(made.logits, source.validation.labels, quantized_on, kept)
    accuracy = _accuracy(source, made, calibration)
    contents = page | _contents(
        source, target, made, calibration, [residual, quantization, accuracy]
    )
    if options.program is not None:
        # It goes by the score alone.
        alone = fit_calibration(made.logits, source.validation.labels, quantized_on)
        contents |= _for_frigate(source, data, made, alone, contents, options.program, tell)
    bundle = write_bundle(
        out,
        contents,
        describe(
            source.trained,
            target,
            made.precision,
            made.backend.model_file,
            count_params(source.model),
            features,
            source.origin,
        ),
        source.golden,
        source.judge,
        source.images,
        made.logits,
        # They are compared with the run's own answers, which say nothing of its ancestor's.
        made.views if ancestor is None else None,
        exact=exact and ancestor is None,
        regions=regions_of(source.model, source.images, source.trained.normalization),
        pictures=pictures,
        as_zip=options.as_zip,
        signing_key=options.signing_key,
    )
    tell(source.parity.stages[-1])
    return bundle


def _folded(source: Source, target: Target, tell: Tell) -> nn.Module:
    """Return the model as it is exported, BatchNorms and constants folded."""
    form = folded(source.model, crop_form=target.crop)
    few = source.parity.few
    logits = source.logits(form, source.images[few], "folded")
    explain = partial(_where_folded_parts, source.model, form, source.trained, source.images)
    tell(source.parity.on(few).add("folded", logits, exact=True, explain=explain))
    return form


def _as_onnx(source: Source, form: nn.Module, target: Target, tell: Tell) -> onnx.ModelProto:
    """Return the float32 graph, which ends in logits, and in features where it has any."""
    trained = source.trained
    graph = exported_graph(form, trained, target)
    check_ops(graph, target.ops, target.name)
    few = source.parity.few
    logits = run_onnx(graph, source.images[few])
    explain = partial(_where_onnx_parts, form, trained, graph, source.images)
    tell(source.parity.on(few).add("onnx", logits, exact=True, explain=explain))
    return graph


def _search(
    source: Source,
    form: nn.Module,
    graph: onnx.ModelProto,
    make: Make,
    target: Target,
    calibration: CalibrationSet,
    options: ExportOptions,
    tell: Tell,
) -> Choice:
    """Try the target's INT8 schemes and choose; with ``auto`` float may win, or bfloat16 beside."""
    auto = options.precision == "auto"
    int8: Precision = "int8" if auto else cast("Precision", options.precision)
    builder = find_builder(target.runtime)
    with refusals(f"the network cannot be read for {target.name}"):
        # Until it is quantized, "int8" is float32 on every target; "int8-bf16" is bfloat16.
        float32 = make("int8")
        base = float32 if int8 == "int8" else make(int8)
        fallback = make(target.float_precision)
    search = Search(
        float32=float32,
        base=base,
        fallback=fallback,
        fallback_precision=target.float_precision,
        parity=source.parity,
        validation=source.images,
        calibration=calibration,
        wanted=source.logits(form, calibration.few, "calibration"),
        foreign=target.machine != platform.machine(),
        tell=tell,
        int8=int8,
        in_bfloat16=builder.in_bfloat16 if auto and builder.has_bfloat16() else None,
    )
    choice = search.run(
        target.quantization,
        transformer=is_transformer(graph),
        float_too=auto,
    )
    tell(choice)
    return choice


def _in_float(source: Source, make: Make, target: Target, precision: Precision) -> Trial:
    with refusals(f"the network cannot be run in {precision} for {target.name}"):
        backend = make(precision)
        return Trial.of(precision, precision, backend, source.parity, source.images)


def _accuracy(source: Source, made: Trial, calibration: Calibration) -> AccuracyReport:
    """Return ``reports/accuracy.json``: what was made, on the validation split."""
    probabilities = softmax(made.logits / calibration.temperature, axis=1)
    figures = SingleLabel().figures(
        probabilities, source.validation.labels, source.labels, Shots(source.counts)
    )
    return AccuracyReport(**dict(figures), split="val", logit_adjustment=source.tau)


def _contents(
    source: Source,
    target: Target,
    made: Trial,
    calibration: Calibration,
    reports: Sequence[BundleReport | None],
) -> dict[str, bytes]:
    """Return the bundle's files by path, but for golden images and what is known at the end."""
    preprocess, labels = source.trained.preprocess, source.labels
    head = Head(made.correction, calibration.temperature)
    contents = {
        **made.backend.files(head, model_api_metadata(preprocess, labels)),
        "labels.txt": "".join(f"{label}\n" for label in labels).encode(),
        "preprocess.json": to_json(preprocess.model_dump()).encode(),
        "calibration.json": to_json(calibration.model_dump()).encode(),
    }
    for report in filter(None, reports):
        contents |= report.as_file()
    if companions := find_builder(target.runtime).companions:
        model_file = contents[made.backend.model_file]
        contents |= companions(model_file, preprocess, labels, calibration, made.precision)
    return contents


def _for_frigate(
    source: Source,
    data: DataSet,
    made: Trial,
    calibration: Calibration,
    contents: Mapping[str, bytes],
    program: str,
    tell: Tell,
) -> dict[str, bytes]:
    """Return what Frigate takes, and the report that compares its answers with the bundle's."""
    model = contents[made.backend.model_file]
    files = frigate_files(model, source.trained.preprocess, source.labels, calibration, program)
    (file,) = (name for name in files if name.endswith(".tflite"))
    report = compare_frigate(
        files[file],
        data,
        source.validation,
        source.labels,
        made.logits,
        calibration,
        source.parity.gates.max_top1_drop,
        program,
    )
    tell(report)
    return files | report.as_file()


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
