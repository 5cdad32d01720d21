"""Choosing the setting that fits a device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from edge_fgir._errors import InputError
from edge_fgir.api._data import Data, data_set
from edge_fgir.exporting import check_precision, read_target
from edge_fgir.profiling import DeviceRef, Plan, Request
from edge_fgir.profiling import profile as profile_runs
from edge_fgir.results import Budget
from edge_fgir.runs import Run
from edge_fgir.runtime import Precision


def profile(
    runs: Run | Path | str | Sequence[Run | Path | str],
    data: Data,
    out: Path | str,
    *,
    budget: Budget | None = None,
    device: str = "local",
    target: str | None = None,
    sizes: Sequence[int] = (),
    precision: str = "auto",
    calibration: Path | None = None,
    accept_data_change: bool = False,
    strict: bool = False,
    tell: Callable[[str], None] = lambda line: None,
    tell_device: Callable[[str], None] = lambda line: None,
) -> Plan:
    """Find the most accurate setting that fits a device, as ``edge-fgir profile`` does.

    Example::

        import edge_fgir as ef

        budget = ef.Budget(latency_ms=1000)
        plan = ef.profile("runs/student", "photos", "plan.json", budget=budget, precision="fp32")
        print(plan.chosen.setting, plan.chosen.precision, plan.why)

    Args:
        runs: A run, or several whose fronts are compared: folders, or open runs.
        data: Their data; choices look at its validation split alone.
        out: The plan, ``X.json``; ``X.profile.json`` and the page ``X.html`` are written beside it.
        budget: What the device can spare; None: no bounds.
        device: ``local``, ``user@host[:port]``, or a descriptor's id, which gives an estimate.
        target: How the device runs networks; None: as its descriptor says.
        sizes: Input sides to choose from, pixels; none: those that the runs suggest.
        precision: One of the target's; ``auto``: INT8 and float.
        calibration: A latency model that was measured before.
        accept_data_change: Choose by other pictures of the runs' classes than they were trained on,
            or by a validation split that a run has learned.
        strict: Refuse pictures that cannot be used, or would have to be converted.
        tell: Gets a line for the user.
        tell_device: Gets a line about the connection to the device.

    Raises:
        InputError: A run, the device or the budget is such that there is no choice, or a run was
            trained on the validation split as well.
    """
    chosen = [runs] if isinstance(runs, Run | Path | str) else runs
    ref = DeviceRef.parse(device)
    described = read_target(target or ref.target)
    check_precision(described, precision)
    pictures = data_set(data, strict=strict)
    opened = [run if isinstance(run, Run) else Run.open(run) for run in chosen]
    for run in opened:
        run.check_data(pictures, accept_change=accept_data_change)
        if run.learned_val and not accept_data_change:
            raise InputError(
                f"run {run.path} was trained on val as well (data.with_val)",
                "a validation split that it has not seen, to choose by",
                "profile one that was trained without data.with_val, or add --accept-data-change",
            )
    request = Request(
        runs=tuple(run.path for run in opened),
        data=pictures,
        target=described,
        device=ref,
        budget=budget or Budget(),
        sizes=tuple(sizes),
        precisions=() if precision == "auto" else (cast("Precision", precision),),
        calibration=calibration,
    )
    return profile_runs(request, Path(out), tell, tell_device)
