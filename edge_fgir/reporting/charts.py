"""Charts as inline SVG: bars that stretch with the page, and small line charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from edge_fgir.reporting.svg import SERIES, add, canvas, hint, markup, nice_ticks, write

_PLOT = 76.0
"""Share of the width that the axis takes, percent; the rest is for the numbers."""
_HEADER, _BAR, _GAP, _GROUP_GAP, _AXIS = 21, 11, 3, 15, 22
# A tail this many times longer than the longest bar would squeeze the bars themselves.
_TAIL = 2.0
_LINE_WIDTH, _LINE_HEIGHT = 220, 124
_LEFT, _RIGHT, _TOP, _BOTTOM = 32, 8, 20, 24
_DOTS = 30


@dataclass(frozen=True)
class Bar:
    """One bar.

    Attributes:
        value: Its length.
        text: Written behind it.
        series: Number of its colour.
        tip: Shown when the pointer rests on it.
        tail: Where the line that begins at its end stops.
    """

    value: float
    text: str
    series: int
    tip: str
    tail: float | None = None


@dataclass(frozen=True)
class Group:
    """Bars under one heading."""

    label: str
    note: str
    bars: tuple[Bar, ...]


def bar_chart(groups: Sequence[Group], *, title: str, unit: str, end: float | None = None) -> str:
    """Draw grouped horizontal bars over one axis from zero.

    Args:
        groups: From top to bottom.
        title: Read out in place of the picture.
        unit: Written at the axis.
        end: Where the axis ends; None: where the data do. Tails beyond it get an arrow.
    """
    ticks = nice_ticks(0.0, end or _longest(groups))
    heights = [_HEADER + len(group.bars) * (_BAR + _GAP) + _GROUP_GAP for group in groups]
    bottom = sum(heights)
    svg = canvas(title, width="100%", height=bottom + _AXIS, overflow="visible")
    for tick in ticks:
        x = _percent(tick, ticks[-1])
        add(svg, "line", "grid", x1=x, x2=x, y1=4, y2=bottom - 4)
        label = f"{tick:g} {unit}" if tick == ticks[-1] else f"{tick:g}"
        anchor = "start" if tick == 0 else "middle"
        write(svg, "tick", label, x=x, y=bottom + 12, text_anchor=anchor)
    top = 0
    for group, height in zip(groups, heights, strict=True):
        _draw_group(svg, group, top, ticks[-1])
        top += height
    return markup(svg)


def _draw_group(svg: ElementTree.Element, group: Group, top: int, end: float) -> None:
    heading = write(svg, "label", group.label, x=0, y=top + 14)
    if group.note:
        note = ElementTree.SubElement(heading, "tspan", {"class": "note", "dx": "7"})
        note.text = group.note
    for index, bar in enumerate(group.bars):
        y = top + _HEADER + index * (_BAR + _GAP)
        middle = y + _BAR / 2
        part = add(svg, "g")
        hint(part, bar.tip)
        width = _percent(bar.value, end)
        add(part, "rect", f"s{bar.series % SERIES}", x=0, y=y, width=width, height=_BAR, rx=1.5)
        reach = bar.value if bar.tail is None else bar.tail
        stop = _percent(min(reach, end), end)
        if bar.tail is not None:
            add(part, "line", "tail", x1=width, x2=stop, y1=middle, y2=middle)
            if bar.tail <= end:
                add(part, "line", "tail", x1=stop, x2=stop, y1=middle - 3.5, y2=middle + 3.5)
        arrow = "\N{RIGHTWARDS ARROW} " if reach > end else ""
        write(part, "value", arrow + bar.text, x=stop, dx=6, y=middle + 3.8)


def _longest(groups: Sequence[Group]) -> float:
    bars = [bar for group in groups for bar in group.bars]
    longest = max((bar.value for bar in bars), default=0.0)
    tails = [bar.tail for bar in bars if bar.tail is not None and bar.tail <= _TAIL * longest]
    return max([longest, *tails]) or 1.0


def line_chart(
    points: Sequence[tuple[float, float]], *, title: str, digits: int, across: str = "epoch"
) -> str:
    """Draw one value by epoch, or by something else.

    Args:
        points: (epoch, value), at least two, by epoch.
        title: Read out in place of the picture.
        digits: Decimals of the numbers at the first and the last point.
        across: What stands in place of epochs.
    """
    values = [value for _, value in points]
    ticks = nice_ticks(min(values), max(values), 3)
    svg = canvas(title, viewBox=f"0 0 {_LINE_WIDTH} {_LINE_HEIGHT}")
    places = [_place(point, points, ticks) for point in points]
    for tick in ticks:
        y = _place((points[0][0], tick), points, ticks)[1]
        add(svg, "line", "grid", x1=_LEFT, x2=_LINE_WIDTH - _RIGHT, y1=y, y2=y)
        write(svg, "tick", f"{tick:g}", x=_LEFT - 8, y=y + 3.5, text_anchor="end")
    add(svg, "polyline", "curve t1", points=" ".join(f"{x},{y}" for x, y in places))
    if len(points) <= _DOTS:
        for x, y in places:
            add(svg, "circle", "mark hollow t1", cx=x, cy=y, r=2.5)
    x, y = places[-1]
    write(svg, "value", f"{values[-1]:.{digits}f}", x=x, y=y - 8, text_anchor="end")
    for (epoch, _), (x, _) in ((points[0], places[0]), (points[-1], places[-1])):
        label = f"{across} {epoch:g}" if epoch == points[0][0] else f"{epoch:g}"
        anchor = "start" if epoch == points[0][0] else "end"
        write(svg, "tick", label, x=x, y=_LINE_HEIGHT - 6, text_anchor=anchor)
    return markup(svg)


def _place(
    point: tuple[float, float], points: Sequence[tuple[float, float]], ticks: Sequence[float]
) -> tuple[float, float]:
    first, last = points[0][0], points[-1][0]
    across = (point[0] - first) / ((last - first) or 1)
    up = (point[1] - ticks[0]) / (ticks[-1] - ticks[0])
    x = _LEFT + across * (_LINE_WIDTH - _LEFT - _RIGHT)
    y = _LINE_HEIGHT - _BOTTOM - up * (_LINE_HEIGHT - _TOP - _BOTTOM)
    return round(x, 2), round(y, 2)


def _percent(value: float, end: float) -> str:
    return f"{_PLOT * min(max(value / end, 0.0), 1.0):.2f}%"
