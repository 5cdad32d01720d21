"""The result of a sweep: its cells, and means over their seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from edge_fgir import results
from edge_fgir.benchmarking import environment
from edge_fgir.results import FailedCell, FinishedCell, NetworkTime, SweepCell, SweepGroup
from edge_fgir.sweeping.cell_run import Outcome
from edge_fgir.sweeping.sweep import Sweep


def summary(
    sweep: Sweep, outcomes: Sequence[Outcome], times: Mapping[str, NetworkTime]
) -> results.Sweep:
    """Return the result of a sweep.

    Args:
        sweep: What was asked for.
        outcomes: Of every cell, in the order of the file.
        times: By the key of a cell that finished, what its network takes.
    """
    cells = [_cell(outcome, times.get(outcome.cell.key)) for outcome in outcomes]
    groups: dict[str, list[SweepCell]] = {}
    for cell in cells:
        groups.setdefault(json.dumps([cell.data, cell.changes]), []).append(cell)
    data = {outcome.cell.data.name: outcome.cell.data for outcome in outcomes}
    return results.Sweep(
        name=sweep.name,
        recipe=sweep.recipe,
        split=sweep.split,
        fixed=sweep.fixed,
        data=tuple(data.values()),
        groups=tuple(_group(group) for group in groups.values()),
        cells=tuple(cells),
        environment=environment(),
    )


def _cell(outcome: Outcome, time: NetworkTime | None) -> SweepCell:
    cell = outcome.cell
    name: dict[str, Any] = {
        "cell": cell.key,
        "data": cell.data.name,
        "changes": cell.changes,
        "seed": cell.seed,
    }
    if outcome.result is None:
        return FailedCell(**name, reason=outcome.reason)
    reached = outcome.result.model_dump(exclude={"split"})
    return FinishedCell(**name, **reached, **dict(time or NetworkTime()))


def _group(cells: Sequence[SweepCell]) -> SweepGroup:
    finished = [cell for cell in cells if isinstance(cell, FinishedCell)]
    group = SweepGroup(
        data=cells[0].data,
        changes=cells[0].changes,
        n=len(finished),
        failed=len(cells) - len(finished),
        top1=None,
    )
    if not finished:
        return group
    top1, first = [cell.top1 for cell in finished], finished[0]
    return group.model_copy(
        update={
            "top1": fmean(top1),
            "sd": stdev(top1) if len(top1) > 1 else None,
            "macro": fmean(cell.macro for cell in finished),
            # The same for all seeds of a setting.
            **{name: getattr(first, name) for name in ("params", "gmacs", "ms", "ms_note")},
        }
    )
