"""The main table's columns: each is declared once, for the page, the terminal and scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, NamedTuple

from edge_fgir.reporting.rows import Row
from edge_fgir.reporting.units import megabytes, milliseconds, percent, points, times
from edge_fgir.results import Percentiles

NONE = "–"
"""What the page shows in place of a value that is not known."""
_PLAIN_NONE = "-"


class Line(NamedTuple):
    """A line of a cell of the page, and a note below it."""

    text: str
    note: str = ""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        title: Its heading on the page.
        lines: Its cell on the page; none: not known.
        unit: Below the heading on the page.
        needs: What a row must have for it. Where that is missing, one text stands in all columns
            that need it.
        key: Its name in ``report --json``; empty: it is not in there.
        value: Its value there.
        heading: Its heading in the terminal; empty: it is not shown there.
        plain: Its cell there.
        narrow: What a narrow page writes beside the cell; empty: title and unit.
    """

    title: str
    lines: Callable[[Row], Sequence[Line]]
    unit: str = ""
    needs: Literal["", "evaluation", "timings"] = ""
    key: str = ""
    value: Callable[[Row], float | None] = lambda row: None
    heading: str = ""
    plain: Callable[[Row], str] = lambda row: ""
    narrow: str = ""

    @property
    def name(self) -> str:
        """What a narrow page writes beside the cell, where it has no heading."""
        return self.narrow or ", ".join(filter(None, (self.title, self.unit)))


def _percent(title: str, key: str, heading: str = "") -> Column:
    """Return the column of a percentage among the metrics of an evaluation."""

    def value(row: Row) -> float | None:
        return None if row.evaluation is None else float(getattr(row.evaluation, key))

    def lines(row: Row) -> Sequence[Line]:
        known = value(row)
        return [] if known is None else [Line(percent(known))]

    def plain(row: Row) -> str:
        known = value(row)
        return _PLAIN_NONE if known is None else f"{known:.1f}"

    return Column(
        title, lines, needs="evaluation", key=key, value=value, heading=heading, plain=plain
    )


def _change(row: Row) -> Sequence[Line]:
    return [] if row.change is None else [Line(points(row.change))]


def _size(row: Row) -> Sequence[Line]:
    smaller = row.times_smaller
    note = "" if smaller is None else f"1/{smaller:.1f} of torch"
    return [Line(megabytes(row.model_bytes), note)]


def _frame(row: Row) -> Sequence[Line]:
    return [Line(_three(timing.frame)) for timing in row.timings if timing.frame is not None]


def _network(row: Row) -> Sequence[Line]:
    return [
        Line(_three(timing.network), f"beside {timing.beside}" if timing.beside else timing.where)
        for timing in row.timings
    ]


def _speed(row: Row) -> Sequence[Line]:
    if row.is_torch:
        return [Line("1 \N{MULTIPLICATION SIGN}")]
    ratios = [timing.times_faster for timing in row.timings]
    return [Line(NONE if ratio is None else times(ratio)) for ratio in ratios]


def _three(latency: Percentiles) -> str:
    return " / ".join(map(milliseconds, (latency.p50_ms, latency.p90_ms, latency.p99_ms)))


def _plain_frame(row: Row) -> str:
    if row.is_torch:
        return _PLAIN_NONE
    frames = [timing.frame for timing in row.timings if timing.frame is not None]
    lines = [f"{milliseconds(frame.p50_ms)} / {milliseconds(frame.p99_ms)}" for frame in frames]
    return "\n".join(lines) or "not measured"


def _plain_network(row: Row) -> str:
    return _range(timing.network.p50_ms for timing in row.timings)


def _plain_speed(row: Row) -> str:
    if row.is_torch and row.timings:
        return "1 x"
    return _PLAIN_NONE if row.times_faster is None else f"{row.times_faster:.1f} x"


def _range(values: Iterable[float]) -> str:
    ordered = sorted(values)
    if not ordered:
        return _PLAIN_NONE
    low, high = milliseconds(ordered[0]), milliseconds(ordered[-1])
    return low if low == high else f"{low}-{high}"


COLUMNS = (
    _percent("Top-1", "top1", "top-1 %"),
    Column(
        "vs torch",
        _change,
        "points",
        "evaluation",
        "points_vs_torch",
        lambda row: row.change,
        "vs torch",
        lambda row: _PLAIN_NONE if row.change is None else f"{row.change:+.1f}",
    ),
    _percent("Macro", "macro", "macro %"),
    _percent("Macro F1", "macro_f1"),
    _percent("Worst tenth", "worst_decile"),
    _percent("Top-5", "top5"),
    _percent("ECE", "ece", "ECE"),
    Column(
        "Size",
        _size,
        key="model_bytes",
        value=lambda row: row.model_bytes,
        heading="MB",
        plain=lambda row: f"{row.model_bytes / 1e6:.1f}",
    ),
    Column(
        "Frame to decision",
        _frame,
        "p50 / p90 / p99 ms",
        "timings",
        heading="frame to decision\np50 / p99 ms",
        plain=_plain_frame,
        narrow="Frame to decision, ms",
    ),
    Column(
        "Network alone",
        _network,
        "p50 / p90 / p99 ms",
        "timings",
        heading="network\np50 ms",
        plain=_plain_network,
        narrow="Network alone, ms",
    ),
    Column(
        "Speed",
        _speed,
        "vs torch",
        "timings",
        heading="speed",
        plain=_plain_speed,
        narrow="Speed vs torch",
    ),
)
"""All columns but the model's name, in the order of the page."""


@dataclass(frozen=True)
class Cell:
    """A cell of the page: over one column, or over all that lack the same thing.

    Attributes:
        columns: Which.
        lines: Its content; none: not known.
        missing: What stands there instead, where the row lacks what the columns need.
    """

    columns: tuple[Column, ...]
    lines: tuple[Line, ...] = ()
    missing: str = ""


def cells_of(row: Row) -> list[Cell]:
    """Return the cells of a row behind the model's name."""
    missing = {
        "evaluation": "" if row.evaluation is not None else "not evaluated",
        "timings": "" if row.timings else row.untimed,
    }
    cells: list[Cell] = []
    for needs, group in groupby(COLUMNS, key=lambda column: column.needs):
        columns = tuple(group)
        if missing.get(needs):
            cells.append(Cell(columns, missing=missing[needs]))
        else:
            cells += [Cell((column,), tuple(column.lines(row))) for column in columns]
    return cells


def row_values(row: Row) -> dict[str, object]:
    """Return a row as ``report --json`` has it: plain JSON values."""
    return {
        "model": row.title,
        "bundle": row.subject.bundle,
        "engine": row.subject.engine,
        "note": row.note,
        "images": row.evaluation.images if row.evaluation else None,
        **{column.key: column.value(row) for column in COLUMNS if column.key},
        "times_smaller": row.times_smaller,
        "latencies": [
            {
                "frame_to_decision": _percentiles(timing.frame) if timing.frame else None,
                "network": _percentiles(timing.network),
                "times_faster": timing.times_faster,
                "beside": timing.beside,
                "where": timing.where,
            }
            for timing in row.timings
        ],
    }


def _percentiles(latency: Percentiles) -> dict[str, object]:
    return latency.model_dump(mode="json", include=set(Percentiles.model_fields))
