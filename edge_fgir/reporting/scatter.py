"""Points and curves over two axes, with labels where there is room for them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.etree import ElementTree

from edge_fgir.reporting.svg import (
    SERIES,
    add,
    canvas,
    hint,
    markup,
    nice_ticks,
    ratio_ticks,
    shorten,
    write,
)

DASHES = ("", "7 4", "2 3", "9 3 2 3")
"""How curves of one colour are told apart."""

FAINT, PLAIN, STRONG = 0, 1, 2
"""Weights of points."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 16, 26, 42
_LETTER, _STRONG_LETTER, _LETTERS, _TEXT_HEIGHT = 6.0, 7.0, 30, 13.0
_RADII = (3.0, 4.5, 6.5)
_ROOM = 3.5
# A bound this many times beyond everything else would squeeze the points.
_FAR = 1.6
# Marks that are as large as a circle: area for area.
_SQUARE, _DIAMOND, _TRIANGLE = 0.89, 1.25, 1.35

_Place = tuple[float, float]


@dataclass(frozen=True)
class Point:
    """One point.

    Attributes:
        x: Across.
        y: Up.
        tip: Shown when the pointer rests on it.
        label: Written beside it; '': nothing is.
        short: Written where there is no room for ``label``.
        insists: Whether one of the two is written even where there is no room.
        series: Number of its colour.
        shape: 0: circle, 1: square, 2: diamond, 3: triangle.
        weight: FAINT, PLAIN or STRONG.
        hollow: Whether only its outline is drawn.
        across: Ends of a horizontal line through it.
        up: Ends of a vertical line through it.
    """

    x: float
    y: float
    tip: str
    label: str = ""
    short: str = ""
    insists: bool = False
    series: int = 1
    shape: int = 0
    weight: int = PLAIN
    hollow: bool = False
    across: tuple[float, float] | None = None
    up: tuple[float, float] | None = None


@dataclass(frozen=True)
class Curve:
    """A line through places (x, y), from left to right; ``dash`` is one of DASHES."""

    places: tuple[tuple[float, float], ...]
    series: int = 1
    dash: int = 0


@dataclass(frozen=True)
class Bound:
    """A line that points should not cross: upright, or level where it is a ``floor``."""

    value: float
    label: str
    floor: bool = False


@dataclass(frozen=True)
class Axes:
    """What the axes say, and how large the chart is.

    Attributes:
        across: Written at the horizontal axis.
        up: Written at the vertical axis.
        width: Units of the picture, which are pixels where the page has room for it.
        height: The same.
        from_zero: Whether the vertical axis begins at zero.
        ratios: Whether equal ratios are equally wide on the horizontal axis (logarithmic).
    """

    across: str
    up: str
    width: int = 500
    height: int = 330
    from_zero: bool = False
    ratios: bool = False


def scatter_chart(
    points: Sequence[Point],
    curves: Sequence[Curve] = (),
    *,
    title: str,
    axes: Axes,
    bounds: Sequence[Bound] = (),
) -> str:
    """Draw points and curves.

    Args:
        points: At least one, those that are labelled and seen first at the front.
        curves: Drawn below the points.
        title: Read out in place of the picture.
        axes: What they say.
        bounds: Only named where they lie far to the right of everything else.
    """
    plane = _Plane.around(points, curves, axes, bounds)
    svg = canvas(title, viewBox=f"0 0 {axes.width} {axes.height}")
    _draw_axes(svg, plane)
    taken = [_box_around(plane.place(p.x, p.y), _RADII[p.weight]) for p in points]
    for curve in curves:
        places = [plane.place(x, y) for x, y in curve.places]
        style = f"curve t{curve.series % SERIES}"
        line = add(svg, "polyline", style, points=" ".join(f"{x},{y}" for x, y in places))
        if DASHES[curve.dash % len(DASHES)]:
            line.set("stroke-dasharray", DASHES[curve.dash % len(DASHES)])
        taken += [_box_around(place, _RADII[FAINT]) for place in places]
        taken += [box for pair in pairwise(places) for box in _steps(*pair)]
    for bound in bounds:
        taken += (_draw_floor if bound.floor else _draw_bound)(svg, plane, bound)
    for point in reversed(points):
        _draw_point(svg, plane, point)
    for point in points:
        _label_point(svg, plane, point, taken)
    return markup(svg)


@dataclass(frozen=True)
class _Plane:
    """Where values lie in the picture."""

    axes: Axes
    xs: Sequence[float]
    ys: Sequence[float]

    @classmethod
    def around(
        cls,
        points: Sequence[Point],
        curves: Sequence[Curve],
        axes: Axes,
        bounds: Sequence[Bound],
    ) -> _Plane:
        drawn = [place for curve in curves for place in curve.places]
        xs = [p.x for p in points] + [x for x, _ in drawn]
        ys = [y for p in points for y in (p.y, *(p.up or ()))] + [y for _, y in drawn]
        farthest = _FAR * max(xs)
        xs += [one.value for one in bounds if not one.floor and one.value <= farthest]
        ys += [one.value for one in bounds if one.floor]
        ys += [0.0] if axes.from_zero else []
        ticks = ratio_ticks if axes.ratios else nice_ticks
        return cls(axes, ticks(min(xs), max(xs)), nice_ticks(min(ys), max(ys)))

    @property
    def right(self) -> float:
        return self.axes.width - _RIGHT

    @property
    def bottom(self) -> float:
        return self.axes.height - _BOTTOM

    def place(self, x: float, y: float) -> _Place:
        """Return where a value lies, at the edge where it lies beyond."""
        first, last = self.xs[0], self.xs[-1]
        if self.axes.ratios:
            # What is at zero or below lies at the edge.
            across = math.log(max(x, first) / first) / math.log(last / first)
        else:
            across = (x - first) / (last - first)
        across = min(max(across, 0.0), 1.0)
        up = min(max((y - self.ys[0]) / (self.ys[-1] - self.ys[0]), 0.0), 1.0)
        return (
            round(_LEFT + across * (self.right - _LEFT), 2),
            round(self.bottom - up * (self.bottom - _TOP), 2),
        )


def _draw_axes(svg: ElementTree.Element, plane: _Plane) -> None:
    for tick in plane.xs:
        x = plane.place(tick, plane.ys[0])[0]
        add(svg, "line", "grid", x1=x, x2=x, y1=_TOP, y2=plane.bottom)
        write(svg, "tick", f"{tick:g}", x=x, y=plane.bottom + 16, text_anchor="middle")
    for tick in plane.ys:
        y = plane.place(plane.xs[0], tick)[1]
        add(svg, "line", "grid", x1=_LEFT, x2=plane.right, y1=y, y2=y)
        write(svg, "tick", f"{tick:g}", x=_LEFT - 8, y=y + 4, text_anchor="end")
    below = plane.axes.height - 8
    write(svg, "tick", plane.axes.across, x=plane.right, y=below, text_anchor="end")
    write(svg, "tick", plane.axes.up, x=0, y=12)


def _draw_bound(svg: ElementTree.Element, plane: _Plane, bound: Bound) -> list[_Box]:
    """Draw a bound and return what it covers."""
    x = plane.place(bound.value, plane.ys[0])[0]
    beyond = bound.value > plane.xs[-1]
    text = f"{bound.label} \N{RIGHTWARDS ARROW}" if beyond else bound.label
    width, middle = _LETTER * len(text), _TOP + 9
    to_left = x + 6 + width > plane.axes.width
    left = x - 6 - width if to_left else x + 6
    boxes = [(left, middle - _TEXT_HEIGHT / 2, left + width, middle + _TEXT_HEIGHT / 2)]
    if not beyond:
        add(svg, "line", "bound", x1=x, x2=x, y1=_TOP, y2=plane.bottom)
        boxes += _steps((x, _TOP), (x, plane.bottom))
    at = x - 6 if to_left else x + 6
    anchor = "end" if to_left else "start"
    write(svg, "value bound", text, x=round(at, 2), y=middle + 4, text_anchor=anchor)
    return boxes


def _draw_floor(svg: ElementTree.Element, plane: _Plane, bound: Bound) -> list[_Box]:
    """Draw a level bound and return what it covers."""
    y = plane.place(plane.xs[0], bound.value)[1]
    add(svg, "line", "bound", x1=_LEFT, x2=plane.right, y1=y, y2=y)
    write(svg, "value bound", bound.label, x=plane.right, y=y + 14, text_anchor="end")
    left = plane.right - _LETTER * len(bound.label)
    return [(left, y, plane.right, y + 18), *_steps((_LEFT, y), (plane.right, y))]


def _draw_point(svg: ElementTree.Element, plane: _Plane, point: Point) -> None:
    part = add(svg, "g", f"t{point.series % SERIES}" + (" faint" if not point.weight else ""))
    if point.tip:
        hint(part, point.tip)
    x, y = plane.place(point.x, point.y)
    if point.across and point.across[0] < point.across[1]:
        first, last = (plane.place(end, point.y)[0] for end in point.across)
        add(part, "line", "whisker", x1=first, x2=last, y1=y, y2=y)
    if point.up and point.up[0] < point.up[1]:
        low, high = (plane.place(point.x, end)[1] for end in point.up)
        add(part, "line", "whisker", x1=x, x2=x, y1=low, y2=high)
    style = "mark hollow" if point.hollow else "mark"
    radius = _RADII[point.weight]
    if point.shape % 4 == 0:
        add(part, "circle", style, cx=x, cy=y, r=radius)
    else:
        add(part, "path", style, d=_outline(point.shape % 4, x, y, radius))


def _outline(shape: int, x: float, y: float, radius: float) -> str:
    if shape == 1:
        half = radius * _SQUARE
        corners = [(x + a * half, y + b * half) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    elif shape == 2:
        half = radius * _DIAMOND
        corners = [(x + a * half, y + b * half) for a, b in ((0, -1), (1, 0), (0, 1), (-1, 0))]
    else:
        half = radius * _TRIANGLE
        corners = [
            (x + half * math.sin(turn), y - half * math.cos(turn))
            for turn in (0.0, 2 * math.pi / 3, 4 * math.pi / 3)
        ]
    return "M" + "L".join(f"{a:.2f} {b:.2f}" for a, b in corners) + "Z"


_Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def _box_around(place: _Place, half: float) -> _Box:
    return (place[0] - half, place[1] - half, place[0] + half, place[1] + half)


def _steps(start: _Place, end: _Place) -> Iterator[_Box]:
    """Yield boxes along a line, close enough that no text fits between two."""
    count = math.ceil(math.dist(start, end) / _TEXT_HEIGHT)
    for step in range(1, count):
        share = step / count
        x, y = (a + share * (b - a) for a, b in zip(start, end, strict=True))
        yield _box_around((x, y), _RADII[PLAIN])


def _label_point(svg: ElementTree.Element, plane: _Plane, point: Point, taken: list[_Box]) -> None:
    """Write a point's label where nothing else is; where least is, if the point insists on it."""
    texts = [text for text in (shorten(point.label, _LETTERS), point.short) if text]
    beside = [(text, *one) for text in texts for one in _beside(plane, point, len(text))]
    inside = [one for one in beside if _is_inside(plane, one[2])]
    covered = [sum(_overlap(box, other) for other in taken) for _, _, box in inside]
    least = min(covered, default=1)
    if least and not (point.insists and inside):
        return
    text, anchor, box = inside[covered.index(least)]
    taken.append(box)
    left, top, right, bottom = box
    x = {"start": left, "end": right, "middle": (left + right) / 2}[anchor]
    y = (top + bottom) / 2 + 4
    style = "value strong" if point.weight == STRONG else "value"
    write(svg, style, text, x=round(x, 2), y=round(y, 2), text_anchor=anchor)


def _beside(plane: _Plane, point: Point, letters: int) -> Iterator[tuple[str, _Box]]:
    """Yield where a label may stand, best first: its anchor and its box."""
    x, y = plane.place(point.x, point.y)
    gap = _RADII[point.weight] + _ROOM
    width = (_STRONG_LETTER if point.weight == STRONG else _LETTER) * letters
    for anchor, left, middle in (
        ("start", x + gap, y),
        ("end", x - gap - width, y),
        ("middle", x - width / 2, y - gap - 5),
        ("middle", x - width / 2, y + gap + 6),
        ("start", x + 4, y + gap + 6),
        ("end", x - 4 - width, y - gap - 5),
    ):
        half = _TEXT_HEIGHT / 2
        yield anchor, (left, middle - half, left + width, middle + half)


def _is_inside(plane: _Plane, box: _Box) -> bool:
    return box[0] >= _LEFT - 8 and box[2] <= plane.axes.width and box[1] >= 14


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
