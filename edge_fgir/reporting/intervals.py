"""Intervals about zero as inline SVG, one below the other; they stretch with the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from edge_fgir.reporting.svg import SERIES, add, canvas, hint, markup, nice_ticks, shorten, write

_ROW, _TOP, _AXIS = 19, 6, 22
_LETTERS = 30
_FIRST, _LAST = 38.0, 80.0
"""Where the axis lies, percent of the width; names are left of it, numbers right."""
_RADIUS = 3.8


@dataclass(frozen=True)
class Interval:
    """One row.

    Attributes:
        label: Its name.
        value: The point.
        low: Left end.
        high: Right end.
        text: Written to the right.
        tip: Shown when the pointer rests on it.
        flagged: Whether it is not to be trusted; it does not stretch the axis either.
    """

    label: str
    value: float
    low: float
    high: float
    text: str
    tip: str
    flagged: bool = False


def interval_chart(rows: Sequence[Interval], *, title: str, unit: str, series: int = 1) -> str:
    """Draw rows about a line at zero.

    Args:
        rows: At least one, from top to bottom.
        title: Read out in place of the picture.
        unit: Written at the axis.
        series: Number of the colour.
    """
    trusted = [row for row in rows if not row.flagged] or rows
    reach = max(abs(end) for row in trusted for end in (row.value, row.low, row.high))
    ticks = nice_ticks(-reach, reach)
    bottom = _TOP + len(rows) * _ROW
    svg = canvas(title, width="100%", height=bottom + _AXIS, overflow="visible")
    for tick in ticks:
        x = _percent(tick, ticks)
        add(svg, "line", "grid" if tick else "zero", x1=x, x2=x, y1=_TOP, y2=bottom)
        label = f"{tick:+g}".replace("-", "\N{MINUS SIGN}") if tick else "0"
        label += f" {unit}" if tick == ticks[-1] else ""
        write(svg, "tick", label, x=x, y=bottom + 16, text_anchor="middle")
    for number, row in enumerate(rows):
        _draw_row(svg, row, _TOP + (number + 0.5) * _ROW, ticks, series)
    return markup(svg)


def _draw_row(
    svg: ElementTree.Element, row: Interval, y: float, ticks: Sequence[float], series: int
) -> None:
    part = add(svg, "g", "flagged" if row.flagged else f"t{series % SERIES}")
    hint(part, row.tip)
    write(part, "name", shorten(row.label, _LETTERS), x=0, y=y + 4)
    low, high = _percent(row.low, ticks), _percent(row.high, ticks)
    add(part, "line", "whisker", x1=low, x2=high, y1=y, y2=y)
    style = "mark hollow" if row.flagged else "mark"
    add(part, "circle", style, cx=_percent(row.value, ticks), cy=y, r=_RADIUS)
    write(part, "value", row.text, x="100%", y=y + 4, text_anchor="end")


def _percent(value: float, ticks: Sequence[float]) -> str:
    """Return where a value lies, at the edge where it lies beyond."""
    share = min(max((value - ticks[0]) / (ticks[-1] - ticks[0]), 0.0), 1.0)
    return f"{_FIRST + (_LAST - _FIRST) * share:.2f}%"
