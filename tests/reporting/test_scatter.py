"""Points, curves and intervals as SVG."""

from __future__ import annotations

import math
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_fgir.reporting.intervals import Interval, interval_chart
from edge_fgir.reporting.scatter import Axes, Bound, Curve, Point, scatter_chart
from edge_fgir.reporting.svg import ratio_ticks

pytestmark = pytest.mark.unit

AXES = Axes("across", "up")
RATIOS = Axes("across", "up", ratios=True)


def drawn(points, *args, axes=AXES, **changes) -> ElementTree.Element:
    return ElementTree.fromstring(scatter_chart(points, *args, title="t", axes=axes, **changes))


def texts(svg: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in svg.iter("text")]


def circles(svg: ElementTree.Element) -> list[ElementTree.Element]:
    return list(svg.iter("circle"))


def across(svg: ElementTree.Element) -> list[float]:
    """Return where points lie, those that were given first at the front."""
    return [float(circle.get("cx", "")) for circle in reversed(circles(svg))]


@given(st.floats(1e-4, 1e4), st.floats(1, 1e4))
def test_ratio_ticks_are_round_and_enclose(low, ratio):
    ticks = ratio_ticks(low, low * ratio)
    assert ticks[0] <= low * (1 + 1e-6)
    assert ticks[-1] >= low * ratio * (1 - 1e-6)
    assert all(b > a for a, b in pairwise(ticks))
    assert len(ticks) >= 2
    for tick in ticks:
        mantissa = tick / 10 ** math.floor(math.log10(tick) + 1e-9)
        assert mantissa == pytest.approx(round(mantissa, 1))


def test_equal_ratios_are_equally_wide():
    a, b, c = across(drawn([Point(x, 1, "") for x in (0.5, 1, 2)], axes=RATIOS))
    assert b - a == pytest.approx(c - b, abs=0.02)
    a, b, c = across(drawn([Point(x, 1, "") for x in (0.5, 1, 2)]))
    assert 2 * (b - a) == pytest.approx(c - b, abs=0.03)


def test_an_interval_that_reaches_zero_ends_at_the_edge():
    svg = drawn([Point(1.1, 1, "", across=(0.0, 4.0)), Point(3, 2, "")], axes=RATIOS)
    (line,) = [line for line in svg.iter("line") if line.get("class") == "whisker"]
    left, right = float(line.get("x1", "")), float(line.get("x2", ""))
    assert left < across(svg)[0] < right
    grid = [float(one.get("x1", "")) for one in svg.iter("line") if one.get("class") == "grid"]
    assert left == min(grid)


@pytest.mark.parametrize(("bound", "lines"), [(2.0, 1), (400.0, 0)])
def test_a_bound_that_is_far_away_is_only_named(bound, lines):
    points = [Point(1, 1, ""), Point(2, 2, "")]
    svg = drawn(points, bounds=[Bound(bound, "budget")])
    assert len([line for line in svg.iter("line") if line.get("class") == "bound"]) == lines
    assert any(text.startswith("budget") for text in texts(svg))
    assert ("budget \N{RIGHTWARDS ARROW}" in texts(svg)) == (not lines)


def test_a_floor_is_level():
    svg = drawn([Point(1, 1, ""), Point(2, 2, "")], bounds=[Bound(1.5, "least", floor=True)])
    (line,) = [line for line in svg.iter("line") if line.get("class") == "bound"]
    assert line.get("y1") == line.get("y2")
    ys = [float(circle.get("cy", "")) for circle in circles(svg)]
    assert min(ys) < float(line.get("y1", "")) < max(ys)


def test_only_who_insists_is_named_in_a_crowd():
    crowd = [Point(1 + x / 40, 1 + y / 40, "") for x in range(41) for y in range(41)]
    for insists in (False, True):
        svg = drawn([Point(1.5, 1.5, "", "a name", "name", insists), *crowd])
        assert bool({"a name", "name"} & set(texts(svg))) == insists


@pytest.mark.parametrize("shape", range(5))
def test_every_shape_is_where_its_point_is(shape):
    svg = drawn([Point(2, 2, "tip", shape=shape), Point(1, 1, ""), Point(3, 3, "")])
    middle = (across(drawn([Point(2, 2, ""), Point(1, 1, ""), Point(3, 3, "")])))[0]
    (group,) = [g for g in svg.iter("g") if g.find("title") is not None]
    mark = next(part for part in group if part.tag != "title")
    assert (mark.tag == "circle") == (shape % 4 == 0)
    if mark.tag == "path":
        corners = mark.get("d", "").strip("MZ").split("L")
        xs = [float(corner.split()[0]) for corner in corners]
        assert (max(xs) + min(xs)) / 2 == pytest.approx(middle, abs=0.02)


def test_an_axis_may_begin_at_zero():
    curve = Curve(((1, 5.0), (2, 6.0)))
    assert "0" not in texts(drawn([Point(2, 6, "")], [curve]))
    assert "0" in texts(drawn([Point(2, 6, "")], [curve], axes=Axes("", "", from_zero=True)))


def test_a_flagged_row_does_not_stretch_the_axis():
    calm = Interval("calm", 1.0, -1.0, 3.0, "1 ms", "tip")
    wild = Interval("wild <b>", -80.0, -90.0, -70.0, "9 ms", "tip", flagged=True)
    svg = ElementTree.fromstring(interval_chart([calm, wild], title="t", unit="%"))
    assert {"calm", "wild <b>", "1 ms", "9 ms", "+4 %"} <= set(texts(svg))
    first, last = (float(c.get("cx", "").rstrip("%")) for c in circles(svg))
    ticks = [
        float(x.get("x1", "").rstrip("%")) for x in svg.iter("line") if x.get("class") == "grid"
    ]
    assert last == min(ticks)
    (zero,) = [line.get("x1", "") for line in svg.iter("line") if line.get("class") == "zero"]
    assert float(zero.rstrip("%")) < first < max(ticks)
