"""A fit on the page: what was made, what was tried, what it cost, and what is doubtful."""

from __future__ import annotations

from pathlib import Path

import pytest
import samples
from test_report import Page

pytest.importorskip("jinja2")

from edge_fgir.reporting import write_report

pytestmark = pytest.mark.unit

EVIL = '<script>alert("1")</script>'


@pytest.fixture
def page(tmp_path: Path):
    """Return a function that draws the page of a sample fit with some fields changed."""

    def draw(**changes: object) -> Page:
        samples.write_result(tmp_path / "fit.json", "fit", samples.fit(**changes))
        write_report([tmp_path / "fit.json"], tmp_path / "page.html")
        return Page((tmp_path / "page.html").read_text(encoding="utf-8"))

    return draw


def test_the_outcome_names_the_bundle_its_accuracy_its_time_and_the_budget(page) -> None:
    fit = samples.fit()
    chosen = next(point for point in fit["points"] if point["role"] == "chosen")
    outcome = page().html.split('<p class="outcome">')[1].split("</p>")[0]
    assert outcome.startswith(f"{chosen['name']}, {chosen['precision']}: ")
    assert f"{chosen['measured']['p50_ms']:.2f} ms on AMD EPYC" in outcome
    assert "for a budget of 3 ms (p50)" in outcome


def test_what_was_tried_stands_in_the_table_with_the_chosen_first(page) -> None:
    fit, html = samples.fit(), page().html
    table = html.split('<section class="profile fit">')[1].split("</section>")[0]
    trained = [each["name"] for each in fit["candidates"] if each.get("trainings")]
    assert trained
    assert all(f"<strong>{name}</strong>" in table for name in trained)
    rows = table.split("<tbody>")[1].split("<tr")[1:]
    assert 'class="best"' in rows[0]
    assert "chosen" in rows[0]
    assert fit["why"] in table


def test_what_was_too_slow_is_counted_but_not_drawn(page) -> None:
    html = page().html
    slow = [each for each in samples.fit()["candidates"] if not each.get("trainings")]
    assert slow
    assert (
        f"{len(slow)} of {len(samples.fit()['candidates'])} candidates were never trained" in html
    )
    assert not any(f"<strong>{each['name']}</strong>" in html for each in slow)


def test_pictures_that_were_left_out_are_counted_by_reason(page) -> None:
    found = samples.fit()["found"]
    skipped = [{"file": f"{n}.jpg", "reason": "truncated"} for n in range(3)]
    skipped.append({"file": "x.jpg", "reason": EVIL})
    html = page(found={**found, "skipped": skipped}).html
    assert "4 pictures were left out: 3 × truncated; 1 × " in html
    assert EVIL not in html


def test_a_judgement_by_macro_accuracy_says_so(page) -> None:
    html = page(judged_by="macro").html
    assert "macro accuracy over milliseconds" in html
    assert "Macro accuracy in the table is on" in html


def test_the_evaluation_and_the_bench_of_the_bundle_are_on_the_page(page) -> None:
    html = page().html
    assert '<section id="models">' in html
    assert '<section id="latency">' in html
    assert '<section class="classes">' in html


def test_what_frigate_reads_is_told_class_by_class_with_what_to_collect_next(page) -> None:
    assert '<section class="profile frigate">' not in page().html
    finch = {
        "name": EVIL,
        "train": 12,
        "images": 9,
        "right": 6,
        "visits": 2,
        "taken_for": {"none": 2, "wren": 1},
    }
    wren = {"name": "wren", "train": 40, "images": 9, "right": 9, "visits": 9, "taken_for": {}}
    html = page(
        frigate={
            "images": 18,
            "bound": 0.5,
            "none_is_a_class": False,
            "bundle_top1": 88.9,
            "frigate_top1": 83.3,
            "drop_interval": [-5.0, 16.0],
            "agreement": 94.4,
            "bundle_none": 5.6,
            "frigate_none": 11.1,
            "classes": [finch, wren],
        }
    ).html
    section = html.split('<section class="profile frigate">')[1].split("</section>")[0]
    assert "top-1 83.3 %, the bundle" in section
    rows = section.split("<tbody>")[1].split("</tbody>")[0].split("<tr>")[1:]
    assert "none 2, wren 1" in rows[0]
    assert "in 2 visits" in rows[0]
    assert "visit" not in rows[1]
    assert "Collect next, of other visits and other weather: " in section
    assert "wren (40 for training)" not in section
    assert "There is no class none" in section
    assert EVIL not in html
