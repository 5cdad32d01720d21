"""Profiles on the page: the front, the budget, what was measured and what was not."""

from __future__ import annotations

import random
from collections.abc import Iterator
from copy import deepcopy
from itertools import pairwise, product
from pathlib import Path
from xml.etree import ElementTree

import pytest
from samples import DATA, write_result
from test_report import TORCH, Page

pytest.importorskip("jinja2")

from edge_fgir._errors import InputError
from edge_fgir.evaluation import wilson_interval
from edge_fgir.reporting import write_report

pytestmark = pytest.mark.unit

IMAGES = 90
EVIL = '<script>alert("1")</script>'
SIZES, RATES = (64, 80, 96, 112, 128, 144, 160), (1.0, 0.85, 0.7, 0.55, 0.4, 0.25)
SLOWER = {"int8": 1.0, "fp32": 3.1}
LARGER = {"vitfs-n": 1.0, "vitfs-t": 2.2}


def block_ms(tokens: int) -> float:
    """Return a staircase with tiles of 16 tokens."""
    tiles = -(-tokens // 16)
    return 0.009 + 0.0052 * tiles + 0.0009 * tiles**2


def tokens_of(size: int, rate: float) -> list[int]:
    """Return the tokens of 12 blocks, dropped after the 4th, the 7th and the 10th."""
    tokens = (size // 16) ** 2 * 2
    counts = [tokens]
    for block in range(1, 12):
        tokens = max(1, round(tokens * rate)) if block in (4, 7, 10) else tokens
        counts.append(tokens)
    return counts


def true_ms(size: int, rate: float, precision: str, run: str = "vitfs-n") -> float:
    blocks = sum(block_ms(tokens) for tokens in tokens_of(size, rate))
    return LARGER[run] * SLOWER[precision] * (0.08 + size**2 * 4.5e-6 + blocks)


def name_of(size: int, rate: float) -> str:
    return f"{size} px, evit {rate:g}" if rate < 1 else f"{size} px, all tokens"


def probe(run: str, size: int, rate: float, precision: str, noise: random.Random):
    ms = true_ms(size, rate, precision, run)
    predicted = ms * (1 + noise.gauss(0, 0.012))
    return {
        "name": name_of(size, rate),
        "image_size": size,
        "tokens": sum(tokens_of(size, rate)),
        "pixels": size**2,
        "ms": ms,
        "predicted_ms": predicted,
        "low_ms": 0.972 * predicted,
        "high_ms": 1.028 * predicted,
        "disturbed": False,
    }


def model(run: str, precision: str, noise: random.Random):
    slower = LARGER[run] * SLOWER[precision]
    settings = [(size, rate) for size in SIZES[::2] for rate in (1.0, 0.7, 0.4, 0.25)]
    probes = [probe(run, size, rate, precision, noise) for size, rate in settings]
    probes[5] = {**probes[5], "ms": 1.21 * probes[5]["ms"], "disturbed": True}
    tokens = list(range(4, 204, 4))
    return {
        "precision": precision,
        "fingerprint": "0f1e2d3c4b5a6978",
        "error_percent": 1.23,
        "seconds": 95.0,
        "estimate": False,
        "staircase": {
            "tokens": tokens,
            "block_ms": [slower * block_ms(one) for one in tokens],
        },
        "probes": probes,
    }


def point(run: str, size: int, rate: float, precision: str, noise: random.Random):
    predicted = true_ms(size, rate, precision, run) * (1 + noise.gauss(0, 0.012))
    worth = 62 * LARGER[run] ** 0.2 * (1 - 2.1 ** (-size / 44)) * (
        1 - 0.42 * (1 - rate) ** 2.2
    ) + noise.gauss(0, 0.7)
    top1 = 100 * round(worth * IMAGES / 100) / IMAGES
    low, high = wilson_interval(top1, IMAGES)
    return {
        "run": run,
        "name": name_of(size, rate),
        "setting": {"image_size": size, "keep_rate": rate, "method": "evit"},
        "precision": precision,
        "predicted": {"ms": predicted, "low": 0.972 * predicted, "high": 1.028 * predicted},
        "measured": None,
        "accuracy": {"top1": top1, "low": low, "high": high},
        "accuracy_of": "torch",
        "role": "",
    }


def measured(found, role: str, **changes: object):
    p50 = 1.008 * found["predicted"]["ms"]
    timed = {"p50_ms": p50, "p99_ms": 1.19 * p50, "certified": False, **changes}
    return {**found, "measured": timed, "accuracy_of": "bundle", "role": role}


def costs_of(points):
    found = []
    order = sorted(range(len(points)), key=lambda i: points[i]["predicted"]["ms"])
    for place in order:
        one = points[place]
        top1 = one["accuracy"]["top1"]
        if not found or top1 > found[-1]["top1"]:
            ms = (one["measured"] or {}).get("p50_ms", one["predicted"]["ms"])
            found.append({"latency_ms": ms, "top1": top1, "point": place})
    return found


def body_of(runs=("vitfs-n",), budget: float = 1.0, **changes: object):
    """Return a profile such as a machine would write: the points of a grid, three of them built."""
    noise = random.Random(7)
    points = [
        point(run, size, rate, precision, noise)
        for run, size, rate, precision in product(runs, SIZES, RATES, SLOWER)
    ]
    within = [i for i, one in enumerate(points) if one["predicted"]["ms"] < 0.97 * budget]
    best = sorted(within, key=lambda i: -points[i]["accuracy"]["top1"])[:3]
    for place, role in zip(best, ("chosen", "runner-up", "runner-up"), strict=True):
        points[place] = measured(points[place], role)
    return {
        "device": "local",
        "device_name": "AMD EPYC 7B13",
        "target": "openvino",
        "measured": True,
        "scope": "frame_to_decision",
        "budget": {"latency_ms": budget, "percentile": "p50", "memory_mb": None},
        "data": DATA,
        "images": IMAGES,
        "runs": [
            {
                "name": run,
                "architecture": "vitfs_nano",
                "params": 1_234_567,
                "models": [model(run, precision, noise) for precision in SLOWER],
            }
            for run in runs
        ],
        "points": points,
        "costs": costs_of(points),
        "why": f"the most accurate of 3 finalists within {budget:g} ms",
        "test": {"split": "test", "top1": 52.3, "images": 130},
        "seconds": 312.0,
        **changes,
    }


def estimates_of(body):
    """Return a profile of a device that nobody has."""
    body = deepcopy(body)
    for one in body["points"]:
        one["measured"] = None
        one["accuracy_of"] = "torch"
        ms = one["predicted"]["ms"]
        one["predicted"] = {"ms": ms, "low": ms / 3, "high": 3 * ms}
    empty = {"estimate": True, "staircase": None, "probes": [], "error_percent": None}
    for run in body["runs"]:
        run["models"] = [{**one, **empty} for one in run["models"]]
    return {
        **body,
        "measured": False,
        "device": "jetson-orin-nano",
        "device_name": "Jetson Orin Nano 8GB",
        "test": None,
    }


def page_of(tmp_path: Path, *bodies, others=()) -> Page:
    results = [*others, *(("profile", body) for body in bodies)]
    files = [tmp_path / f"{number}.json" for number in range(len(results))]
    for file, (kind, body) in zip(files, results, strict=True):
        write_result(file, kind, body)
    write_report(files, tmp_path / "page.html")
    return Page((tmp_path / "page.html").read_text(encoding="utf-8"))


def charts_in(page: Page, words: str) -> list[ElementTree.Element]:
    """Return the charts whose title has these words."""
    parts = ['<svg class="chart"' + part for part in page.html.split('<svg class="chart"')[1:]]
    charts = [ElementTree.fromstring(part.split("</svg>")[0] + "</svg>") for part in parts]
    return [chart for chart in charts if words in chart.get("aria-label", "")]


def marks_of(chart: ElementTree.Element) -> Iterator[tuple[str, ElementTree.Element]]:
    """Yield every mark with what is shown when the pointer rests on it."""
    for group in chart.iter("g"):
        mark = next(part for part in group if (part.get("class") or "").startswith("mark"))
        yield group.find("title").text, mark  # type: ignore[misc]


def texts(chart: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in chart.iter("text")]


def curves(chart: ElementTree.Element) -> list[list[tuple[float, ...]]]:
    lines = [line.get("points", "") for line in chart.iter("polyline")]
    return [[tuple(map(float, place.split(","))) for place in line.split()] for line in lines]


def section_of(page: Page) -> str:
    return next(text for name, text in page.sections.items() if name.startswith("What fits"))


def chosen_of(body):
    return next(one for one in body["points"] if one["role"] == "chosen")


def test_the_front_joins_what_no_other_beats(tmp_path):
    body = body_of()
    (chart,) = charts_in(page_of(tmp_path, body), "Top-1 over")
    assert len(list(marks_of(chart))) == len(body["points"])
    (line,) = curves(chart)
    for before, after in pairwise(line):
        assert before[0] < after[0]
        assert before[1] > after[1]  # SVG counts downwards
    ms = [(one["measured"] or {}).get("p50_ms", one["predicted"]["ms"]) for one in body["points"]]
    top1 = [one["accuracy"]["top1"] for one in body["points"]]
    unbeaten = [
        i
        for i in range(len(ms))
        if not any(ms[j] < ms[i] and top1[j] >= top1[i] for j in range(len(ms)))
    ]
    assert len(line) == len(unbeaten)


def test_only_what_was_measured_is_solid(tmp_path):
    body = body_of()
    (chart,) = charts_in(page_of(tmp_path, body), "Top-1 over")
    found = {tip: mark.get("class") for tip, mark in marks_of(chart)}
    solid = [tip for tip, style in found.items() if style == "mark"]
    assert len(solid) == 3
    assert all("measured, not certified" in tip for tip in solid)
    assert all("ms predicted" in tip for tip, style in found.items() if style == "mark hollow")


def test_the_chosen_point_and_the_budget_are_named(tmp_path):
    body = body_of()
    chosen = chosen_of(body)
    page = page_of(tmp_path, body)
    (chart,) = charts_in(page, "Top-1 over")
    assert f"chosen: {chosen['name']}" in texts(chart)
    assert "budget 1 ms" in texts(chart)
    (bound,) = [line for line in chart.iter("line") if line.get("class") == "bound"]
    for tip, mark in marks_of(chart):
        if mark.tag == "circle" and "beyond the budget" not in tip:
            assert float(mark.get("cx")) <= float(bound.get("x1"))
    free = page_of(tmp_path, {**body, "budget": {"latency_ms": None}})
    (chart,) = charts_in(free, "Top-1 over")
    assert not [line for line in chart.iter("line") if line.get("class") == "bound"]


def test_the_finalists_are_a_table(tmp_path):
    body = body_of()
    page = page_of(tmp_path, body)
    one = chosen_of(body)
    (row,) = [row for row in page.rows if row and row[0].endswith("chosen")]
    p50, p99 = (f"{one['measured'][key]:.2f}" for key in ("p50_ms", "p99_ms"))
    low, high = (f"{one['accuracy'][key]:.1f}" for key in ("low", "high"))
    ends = " to ".join(f"{one['predicted'][key]:.2f}" for key in ("low", "high"))
    assert row == [
        f"{one['name']} vitfs-n chosen",
        "int8",
        f"{one['predicted']['ms']:.2f} {ends}",
        f"{p50} / {p99} not certified",
        f"{one['accuracy']['top1']:.1f} % {low} to {high}, the bundle",
    ]
    assert sum("runner-up" in row[0] for row in page.rows if row) == 2
    assert "90 validation images, 95 %" in section_of(page)
    assert "Chosen: the most accurate of 3 finalists within 1 ms." in section_of(page)


def test_the_outcome_is_the_choice(tmp_path):
    body = body_of()
    one = chosen_of(body)
    said = (
        f"vitfs-n at {one['name']}, int8: {one['accuracy']['top1']:.1f} % validation top-1 in "
        f"{one['measured']['p50_ms']:.2f} ms measured on AMD EPYC 7B13, for a budget of 1 ms (p50)"
    )
    page = page_of(tmp_path, body, others=[TORCH])
    assert said in page.text.split("What fits")[0]
    assert "birds, CC0-1.0" in page.text
    assert "profile of AMD EPYC 7B13" in page.sections["Environment"]


@pytest.mark.parametrize(
    ("certified", "said"),
    [
        ((False, False, False), "No measurement is certified"),
        ((True, False, False), "2 of the measurements are not certified"),
        ((True, True, True), None),
    ],
)
def test_doubtful_measurements_are_called_that(tmp_path, certified, said):
    body = body_of()
    built = [one for one in body["points"] if one["measured"]]
    for one, value in zip(built, certified, strict=True):
        one["measured"]["certified"] = value
    section = section_of(page_of(tmp_path, body))
    assert (said or "certified:") in section or said is None
    assert ("not certified" in section) == (said is not None)


def test_an_estimate_is_never_called_measured(tmp_path):
    page = page_of(tmp_path, estimates_of(body_of()))
    (heading,) = [name for name in page.sections if name.startswith("What fits")]
    assert heading == "What fits Jetson Orin Nano 8GB estimate"
    section = section_of(page)
    assert "Estimates only. Nothing ran on Jetson Orin Nano 8GB" in section
    assert "frame to decision, estimate" in section
    for word in ("measured on", "ms measured", "p50 0", "solid", "probes in", "predicted"):
        assert word not in section
    assert section.count("not measured") == 3
    assert "ms estimated for Jetson Orin Nano 8GB" in page.text.split("What fits")[0]
    assert "estimates for Jetson Orin Nano 8GB" in page.sections["Environment"]
    (chart,) = charts_in(page, "Top-1 over estimated ms")
    assert {mark.get("class") for _, mark in marks_of(chart)} == {"mark hollow"}


def test_what_the_budget_costs(tmp_path):
    body = body_of()
    page = page_of(tmp_path, body)
    (chart,) = charts_in(page, "Best top-1 within a latency")
    (line,) = curves(chart)
    assert len(line) == 2 * len(body["costs"]) - 1
    assert all(b[0] >= a[0] and b[1] <= a[1] for a, b in pairwise(line))
    best = {
        bound: max(one["top1"] for one in body["costs"] if one["latency_ms"] <= bound)
        for bound in (0.5, 1.0, 2.0)
    }
    loss, gain = best[1.0] - best[0.5], best[2.0] - best[1.0]
    said = (
        f"Half the budget, 0.5 ms: −{loss:.1f} points. Twice the budget, 2 ms: +{gain:.1f} points."
    )
    assert said in section_of(page)
    fast = {**body, "costs": [one for one in body["costs"] if one["latency_ms"] > 0.5]}
    assert "0.5 ms: nothing is that fast." in section_of(page_of(tmp_path, fast))
    assert "What a budget costs" not in section_of(page_of(tmp_path, {**body, "costs": []}))


def test_every_run_has_its_staircase(tmp_path):
    page = page_of(tmp_path, body_of(("vitfs-n", "vitfs-t"), 2.0))
    stairs = charts_in(page, "ms of a block over its tokens")
    assert [chart.get("aria-label").split(":")[0] for chart in stairs] == ["vitfs-n", "vitfs-t"]
    for chart in stairs:
        assert {"int8", "fp32"} <= set(texts(chart))
        assert len({line.get("stroke-dasharray") for line in chart.iter("polyline")}) == 2
        for line in curves(chart):
            assert len(line) == 50
            assert all(b[0] > a[0] and b[1] <= a[1] for a, b in pairwise(line))


def test_a_cnn_has_none(tmp_path):
    body = body_of()
    for one in body["runs"][0]["models"]:
        one["staircase"] = None
    page = page_of(tmp_path, body)
    assert charts_in(page, "over its tokens") == []
    assert len(charts_in(page, "predictions against measurements")) == 2


def test_probes_stand_against_their_predictions(tmp_path):
    body = body_of()
    page = page_of(tmp_path, body)
    chart = charts_in(page, "vitfs-n int8: predictions against measurements")[0]
    (zero,) = [line.get("x1") for line in chart.iter("line") if line.get("class") == "zero"]
    own = sorted(body["runs"][0]["models"][0]["probes"], key=lambda one: one["ms"])
    for one, (tip, mark) in zip(own, marks_of(chart), strict=True):
        assert tip.startswith(f"{one['name']}: ")
        to_right = float(mark.get("cx").rstrip("%")) > float(zero.rstrip("%"))
        assert to_right == (one["predicted_ms"] > one["ms"])
    flagged = [group for group in chart.iter("g") if group.get("class") == "flagged"]
    assert len(flagged) == 1
    assert any("disturbed" in text for text in texts(flagged[0]))
    within = sum(
        one["low_ms"] <= one["ms"] <= one["high_ms"] for one in own if not one["disturbed"]
    )
    row = page.row("vitfs-n int8")
    assert row[1:] == ["16 in 1.6 min 1 disturbed", "1.2 %", f"{within} of 15"]


def test_a_99th_percentile_is_drawn_as_one(tmp_path):
    body = body_of()
    body["budget"] = {"latency_ms": 1.0, "percentile": "p99"}
    page = page_of(tmp_path, body)
    (chart,) = charts_in(page, "Top-1 over")
    assert "budget 1 ms (p99)" in texts(chart)
    ends = {}
    for group in chart.iter("g"):
        level = [one for one in group.iter("line") if one.get("y1") == one.get("y2")]
        if level and "measured" in group.find("title").text:
            ends[group.find("title").text] = float(level[0].get("x2")) - float(level[0].get("x1"))
    assert len(ends) == 3
    assert all(length > 0 for length in ends.values())
    slow = [one for one in body["points"] if one["measured"] and one["measured"]["p99_ms"] > 1]
    finalists = [row[0] for row in page.rows if row and ("chosen" in row[0] or "runner" in row[0])]
    assert sum("beyond the budget" in cell for cell in finalists) == len(slow) > 0
    assert "The budget is for the 99th percentile" in section_of(page)


def test_a_budget_may_be_of_many_kinds(tmp_path):
    budget = {"latency_ms": 1.0, "memory_mb": 200, "size_mb": 20, "energy_mj": 5}
    body = {**body_of(), "budget": {**budget, "min_accuracy": 50}}
    page = page_of(tmp_path, body)
    said = "1 ms (p50), 200 MB of memory, 5 mJ a frame, 20 MB of model files, 50 % top-1 at least"
    assert f"budget {said}." in section_of(page)
    (chart,) = charts_in(page, "Top-1 over")
    assert "at least 50 %" in texts(chart)


def test_runs_are_told_apart(tmp_path):
    body = body_of(("vitfs-n", "vitfs-t"), 2.0)
    page = page_of(tmp_path, body)
    (chart,) = charts_in(page, "Top-1 over")
    assert len(curves(chart)) == 2
    colours = {}
    for group in chart.iter("g"):
        run = group.find("title").text.split(",")[0]
        colours.setdefault(run, set()).add(group.get("class").split()[0])
    assert len(colours["vitfs-n"] | colours["vitfs-t"]) == 2
    assert all(len(found) == 1 for found in colours.values())
    assert {"vitfs-n", "vitfs-t"} <= set(texts(chart))
    assert "● vitfs-n ● vitfs-t ● int8 ■ fp32 ○ hollow: predicted" in section_of(page)


def test_what_was_built_needs_no_prediction(tmp_path):
    body = body_of()
    chosen_of(body)["predicted"] = None
    assert chosen_of(body)["measured"] is not None
    (row,) = [r for r in page_of(tmp_path, body).rows if r and r[0].endswith("chosen")]
    assert row[2] == "–"


def test_every_profile_has_its_section(tmp_path):
    estimates = estimates_of(body_of())
    page = page_of(tmp_path, body_of(), estimates)
    found = [name for name in page.sections if name.startswith("What fits")]
    assert found == ["What fits AMD EPYC 7B13", "What fits Jetson Orin Nano 8GB estimate"]


def test_names_are_inert(tmp_path):
    body = body_of()
    body |= {"device_name": EVIL, "target": EVIL, "why": EVIL, "data": {**DATA, "name": EVIL}}
    body["test"]["split"] = EVIL
    run = body["runs"][0]
    run |= {"name": EVIL, "architecture": EVIL}
    for one in run["models"]:
        one["precision"] = EVIL
        for found in one["probes"]:
            found["name"] = EVIL
    for one in body["points"]:
        one |= {"run": EVIL, "name": EVIL, "precision": EVIL}
    page = page_of(tmp_path, body)
    assert page.text.count(EVIL) > 100
    assert "<script" not in page.html
    assert not [tag for tag, _ in page.tags if tag == "script"]


def spoil_steps(body):
    body["costs"][0]["point"] = len(body["points"])


def spoil_runs(body):
    body["points"][0]["run"] = "nobody"


def spoil_choice(body):
    for one in body["points"]:
        one["role"] = "chosen"


def spoil_stairs(body):
    body["runs"][0]["models"][0]["staircase"]["tokens"].pop()


def spoil_times(body):
    body["points"][0] |= {"measured": None, "predicted": None}


def spoil_probe(body):
    body["runs"][0]["models"][0]["probes"][0]["ms"] = 0.0


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_steps, "costs must name points that exist"),
        (spoil_runs, "points must be of the runs"),
        (spoil_choice, "at most one point can be chosen"),
        (spoil_stairs, "tokens and block_ms must be equally many"),
        (spoil_times, "a point must be predicted or measured"),
        (spoil_probe, r"runs\.0\.models\.0\.probes\.0\.ms: Input should be greater than 0"),
        (lambda body: body.pop("points"), "points: Field required; expected a whole profile"),
        (lambda body: body.update(measured=False), "where nothing ran, nothing can have been"),
    ],
)
def test_half_a_profile_is_refused(tmp_path, spoil, message):
    body = body_of()
    spoil(body)
    with pytest.raises(InputError, match=message):
        page_of(tmp_path, body)
