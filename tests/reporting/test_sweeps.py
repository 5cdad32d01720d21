"""Sweeps on the page: the table, the front, and what is missing."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from samples import write_result

pytest.importorskip("jinja2")

from edge_fgir._errors import InputError
from edge_fgir.reporting import write_report
from edge_fgir.reporting.scatter import Axes, Point, scatter_chart
from edge_fgir.reporting.sweeps import front

pytestmark = pytest.mark.unit

DATA = [
    {"name": "birds", "licence": "CC0-1.0", "hash": "0" * 64},
    {"name": "leaves", "licence": "CC0-1.0", "hash": "1" * 64},
]


def group(data: str, name: str, top1: float | None, gmacs: float, ms: float | None = None):
    finished = top1 is not None
    return {
        "data": data,
        "changes": {"model.name": name, "epochs": 3},
        "n": 2 if finished else 0,
        "failed": 0 if finished else 2,
        "top1": top1,
        "sd": 1.25 if finished else None,
        "macro": top1,
        "params": 5_000_000 if finished else None,
        "gmacs": gmacs if finished else None,
        "ms": ms,
        "ms_note": "" if ms or not finished else "the graph has no fixed shape",
    }


def cell(name: str, reason: str = ""):
    result = {
        "top1": 60.0,
        "top5": 90.0,
        "macro": 60.0,
        "ece": 3.0,
        "images": 20,
        "params": 5_000_000,
        "gmacs": 0.1,
        "architecture": name,
        "image_size": 64,
        "seconds": 90.0,
        "device": "cpu",
        "precision": "fp32",
    }
    return {
        "cell": "0123456789ab",
        "data": "birds",
        "changes": {"model.name": name},
        "seed": 1,
        "status": "failed" if reason else "finished",
        "reason": reason,
        **({} if reason else result),
    }


GROUPS = [
    group("birds", "small", 60.0, 0.1, 2.0),
    group("birds", "wasteful", 55.0, 0.5, 9.0),
    group("birds", "large", 80.0, 0.9, 5.0),
    group("birds", "odd", 70.0, 0.8),
    group("birds", "broken", None, 0.0),
    group("leaves", "small", 91.0, 0.1, 2.0),
]
BODY = {
    "name": "sizes",
    "recipe": "plain",
    "split": "test",
    "data": DATA,
    "groups": GROUPS,
    "cells": [cell("small"), cell("broken", "the loss is <nan> at step 3")],
}


def page_of(body: dict, tmp_path: Path):
    write_result(tmp_path / "sweep.json", "sweep", body)
    report = write_report([tmp_path / "sweep.json"], tmp_path / "page.html")
    return report, (tmp_path / "page.html").read_text(encoding="utf-8")


def charts_in(page: str) -> list[ElementTree.Element]:
    parts = page.split('<svg class="chart"')[1:]
    return [
        ElementTree.fromstring('<svg class="chart"' + part.split("</svg>")[0] + "</svg>")
        for part in parts
    ]


def test_each_data_set_has_its_table_and_its_fronts(tmp_path):
    report, page = page_of(BODY, tmp_path)
    assert page.count("<h2>Sweep sizes</h2>") == 2
    assert [table.data for table in report.sweeps] == ["birds", "leaves"]
    assert report.outcome == "Best of 5 settings: large, 80.0 % top-1 on birds, mean of 2 seeds"
    macs, ms = charts_in(page)[:2]
    for chart, dots in ((macs, 4), (ms, 3)):
        assert len(chart.findall(".//circle")) == dots
        assert len(chart.find("polyline").get("points").split()) == len({"small", "large"}) + (
            chart is macs
        )
    assert {"small", "odd", "large", "wasteful"} <= {text.text for text in macs.iter("text")}


def test_what_failed_or_was_not_measured_is_said(tmp_path):
    _, page = page_of(BODY, tmp_path)
    assert "2 failed" in page
    assert "the loss is &lt;nan&gt; at step 3" in page
    assert "No ms for #4: the graph has no fixed shape." in page


def test_a_sweep_of_failures_has_no_chart(tmp_path):
    groups = [group("birds", "broken", None, 0.0)]
    report, page = page_of({**BODY, "data": DATA[:1], "groups": groups}, tmp_path)
    assert "<svg" not in page
    assert report.outcome == ""


def test_settings_are_named_by_what_differs(tmp_path):
    rows = [
        {"method": "none", "cla": False},
        {"method": "evit", "keep_rate": 0.5, "cla": True},
        {"method": "evit", "keep_rate": 0.7, "cla": False},
    ]
    groups = [
        {**group("birds", "", 50.0 + i, 1.0), "changes": {"model.reduction": row, "epochs": 3}}
        for i, row in enumerate(rows)
    ]
    report, _ = page_of({**BODY, "data": DATA[:1], "groups": groups}, tmp_path)
    (table,) = report.sweeps
    assert [row.name for row in table.rows] == ["none", "evit, cla, 0.5", "evit, 0.7"]


def test_half_a_sweep_is_refused(tmp_path):
    with pytest.raises(InputError, match="groups: Field required; expected a whole sweep result"):
        page_of({key: value for key, value in BODY.items() if key != "groups"}, tmp_path)


@pytest.mark.parametrize(
    ("points", "places"),
    [
        ([], ()),
        ([(1, 5)], (0,)),
        ([(2, 5), (1, 5)], (1,)),
        ([(1, 4), (1, 5)], (1,)),
        ([(3, 9), (1, 5), (2, 4), (2, 7)], (1, 3, 0)),
        ([(1, 5), (1, 5)], (0, 1)),
    ],
)
def test_the_front_is_what_no_other_beats(points, places):
    assert front(points) == places


def test_labels_lie_on_nothing_else():
    points = [
        Point(0.1 * i, 60 + i % 3, "", f"a setting with a name {i}", f"#{i}") for i in range(12)
    ]
    chart = scatter_chart(points, title="t", axes=Axes("x", "y"))
    svg = ElementTree.fromstring(chart)
    boxes = []
    for text in svg.iter("text"):
        if text.get("class") == "value":
            width, x = 6.0 * len(text.text or ""), float(text.get("x", 0))
            left = x - {"start": 0, "middle": width / 2, "end": width}[text.get("text-anchor", "")]
            boxes.append((left, left + width, float(text.get("y", 0))))
    assert len(boxes) > 6
    for i, one in enumerate(boxes):
        for other in boxes[:i]:
            apart = one[0] >= other[1] or other[0] >= one[1] or abs(one[2] - other[2]) >= 12.9
            assert apart
