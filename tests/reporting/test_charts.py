from __future__ import annotations

from xml.etree import ElementTree

import pytest

from edge_fgir.reporting.charts import Bar, Group, bar_chart, line_chart
from edge_fgir.reporting.svg import nice_ticks
from edge_fgir.reporting.units import duration, milliseconds, percent, points

pytestmark = pytest.mark.unit


def drawn(*bars: Bar, end: float | None = None):
    svg = bar_chart([Group("a", "", bars)], title="t", unit="ms", end=end)
    return ElementTree.fromstring(svg)


def widths(svg):
    return [float(rect.get("width").rstrip("%")) for rect in svg.iter("rect")]


def texts(svg):
    return [text.text for text in svg.iter("text")]


@pytest.mark.parametrize(
    ("low", "high", "count", "ticks"),
    [
        (0, 100, 4, [0, 25, 50, 75, 100]),
        (0, 29.9, 4, [0, 10, 20, 30]),
        (0, 0.07, 4, [0, 0.02, 0.04, 0.06, 0.08]),
        (46.9, 63.2, 3, [40, 50, 60, 70]),
        (5, 5, 3, [4, 6]),
        (0, 0, 3, [0, 0.5]),
        (-4e-15, 5e-15, 4, [-5e-15, -2.5e-15, 0, 2.5e-15, 5e-15]),
    ],
)
def test_ticks_are_round_and_enclose(low, high, count, ticks):
    found = nice_ticks(low, high, count)
    assert found[0] <= low
    assert found[-1] >= high
    assert found == pytest.approx(ticks, abs=0)


def test_bars_are_as_long_as_their_values():
    a, b, zero = widths(drawn(Bar(20, "", 0, ""), Bar(5, "", 1, ""), Bar(0, "", 1, "")))
    assert a == pytest.approx(4 * b, abs=0.01)
    assert zero == 0
    assert a <= 76


def test_a_far_tail_ends_in_an_arrow_instead_of_squeezing_the_bars():
    near = drawn(Bar(10, "10", 0, "", tail=15.0))
    far = drawn(Bar(10, "10", 0, "", tail=900.0))
    assert widths(near)[0] == pytest.approx(76 * 10 / 15, rel=0.4)
    assert widths(far)[0] == pytest.approx(76, rel=0.3)
    assert "10" in texts(near)
    assert "→ 10" in texts(far)


def test_the_last_value_is_written_and_the_line_goes_where_the_values_go():
    svg = ElementTree.fromstring(line_chart([(1, 2.0), (2, 1.5), (3, 1.25)], title="t", digits=2))
    line = svg.find("polyline").get("points").split()
    heights = [float(point.split(",")[1]) for point in line]
    assert heights == sorted(heights)  # SVG counts downwards
    assert "1.25" in texts(svg)
    assert {"epoch 1", "3"} <= set(texts(svg))


def test_a_line_may_go_over_another_count():
    svg = ElementTree.fromstring(
        line_chart([(10, 2.0), (600, 3.0)], title="t", digits=2, across="second")
    )
    assert {"second 10", "600"} <= set(texts(svg))


def test_texts_are_escaped():
    svg = bar_chart([Group("<b>&", '"', (Bar(1, "</svg>", 0, "<i>"),))], title='"><x>', unit="")
    assert {e.tag for e in ElementTree.fromstring(svg).iter()} == {
        *("svg", "g", "title", "rect", "line", "text", "tspan")
    }


def test_numbers_as_people_read_them():
    assert [milliseconds(v) for v in (0.5, 9.994, 9.996, 99.94, 99.96, 1234.5)] == [
        *("0.50", "9.99", "10.0", "99.9", "100", "1,234")
    ]
    assert [points(v) for v in (0.31, -0.61, 0.04, -0.04, 0.0)] == [
        "+0.3",
        "−0.6",
        "0.0",
        "0.0",
        "0.0",
    ]
    assert percent(64.83) == "64.8 %"
    assert [duration(v) for v in (59, 372.7)] == ["59 s", "6.2 min"]
