"""The main rows as a table for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from edge_fgir.reporting.rows import Row
from edge_fgir.reporting.units import milliseconds

_NONE = "-"


def table(rows: Sequence[Row]) -> Table:
    """Return the rows as a table of at most 100 columns, where titles are not long."""
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    drawn.add_column("model", overflow="fold")
    for name in ("top-1 %", "vs torch", "macro %", "ECE", "MB"):
        drawn.add_column(name, justify="right", no_wrap=True)
    for name in ("frame to decision\np50 / p99 ms", "network\np50 ms", "speed"):
        drawn.add_column(name, justify="right")
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in _cells(row)))
    return drawn


def _cells(row: Row) -> list[str]:
    found = row.evaluation
    return [
        row.title,
        f"{found.top1:.1f}" if found else _NONE,
        f"{row.change:+.1f}" if row.change is not None else _NONE,
        f"{found.macro:.1f}" if found else _NONE,
        f"{found.ece:.1f}" if found else _NONE,
        f"{row.model_bytes / 1e6:.1f}",
        _frame(row),
        _range(timing.network.p50_ms for timing in row.timings),
        _speed(row),
    ]


def _frame(row: Row) -> str:
    if row.is_torch:
        return _NONE
    shown = [timing.frame for timing in row.timings if timing.frame is not None]
    lines = [f"{milliseconds(one.p50_ms)} / {milliseconds(one.p99_ms)}" for one in shown]
    return "\n".join(lines) or "not measured"


def _range(values: Iterable[float]) -> str:
    found = sorted(values)
    if not found:
        return _NONE
    low, high = milliseconds(found[0]), milliseconds(found[-1])
    return low if low == high else f"{low}-{high}"


def _speed(row: Row) -> str:
    if row.is_torch and row.timings:
        return "1 x"
    return f"{row.times_faster:.1f} x" if row.times_faster is not None else _NONE
