"""``export --qat-epochs``: where quantization alone breaks a bound, the run is trained on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from edge_fgir._errors import GateError, InputError

if TYPE_CHECKING:
    from edge_fgir.data import DataSet
    from edge_fgir.exporting import Target
    from edge_fgir.runtime import Bundle

    Exported = Callable[[Path, Target, dict[str, Any]], Bundle]


def rescued(
    run: Path, data: DataSet, target: Target, epochs: int, what: dict[str, Any], exported: Exported
) -> Bundle:
    """Export; where INT8 breaks a bound, train the run on as INT8 computes and export that.

    Args:
        run: A finished run folder.
        data: Its data.
        target: Where it will run. What the training loses in float counts against its bound.
        epochs: Of that training.
        what: Precision and setting, as ``export`` takes them.
        exported: Exports a run; with ``auto`` it may answer with a float bundle, which stays if
            the training does not help.

    Raises:
        InputError: Another precision than INT8 is asked for.
        GateError: The training does not help either, and INT8 alone is wanted.
    """
    from edge_fgir.training.rescue import quantization_aware

    wanted = what["precision"]
    if wanted not in ("auto", "int8"):
        raise InputError(f"--qat-epochs with precision {wanted}", "auto or int8", "leave it out")
    bundle = None
    try:
        bundle = exported(run, target, what)
        tried = bundle.report("quantization")["trials"]
        if any(not one["broken"] for one in tried if one["precision"] == "int8"):
            return bundle  # INT8, or float because INT8 is slower
    except GateError as error:
        if wanted == "auto":  # float broke a bound
            raise
        typer.echo(error, err=True)
    setting = {name: what[name] for name in ("image_size", "keep_rate")}
    found = quantization_aware(run, data, epochs, **setting)
    typer.echo(
        f"trained on for {epochs} epochs as INT8 computes: {-found.lost:+.2f} points", err=True
    )
    bound = target.gates.max_top1_drop
    try:
        if found.lost > bound:
            raise GateError(
                f"training as INT8 computes loses {found.lost:.2f} points of top-1 in float, "
                f"expected at most {bound:g}; try other --qat-epochs or --max-drop"
            )
        left = target.allowing(bound - max(found.lost, 0.0))
        return exported(found.run, left, {**what, "precision": "int8"})
    except GateError as error:
        if bundle is None:
            raise
        typer.echo(f"{error}; the {bundle.manifest.precision} bundle stays", err=True)
        return bundle
