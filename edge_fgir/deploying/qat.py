"""An export that falls back on quantization-aware training where INT8 breaks a bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from edge_fgir._errors import GateError, InputError
from edge_fgir.data import DataSet
from edge_fgir.exporting import Ancestor, ExportOptions, Target, Tell, export
from edge_fgir.results import QuantizationReport
from edge_fgir.runtime import Bundle, is_int8
from edge_fgir.training import train_quantization_aware


def export_with_qat(
    run: Path,
    target: Target,
    data: DataSet,
    out: Path,
    epochs: int,
    options: ExportOptions,
    tell: Tell,
    tell_line: Callable[[str], None] = lambda line: None,
) -> Bundle:
    """Export; where INT8 breaks a bound, train the run on as INT8 computes and export that.

    Args:
        run: A finished run folder.
        target: Where it will run. What the training loses in float counts against its bound: the
            bundle is judged against ``run``.
        data: The run's data.
        out: Bundle to write. With precision ``auto`` it may first be a float bundle, which stays if
            the training does not help.
        epochs: Of that training.
        options: How it is exported.
        tell: As of :func:`edge_fgir.exporting.export`.
        tell_line: Gets a line for the user.

    Raises:
        InputError: A precision other than INT8 is asked for.
        GateError: The training does not help either, and INT8 alone is wanted.
    """
    if options.precision != "auto" and not is_int8(options.precision):
        raise InputError(
            f"--qat-epochs with precision {options.precision}", "auto or int8", "leave it out"
        )
    bundle = None
    try:
        bundle = export(run, target, data, out, options, tell)
        int8 = [each for each in QuantizationReport.of(bundle).trials if is_int8(each.precision)]
        if not int8 or not all(trial.broken for trial in int8):
            return bundle  # INT8, or float because INT8 is slower, or cannot be run at all
    except GateError as error:
        if options.precision == "auto":  # float broke a bound
            raise
        tell_line(str(error))
    bound = target.gates.max_top1_drop
    trained = train_quantization_aware(run, data, epochs, options.setting, bound=bound)
    lost = trained.verdict
    tell_line(f"trained on for {epochs} epochs as INT8 computes: in float it loses {lost}")
    try:
        if lost.state == "refused":
            raise GateError(
                f"training as INT8 computes loses {lost} of top-1 in float, "
                f"expected at most {bound:g}; try other --qat-epochs or --max-drop"
            )
        # The search goes by what the training is expected to have left of the bound. How much that
        # is, nobody is sure of: the bundle itself is held against the whole bound and the old run.
        left = target.allowing(min(max(bound - lost.drop, 0.0), bound))
        precision = "int8" if options.precision == "auto" else options.precision
        return export(
            trained.run,
            left,
            data,
            out,
            replace(options, precision=precision),
            tell,
            ancestor=Ancestor(run, target.gates),
        )
    except GateError as error:
        if bundle is None:
            raise
        tell_line(f"{error}; the {bundle.manifest.precision} bundle stays")
        return bundle
