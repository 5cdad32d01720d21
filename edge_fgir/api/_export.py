"""Quantizing and compiling a run into a sealed bundle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_fgir._errors import InputError
from edge_fgir.api._data import Data, data_set
from edge_fgir.deploying import export_with_qat
from edge_fgir.exporting import (
    ExportOptions,
    Target,
    Tell,
    check_candidates,
    check_precision,
    check_program,
    check_variants,
    export_forms,
    export_variants,
    read_target,
)
from edge_fgir.exporting import export as export_run
from edge_fgir.runs import Run
from edge_fgir.runtime import Bundle, check_out

if TYPE_CHECKING:
    from edge_fgir.models import Setting
    from edge_fgir.profiling import Plan

_AS_TRAINED = ExportOptions()


def export(
    run: Run | Path | str,
    target: Target | str,
    data: Data,
    out: Path | str,
    options: ExportOptions = _AS_TRAINED,
    *,
    also: Sequence[str] = (),
    variants: Sequence[Setting] = (),
    plan: Plan | Path | str | None = None,
    max_drop: float | None = None,
    qat_epochs: int | None = None,
    accept_data_change: bool = False,
    strict: bool = False,
    tell: Tell = lambda event: None,
    tell_line: Callable[[str], None] = lambda line: None,
) -> Bundle:
    """Quantize and compile a run's model into a sealed bundle, as ``edge-fgir export`` does.

    Example::

        import edge_fgir as ef

        options = ef.ExportOptions(precision="fp32")
        bundle = ef.export("runs/student", "openvino", "photos", "leaves.fgir", options)
        print(bundle.manifest.precision, bundle.model_size)

    Args:
        run: A finished run folder, or an open run, which is exported at its setting.
        target: Where it will run: a name, or a target that has been read.
        data: The run's data: calibration and gates need it.
        out: The bundle to write.
        options: Precision, setting and more; by default INT8 unless it is refused or no
            faster, at the run's own setting.
        also: Other targets whose files the bundle holds too, each through gates of its own: those
            that ``target`` names as candidates.
        variants: Other settings that the bundle holds too, each faster than the one before, for a
            device that is too slow for a moment. What one leaves open is as in the first, which is
            that of ``options`` or ``plan``.
        plan: What ``profile`` has chosen, instead of a precision and a setting.
        max_drop: Points of top-1 that the bundle may lose; None: as the target says.
        qat_epochs: Where INT8 breaks a bound, train so many epochs more as INT8 computes.
        accept_data_change: Export by other pictures of the run's classes than it was trained on.
        strict: Refuse pictures that cannot be used, or would have to be converted.
        tell: Called with each measured stage, each scheme that was tried, and the choice.
        tell_line: Gets a line for the user, and the name of each variant before it is exported.

    Raises:
        InputError: Run, data, target and options do not go together, or ``out`` is not a bundle.
        GateError: A stage broke a bound; nothing was written.
    """
    path = run.path if isinstance(run, Run) else Path(run)
    if isinstance(run, Run) and options.setting is None:
        options = replace(options, setting=run.setting)
    bounded = target if isinstance(target, Target) else read_target(target)
    if max_drop is not None:
        bounded = bounded.allowing(max_drop)
    if plan is not None:
        from edge_fgir.profiling import Plan

        if options.precision != "auto" or options.setting is not None:
            raise InputError("a plan beside a precision or a setting", "one of the two")
        made = plan if isinstance(plan, Plan) else Plan.read(Path(plan))
        made.check(Run(path).weights_hash, bounded.name)
        options = replace(options, setting=made.chosen.setting, precision=made.chosen.precision)
    check_precision(bounded, options.precision)
    check_program(bounded, options.program)
    check_out(Path(out), as_zip=options.as_zip)
    check_candidates(bounded, also)
    for option, asked in (("--also", also), ("--variant", variants)):
        if asked and qat_epochs is not None:
            raise InputError(f"{option} beside --qat-epochs", "one of the two")
    check_variants(Run.open(path), bounded, options.setting, variants)
    pictures = data_set(data, strict=strict)
    Run.open(path).check_data(pictures, accept_change=accept_data_change)
    if Run.open(path).learned_val:
        tell_line(
            "the run was trained on val as well (data.with_val): the bundle's temperature and its "
            "thresholds of unknown pictures follow from answers that are surer than those to new "
            "ones, and only the gates' comparisons with PyTorch stand"
        )
    if variants:
        return export_variants(
            path,
            bounded,
            also,
            variants,
            pictures,
            Path(out),
            options,
            tell,
            tell_line,
            max_drop=max_drop,
        )
    if also:
        return export_forms(
            path, bounded, also, pictures, Path(out), options, tell, max_drop=max_drop
        )
    if qat_epochs is None:
        return export_run(path, bounded, pictures, Path(out), options, tell)
    return export_with_qat(path, bounded, pictures, Path(out), qat_epochs, options, tell, tell_line)
