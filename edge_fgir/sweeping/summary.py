"""The result of a sweep: its cells, and means over their seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from edge_fgir.sweeping.cell_run import Outcome
from edge_fgir.sweeping.sweep import Sweep

_SHARED = ("params", "gmacs", "ms", "ms_note")
"""The same for all seeds of a setting."""


def summary(
    sweep: Sweep, outcomes: Sequence[Outcome], latencies: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    """Return the body of a ``sweep`` result.

    Args:
        sweep: What was asked for.
        outcomes: Of every cell, in the order of the file.
        latencies: By a cell's key, what the stopwatch says of its network.
    """
    cells = [_cell(outcome, latencies.get(outcome.cell.key, {})) for outcome in outcomes]
    groups: dict[str, list[dict[str, Any]]] = {}
    for cell in cells:
        setting = json.dumps([cell["data"], cell["changes"]])
        groups.setdefault(setting, []).append(cell)
    data = {outcome.cell.data.name: outcome.cell.data.model_dump() for outcome in outcomes}
    return {
        "name": sweep.name,
        "recipe": sweep.recipe,
        "split": sweep.split,
        "set": sweep.fixed,
        "data": list(data.values()),
        "groups": [_group(group) for group in groups.values()],
        "cells": cells,
    }


def _cell(outcome: Outcome, latency: dict[str, Any]) -> dict[str, Any]:
    cell, result = outcome.cell, outcome.result or {}
    return {
        "cell": cell.key,
        "data": cell.data.name,
        "changes": cell.changes,
        "seed": cell.seed,
        "status": "failed" if outcome.result is None else "finished",
        "reason": outcome.reason,
        **{key: value for key, value in result.items() if key != "split"},
        **latency,
    }


def _group(cells: Sequence[dict[str, Any]]) -> dict[str, Any]:
    finished = [cell for cell in cells if cell["status"] == "finished"]
    top1 = [cell["top1"] for cell in finished]
    first = finished[0] if finished else {}
    return {
        "data": cells[0]["data"],
        "changes": cells[0]["changes"],
        "n": len(finished),
        "failed": len(cells) - len(finished),
        "top1": fmean(top1) if top1 else None,
        "sd": stdev(top1) if len(top1) > 1 else None,
        "macro": fmean(cell["macro"] for cell in finished) if finished else None,
        **{key: first.get(key) for key in _SHARED},
    }
