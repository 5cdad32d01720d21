"""An export that falls back on quantization-aware training where INT8 breaks a bound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge_fgir._errors import GateError, InputError
from edge_fgir.data import DataSet
from edge_fgir.exporting import Target
from edge_fgir.models.setting import Setting
from edge_fgir.runtime import Bundle
from edge_fgir.training import train_quantization_aware

Export = Callable[[Path, Target, Setting | None, str], Bundle]
"""Exports a run for a target, at a setting and in a precision."""


def export_with_qat(
    run: Path,
    data: DataSet,
    target: Target,
    epochs: int,
    export: Export,
    *,
    setting: Setting | None = None,
    precision: str = "auto",
    tell: Callable[[str], None] = lambda line: None,
) -> Bundle:
    """Export; where INT8 breaks a bound, train the run on as INT8 computes and export that.

    Args:
        run: A finished run folder.
        data: Its data.
        target: Where it will run. What the training loses in float counts against its bound.
        epochs: Of that training.
        export: Exports a run; with ``auto`` it may answer with a float bundle, which stays if the
            training does not help.
        setting: Input size, keep rate and reduction method; None: as the run was trained.
        precision: ``auto`` or ``int8``.
        tell: Gets a line for the user.

    Raises:
        InputError: Another precision than INT8 is asked for.
        GateError: The training does not help either, and INT8 alone is wanted.
    """
    if precision not in ("auto", "int8"):
        raise InputError(f"--qat-epochs with precision {precision}", "auto or int8", "leave it out")
    bundle = None
    try:
        bundle = export(run, target, setting, precision)
        trials = bundle.report("quantization")["trials"]
        if any(trial["precision"] == "int8" and not trial["broken"] for trial in trials):
            return bundle  # INT8, or float because INT8 is slower
    except GateError as error:
        if precision == "auto":  # float broke a bound
            raise
        tell(str(error))
    trained = train_quantization_aware(run, data, epochs, setting)
    tell(f"trained on for {epochs} epochs as INT8 computes: {-trained.drop:+.2f} points")
    bound = target.gates.max_top1_drop
    try:
        if trained.drop > bound:
            raise GateError(
                f"training as INT8 computes loses {trained.drop:.2f} points of top-1 in float, "
                f"expected at most {bound:g}; try other --qat-epochs or --max-drop"
            )
        left = target.allowing(bound - max(trained.drop, 0.0))
        return export(trained.run, left, setting, "int8")
    except GateError as error:
        if bundle is None:
            raise
        tell(f"{error}; the {bundle.manifest.precision} bundle stays")
        return bundle
