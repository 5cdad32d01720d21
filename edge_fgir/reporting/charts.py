"""Charts as inline SVG: bars that stretch with the page, and small line charts.

Built as element trees, so every text in them is escaped. Colours are classes ``s0`` to ``s5`` of
the page's style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.etree import ElementTree

SERIES = 6
"""How many series have a colour of their own."""

_PLOT = 76.0
"""Share of the width that the axis takes, percent; the rest is for the numbers."""
_HEADER, _BAR, _GAP, _GROUP_GAP, _AXIS = 21, 11, 3, 15, 22
# A tail this many times longer than the longest bar would squeeze the bars themselves.
_TAIL = 2.0
_LINE_WIDTH, _LINE_HEIGHT = 220, 124
_LEFT, _RIGHT, _TOP, _BOTTOM = 32, 8, 20, 24
_DOTS = 30
_FIELD_WIDTH, _FIELD_HEIGHT = 500, 330
_FIELD_LEFT, _FIELD_RIGHT, _FIELD_TOP, _FIELD_BOTTOM = 44, 16, 26, 42
_LETTER, _LETTERS, _TEXT_HEIGHT, _DOT = 6.0, 30, 13.0, 4.5


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
    svg = _svg(title, width="100%", height=bottom + _AXIS, overflow="visible")
    for tick in ticks:
        x = _percent(tick, ticks[-1])
        _add(svg, "line", "grid", x1=x, x2=x, y1=4, y2=bottom - 4)
        label = f"{tick:g} {unit}" if tick == ticks[-1] else f"{tick:g}"
        anchor = "start" if tick == 0 else "middle"
        _text(svg, "tick", label, x=x, y=bottom + 12, text_anchor=anchor)
    top = 0
    for group, height in zip(groups, heights, strict=True):
        _draw_group(svg, group, top, ticks[-1])
        top += height
    return _dump(svg)


def _draw_group(svg: ElementTree.Element, group: Group, top: int, end: float) -> None:
    heading = _text(svg, "label", group.label, x=0, y=top + 14)
    if group.note:
        note = ElementTree.SubElement(heading, "tspan", {"class": "note", "dx": "7"})
        note.text = group.note
    for index, bar in enumerate(group.bars):
        y = top + _HEADER + index * (_BAR + _GAP)
        middle = y + _BAR / 2
        part = _add(svg, "g")
        _text(part, None, bar.tip, tag="title")
        width = _percent(bar.value, end)
        _add(part, "rect", f"s{bar.series % SERIES}", x=0, y=y, width=width, height=_BAR, rx=1.5)
        reach = bar.value if bar.tail is None else bar.tail
        stop = _percent(min(reach, end), end)
        if bar.tail is not None:
            _add(part, "line", "tail", x1=width, x2=stop, y1=middle, y2=middle)
            if bar.tail <= end:
                _add(part, "line", "tail", x1=stop, x2=stop, y1=middle - 3.5, y2=middle + 3.5)
        arrow = "\N{RIGHTWARDS ARROW} " if reach > end else ""
        _text(part, "value", arrow + bar.text, x=stop, dx=6, y=middle + 3.8)


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
    svg = _svg(title, viewBox=f"0 0 {_LINE_WIDTH} {_LINE_HEIGHT}")
    places = [_place(point, points, ticks) for point in points]
    for tick in ticks:
        y = _place((points[0][0], tick), points, ticks)[1]
        _add(svg, "line", "grid", x1=_LEFT, x2=_LINE_WIDTH - _RIGHT, y1=y, y2=y)
        _text(svg, "tick", f"{tick:g}", x=_LEFT - 8, y=y + 3.5, text_anchor="end")
    _add(svg, "polyline", "curve", points=" ".join(f"{x},{y}" for x, y in places))
    if len(points) <= _DOTS:
        for x, y in places:
            _add(svg, "circle", "dot", cx=x, cy=y, r=2.5)
    x, y = places[-1]
    _text(svg, "value", f"{values[-1]:.{digits}f}", x=x, y=y - 8, text_anchor="end")
    for (epoch, _), (x, _) in ((points[0], places[0]), (points[-1], places[-1])):
        label = f"{across} {epoch:g}" if epoch == points[0][0] else f"{epoch:g}"
        anchor = "start" if epoch == points[0][0] else "end"
        _text(svg, "tick", label, x=x, y=_LINE_HEIGHT - 6, text_anchor=anchor)
    return _dump(svg)


def _place(
    point: tuple[float, float], points: Sequence[tuple[float, float]], ticks: Sequence[float]
) -> tuple[float, float]:
    first, last = points[0][0], points[-1][0]
    across = (point[0] - first) / ((last - first) or 1)
    up = (point[1] - ticks[0]) / (ticks[-1] - ticks[0])
    x = _LEFT + across * (_LINE_WIDTH - _LEFT - _RIGHT)
    y = _LINE_HEIGHT - _BOTTOM - up * (_LINE_HEIGHT - _TOP - _BOTTOM)
    return round(x, 2), round(y, 2)


@dataclass(frozen=True)
class Point:
    """One point of a scatter chart.

    Attributes:
        x: Across.
        y: Up.
        label: Written beside it.
        short: Written where there is no room for ``label``.
        tip: Shown when the pointer rests on it.
        spread: Half the length of a line through it, upwards and downwards.
        line: Whether the line goes through it.
    """

    x: float
    y: float
    label: str
    short: str
    tip: str
    spread: float
    line: bool


def scatter_chart(points: Sequence[Point], *, title: str, across: str, up: str) -> str:
    """Draw points, and a line through those that belong to it.

    Args:
        points: At least one, those of the line from left to right.
        title: Read out in place of the picture.
        across: Written at the horizontal axis.
        up: Written at the vertical axis.
    """
    xs = nice_ticks(min(p.x for p in points), max(p.x for p in points))
    ys = nice_ticks(min(p.y - p.spread for p in points), max(p.y + p.spread for p in points))
    right, bottom = _FIELD_WIDTH - _FIELD_RIGHT, _FIELD_HEIGHT - _FIELD_BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        to_right = (x - xs[0]) / (xs[-1] - xs[0]) * (right - _FIELD_LEFT)
        upwards = (y - ys[0]) / (ys[-1] - ys[0]) * (bottom - _FIELD_TOP)
        return round(_FIELD_LEFT + to_right, 2), round(bottom - upwards, 2)

    svg = _svg(title, viewBox=f"0 0 {_FIELD_WIDTH} {_FIELD_HEIGHT}")
    for tick in xs:
        x = place(tick, ys[0])[0]
        _add(svg, "line", "grid", x1=x, x2=x, y1=_FIELD_TOP, y2=bottom)
        _text(svg, "tick", f"{tick:g}", x=x, y=bottom + 16, text_anchor="middle")
    for tick in ys:
        y = place(xs[0], tick)[1]
        _add(svg, "line", "grid", x1=_FIELD_LEFT, x2=right, y1=y, y2=y)
        _text(svg, "tick", f"{tick:g}", x=_FIELD_LEFT - 8, y=y + 4, text_anchor="end")
    _text(svg, "tick", across, x=right, y=_FIELD_HEIGHT - 8, text_anchor="end")
    _text(svg, "tick", up, x=0, y=12)
    line = [place(p.x, p.y) for p in points if p.line]
    _add(svg, "polyline", "curve", points=" ".join(f"{x},{y}" for x, y in line))
    for point in points:
        part = _add(svg, "g")
        _text(part, None, point.tip, tag="title")
        x, y = place(point.x, point.y)
        if point.spread:
            low, high = (place(point.x, point.y + way * point.spread)[1] for way in (-1, 1))
            _add(part, "line", "tail", x1=x, x2=x, y1=low, y2=high)
        _add(part, "circle", "dot" if point.line else "dot off", cx=x, cy=y, r=_DOT)
    taken = [_box_around(*place(p.x, p.y)) for p in points]
    taken += [_box_around(*step) for pair in pairwise(line) for step in _steps(*pair)]
    for point in sorted(points, key=lambda p: not p.line):
        _label_point(svg, point, place(point.x, point.y), taken)
    return _dump(svg)


_Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def _box_around(x: float, y: float) -> _Box:
    return (x - _DOT, y - _DOT, x + _DOT, y + _DOT)


def _steps(start: tuple[float, float], end: tuple[float, float]) -> Iterator[tuple[float, float]]:
    """Yield places along a line, close enough that no text fits between two."""
    count = math.ceil(math.dist(start, end) / _TEXT_HEIGHT)
    for step in range(1, count):
        share = step / count
        yield start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])


def _label_point(
    svg: ElementTree.Element, point: Point, place: tuple[float, float], taken: list[_Box]
) -> None:
    """Write a point's label where nothing else is; nowhere, if there is no such place."""
    label = point.label
    if len(label) > _LETTERS:
        label = label[: _LETTERS - 1] + "\N{HORIZONTAL ELLIPSIS}"
    x, y = place
    for text in (label, point.short):
        width = _LETTER * len(text)
        for anchor, left, middle in (
            ("start", x + 8, y),
            ("end", x - 8 - width, y),
            ("middle", x - width / 2, y - 13),
            ("middle", x - width / 2, y + 14),
        ):
            box = (left, middle - _TEXT_HEIGHT / 2, left + width, middle + _TEXT_HEIGHT / 2)
            inside = box[0] >= _FIELD_LEFT - 8 and box[2] <= _FIELD_WIDTH and box[1] >= 14
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                at = {"start": left, "end": left + width, "middle": x}[anchor]
                _text(
                    svg, "value", text, x=round(at, 2), y=round(middle + 4, 2), text_anchor=anchor
                )
                return


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def nice_ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Return round numbers, about ``count`` steps apart, that enclose ``low`` and ``high``."""
    span = high - low or abs(high) or 1.0
    magnitude = 10.0 ** math.floor(math.log10(span / count))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude * count >= 0.999 * span)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 10) for i in range(first, max(last, first + 1) + 1)]


def _percent(value: float, end: float) -> str:
    return f"{_PLOT * min(max(value / end, 0.0), 1.0):.2f}%"


def _svg(title: str, **attributes: object) -> ElementTree.Element:
    svg = ElementTree.Element("svg", {"class": "chart", "role": "img", "aria-label": title})
    for name, value in attributes.items():
        svg.set(name, str(value))
    return svg


def _add(
    parent: ElementTree.Element, tag: str, style: str | None = None, **attributes: object
) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, tag)
    if style:
        element.set("class", style)
    for name, value in attributes.items():
        element.set(name.replace("_", "-"), str(value))
    return element


def _text(
    parent: ElementTree.Element,
    style: str | None,
    text: str,
    *,
    tag: str = "text",
    **attributes: object,
) -> ElementTree.Element:
    element = _add(parent, tag, style, **attributes)
    element.text = text
    return element


def _dump(svg: ElementTree.Element) -> str:
    return ElementTree.tostring(svg, encoding="unicode", short_empty_elements=False)
