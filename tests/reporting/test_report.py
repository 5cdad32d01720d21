from __future__ import annotations

import io
import json
import subprocess
import sys
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image
from samples import DATA, ENVIRONMENT, latency, metrics, model_bytes, subject, write_result

from edge_fgir._errors import InputError, MissingExtraError
from edge_fgir.reporting import columns, write_report
from edge_fgir.reporting.collect import collect
from edge_fgir.reporting.pictures import THUMBNAIL, embed, embed_again, thumbnails
from edge_fgir.reporting.rows import make_rows
from edge_fgir.reporting.terminal import terminal_table
from edge_fgir.results import ConfusedPair, Evaluation
from edge_fgir.runtime import read_image

pytestmark = pytest.mark.unit

CLASSES = ("wren", "robin")
EVIL = "<script>alert(1)</script>"
_VOID = {"meta", "br", "img"}


@dataclass
class Page(HTMLParser):
    """What a reader sees: texts by section, table rows, pictures."""

    html: str
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    sections: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[str] = []
        self._heading = ""
        self.feed(self.html)
        self.close()
        assert self._open == []
        self.text = " ".join(" ".join(self.words).split())
        self.sections = {name: " ".join(t.split()) for name, t in self.sections.items()}
        self.rows = [[" ".join(cell.split()) for cell in row] for row in self.rows]

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "h2":
            self._heading = ""

    def handle_endtag(self, tag):
        assert self._open.pop() == tag
        if tag == "h2":
            self.sections[self._heading] = ""

    def handle_data(self, data):
        if "style" in self._open:
            return
        self.words.append(data)
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data + " "
        if "h2" in self._open:
            self._heading += data
        elif self._heading in self.sections:
            self.sections[self._heading] += data + " "

    @property
    def images(self) -> list[str]:
        return [a["src"] for tag, a in self.tags if tag == "img"]  # type: ignore[misc]

    def row(self, title: str) -> list[str]:
        return next(row for row in self.rows if row and row[0].startswith(title))


def evaluation(target: str, right: tuple[int, int], classes=CLASSES, **changes):
    table = [[right[0], 10 - right[0]], [10 - right[1], right[1]]]
    by_class = [
        {"name": name, "images": 10, "top1": 10.0 * right[i]} for i, name in enumerate(classes)
    ]
    return {
        **subject(target, "fp32" if target == "torch" else "int8"),
        **metrics(5.0 * sum(right), 20, by_class, table),
        "model_bytes": model_bytes(target),
        "split": "test",
        "data": DATA,
        **changes,
    }


def training(**changes):
    return {
        "name": "birds-student",
        "method": "tgda",
        "architecture": "lrnet14",
        "data": DATA,
        "steps": 30,
        "epochs": 3,
        "seconds": 372.0,
        "device": "cpu",
        "precision": "bf16",
        "val_top1": 63.21,
        "val_macro": 60.0,
        "history": [
            {"step": 10 * e, "epoch": e, **line}
            for e, loss in ((1, 2.5), (2, 1.5), (3, 1.25))
            for line in ({"loss": loss}, {"val_top1": 70 - 5 * loss, "val_macro": 50.0})
        ],
        **changes,
    }


def prediction(image: object, label: str, *, is_unknown: bool = False):
    top = [[label, 0.75], ["other", 0.25]]
    return {
        "image": str(image),
        "label": label,
        "score": 0.75,
        "is_unknown": is_unknown,
        "top": top,
    }


@pytest.fixture
def page(tmp_path):
    """Write (kind, body) pairs as result files and read the page drawn from them."""
    pytest.importorskip("jinja2")

    def draw(*results: tuple[str, dict], title: str = "") -> Page:
        files = []
        for number, (kind, body) in enumerate(results):
            files.append(tmp_path / "results" / f"{number}.json")
            write_result(files[-1], kind, body)
        write_report(files, tmp_path / "report.html", title, [tmp_path])
        return Page((tmp_path / "report.html").read_text(encoding="utf-8"))

    return draw


@pytest.fixture
def photos(tmp_path):
    """Pictures wren/0.png .. robin/1.png, far larger than they are shown."""
    files = []
    for name in CLASSES:
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(2):
            files.append(tmp_path / "photos" / name / f"{number}.png")
            Image.new("RGB", (900, 600), (number * 100, 40, 90)).save(files[-1])
    return files


TORCH = ("evaluation", evaluation("torch", (9, 7), bundle="runs/student"))
OPENVINO = ("evaluation", evaluation("openvino", (9, 6)))
JETSON = ("evaluation", evaluation("jetson", (8, 6), engine="onnxruntime 1.2 CPU"))
FAST = ("latency", latency("openvino", 2.0, 4.0))


def test_the_headline_says_what_came_out(page):
    found = page(TORCH, OPENVINO, FAST)
    assert "birds on the edge" in found.text
    assert "birds, CC0-1.0" in found.text
    sentence = "openvino int8: 75.0 % top-1 (torch 80.0 %), 4.0 × faster, 4.0 × smaller"
    assert sentence in found.text
    assert "Mine & yours" in page(TORCH, title="Mine & yours").text


def test_one_row_a_model_torch_first(page):
    found = page(JETSON, OPENVINO, FAST, TORCH)
    titles = [row[0].split(" 1.0")[0] for row in found.rows[1:4]]
    assert [" ".join(title.split()[:2]) for title in titles] == [
        "torch fp32",
        "jetson int8",
        "openvino int8",
    ]
    assert found.row("torch fp32")[1:9] == [
        "80.0 %",
        "–",
        "79.8 %",
        "79.5 %",
        "60.0 %",
        "100.0 %",
        "3.2 %",
        "20.0 MB",
    ]
    assert found.row("torch fp32")[10] == "8.00 / 8.80 / 12.0 beside openvino int8"
    assert found.row("openvino int8")[1:] == [
        "75.0 %",
        "−5.0",
        "74.8 %",
        "74.5 %",
        "55.0 %",
        "100.0 %",
        "3.2 %",
        "5.0 MB 1/4.0 of torch",
        "4.00 / 4.40 / 6.00",
        "2.00 / 2.20 / 3.00",
        "4.0 ×",
    ]


def test_a_jetson_bundle_replayed_elsewhere_is_called_that(page):
    # Even a latency of the replay is none of a Jetson.
    replay = latency("jetson", 1.0, 9.0, engine="onnxruntime 1.2 CPU")
    row = page(TORCH, JETSON, ("latency", replay)).row("jetson int8")
    assert row[0].endswith("replayed in onnxruntime, not measured on a Jetson")
    assert row[-1] == "not measured (no Jetson here)"

    engine = {"engine": "tensorrt 10.3 GPU"}
    real = ("evaluation", {**JETSON[1], **engine}), ("latency", {**replay, **engine})
    found = page(TORCH, *real)
    assert "replayed in" not in found.text
    assert found.row("jetson int8")[-2:] == ["1.00 / 1.10 / 1.50", "9.0 ×"]


def test_a_bundle_on_its_own_device_is_the_headline(page):
    slow = ("latency", latency("openvino", 2.0, 0.5))
    found = page(TORCH, JETSON, OPENVINO, slow)
    assert "openvino int8: 75.0 % top-1 (torch 80.0 %), 2.0 × slower" in found.text
    assert "openvino int8: 75.0 % top-1" in page(TORCH, JETSON, OPENVINO).text
    alone = page(TORCH, JETSON)
    assert "jetson int8: 70.0 % top-1 (torch 80.0 %), 4.0 × smaller, replayed in" in alone.text


def test_latency_belongs_to_the_bundle_it_names(page):
    other = {**FAST[1], "bundle": "elsewhere/openvino.fgir"}
    found = page(TORCH, OPENVINO, ("latency", other))
    assert found.row("openvino int8 (out/openvino.fgir")[-1] == "not measured"
    measured = found.row("openvino int8 (elsewhere/openvino.fgir)")
    assert measured[1] == "not evaluated"
    assert measured[-3:] == ["4.00 / 4.40 / 6.00", "2.00 / 2.20 / 3.00", "4.0 ×"]


@pytest.mark.parametrize(
    "change",
    [
        {"bundle": "runs/of another seed"},
        {"logit_adjustment": 1.0},
        {"engine": "torch 2 eager cpu, 8 forwards"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_of_two_ways_to_ask_torch_none_is_called_the_bundles_own(page, change):
    other = ("evaluation", {**evaluation("torch", (4, 4)), **change})
    assert page(TORCH, OPENVINO).row("openvino int8")[2] == "−5.0"
    for both in ((TORCH, other), (other, TORCH)):
        assert page(*both, OPENVINO).row("openvino int8")[2] == "–"


def test_a_baseline_is_of_the_network_and_of_one_run(page):
    assert "beside openvino int8" in page(TORCH, OPENVINO, FAST).text
    small = {**FAST[1], "image_size": 32}
    assert "beside openvino int8" not in page(TORCH, OPENVINO, ("latency", small)).text
    other = ("evaluation", {**TORCH[1], "bundle": "runs/of another seed"})
    assert "beside openvino int8" not in page(TORCH, other, OPENVINO, FAST).text


def test_two_devices_are_told_apart(page):
    there = ("latency", latency("openvino", 40.0, host="pi.lan", engine="openvino 1 CPU"))
    found = page(TORCH, OPENVINO, FAST, there)
    assert found.text.count("pi.lan") >= 3  # in the row, the chart and the notes
    assert "openvino 1 CPU, pi.lan" in found.row("openvino int8")[10]
    assert "pi.lan" not in page(TORCH, OPENVINO, FAST).text


def test_a_time_without_a_zone_is_utc(page, tmp_path):
    naive = {**ENVIRONMENT, "date": "2026-01-01T00:00:00"}
    assert "2026" in page(("evaluation", {**TORCH[1], "environment": naive}), OPENVINO).text


def test_a_latency_belongs_to_the_variant_it_names(page):
    small = {**OPENVINO[1], "variant": "32", "image_size": 32}
    found = page(TORCH, ("evaluation", small), ("latency", {**FAST[1], "variant": "64"}))
    asked = found.row("openvino int8 (out/openvino.fgir at 32, test")
    assert asked[1:3] == ["75.0 %", "–"]  # torch was asked at 64 px
    assert asked[-1] == "not measured"
    measured = found.row("openvino int8 (out/openvino.fgir at 64)")
    assert measured[1] == "not evaluated"
    assert measured[-3:] == ["4.00 / 4.40 / 6.00", "2.00 / 2.20 / 3.00", "4.0 ×"]
    both = page(TORCH, OPENVINO, FAST).row("openvino int8")
    assert (both[2], both[-1]) == ("−5.0", "4.0 ×")


@pytest.mark.parametrize(
    ("variant", "rates", "change"),
    [
        ("64:0.5", [0.5], "−5.0"),
        ("64:0.5", [0.7], "–"),
        ("64:0.5", [0.7, 0.5], "−10.0"),
        ("64:0.7,0.5", [[0.7, 0.5]], "−5.0"),
        ("64:0.7,0.5", ["0.7,0.5"], "–"),
        ("64", [0.7], "−5.0"),
        (None, [0.7], "−5.0"),
        (None, [0.7, 0.5], "–"),  # which of them was exported is not told
    ],
)
def test_torch_is_compared_at_the_same_keep_rate(page, variant, rates, change):
    in_torch = [
        ("evaluation", evaluation("torch", right, reduction={"method": "evit", "keep_rate": rate}))
        for right, rate in zip([(9, 7), (10, 7)], rates, strict=False)
    ]
    found = page(*in_torch, ("evaluation", {**OPENVINO[1], "variant": variant}))
    assert found.row("openvino int8")[2] == change


@pytest.mark.parametrize("change", [{"name": "another"}, {"split": "val"}, {"data": "1" * 64}])
def test_only_like_is_compared(page, change):
    if "data" in change:
        change = {"data": {**DATA, "hash": change["data"]}}
    found = page(TORCH, ("evaluation", {**OPENVINO[1], **change}))
    assert found.row("openvino int8")[2] == "–"
    assert "of torch" not in found.row("openvino int8")[8]
    # Other images: another chart; another name: the same one.
    charts = [a for tag, a in found.tags if tag == "svg" and "by class" in a["aria-label"]]
    assert len(charts) == (1 if "name" in change else 2)


def test_latencies_carry_their_doubts(page):
    found = page(FAST, ("latency", latency("arm", 3.0, None))).sections["Latency"]
    assert "openvino int8, arm int8: not certified: nobody looked." in found
    assert "settled" not in found
    rough = latency("openvino", 2.0, 4.0, certified=True)
    rough["baseline"]["steady"] = False
    found = page(("latency", rough)).sections["Latency"]
    assert "openvino int8: certified." in found
    assert "openvino int8: torch eager fp32 had not settled after the warm-up." in found


def test_every_reason_against_a_latency_is_given(page):
    doubts = ["throttled: cpu0, first 3 s after the start", "other work took 30 % of the CPUs"]
    found = page(("latency", latency("openvino", 2.0, 4.0, uncertified_because=doubts)))
    assert f"openvino int8: not certified: {'; '.join(doubts)}." in found.sections["Latency"]


def test_frames_on_a_clock_and_what_they_cost(page):
    rate = {"fps": 30.0, "frames": 900, "answered": 890, "late": 8, "lost": 10, "missed": 0.02}
    rate |= {"lateness_ms": None, "duty": 0.125, "rule": "in time or not"}
    cost = {"joules_per_frame": 0.0312, "watts": 6.0, "idle_watts": 4.5, "meter": "INA3221 VDD_IN"}
    body = latency("openvino", 2.0, 4.0, fixed_rate=rate, energy=cost, peak_memory_mb=134.4)
    found = page(("latency", body)).sections["Latency"]
    assert "2.0 % of 900 frames missed their deadline at 30 frames/s; busy 12.5 % of" in found
    assert "31.2 mJ a frame beyond idling at 4.5 W (INA3221 VDD_IN)." in found
    assert "at most 134 MiB of memory for the whole process." in found
    none = {"reason": "no meter"}
    found = page(("latency", {**body, "energy": none})).sections["Latency"]
    assert "idling" not in found


def test_a_sustained_run_is_a_curve(page):
    run = {"window_s": 10.0, "runs": 9000, "drift": 1.5, "p50_ms": [4.0, 4.5, 6.0]}
    found = page(FAST, ("latency", latency("arm", 3.0, None, sustained=run)))
    text = found.sections["Latency"]
    assert "arm int8: sustained, the median ended at 1.50 times what it began with." in text
    assert "arm int8, frames back to back: median from frame to decision, ms" in text
    assert "second 10" in text
    curves = [a["points"] for tag, a in found.tags if tag == "polyline"]
    assert len(curves) == 1
    assert len(curves[0].split()) == 3
    assert "frames back to back" not in page(FAST).sections["Latency"]


@pytest.mark.parametrize(("load", "busy"), [(2.4, False), (4.1, True)])
def test_a_busy_machine_is_noticed(page, load, busy):
    environment = {
        **ENVIRONMENT,
        "machine": "riscv",
        "processor": "Abacus <9>",
        "gpus": ["Bead mover"],
        "load_1min": load,
        "versions": {"beads": "7.5"},
    }
    found = page(("latency", {**FAST[1], "environment": environment}))
    assert ("the machine was busy" in found.sections["Latency"]) == busy
    seen = found.sections["Environment"]
    assert "Abacus <9> (riscv)" in seen
    assert "beads 7.5" in seen
    assert "Bead mover" in seen
    assert "latency of openvino int8" in seen


def test_every_class_is_drawn_with_its_images(page):
    found = page(TORCH, OPENVINO)
    section = found.sections["Accuracy by class"]
    assert "wren 10 images" in section
    tips = ("wren, torch fp32: 90.0 %", "robin, torch fp32: 70.0 %", "robin, openvino int8: 60.0 %")
    for tip in tips:
        assert tip in section
    assert "Never" not in section
    blind = evaluation("torch", (9, 0)), evaluation("openvino", (9, 0))
    section = page(*(("evaluation", body) for body in blind)).sections["Accuracy by class"]
    assert "Never recognised by any model: robin." in section


def test_the_weakest_class_comes_first_and_weak_ones_are_counted(page):
    section = page(OPENVINO, TORCH).sections["Accuracy by class"]
    assert section.index("robin 10 images") < section.index("wren 10 images")
    assert "It recognises 0 of 2 classes less than 50 % of the time" in section
    assert "macro 79.8 %, where every class counts alike, against top-1 80.0 %" in section
    half = page(("evaluation", evaluation("torch", (5, 4)))).sections["Accuracy by class"]
    assert "It recognises 1 of 2 classes less than 50 % of the time" in half


def confused(names=CLASSES):
    """Wren and robin: 1 wren of 10 taken for a robin, 3 robins for a wren."""

    def look(index: int, truth: int, answer: int, score: float):
        names_ = {"truth": names[truth], "answer": names[answer]}
        return {"index": index, **names_, "score": score}

    return {
        "classes": list(names),
        "images": [10, 10],
        "confused": [1, 3],
        "share": 20.0,
        "mistakes": [look(0, 0, 1, 0.91), look(2, 1, 0, 0.82), look(3, 1, 0, 0.73)],
        "references": [look(1, 0, 0, 0.99)],
    }


def with_pairs(photos, names=CLASSES):
    pair = confused(names)
    small = thumbnails(
        [ConfusedPair.model_validate(pair)],
        lambda index: (photos[index].name, read_image(photos[index])),
    )
    pictures = [picture.model_dump() for picture in small]
    extra = {"confused_pairs": [pair], "pictures": pictures}
    return ("evaluation", evaluation("torch", (9, 7), names, **extra))


def test_confused_pairs_with_their_pictures(page, photos):
    found = page(with_pairs(photos))
    section = found.sections["Most confused pairs"]
    assert "Which classes torch fp32 confuses on the 20 test images of birds." in section
    assert "wren ↔ robin 4 of 20 images, 20.0 %" in section
    wren, robin = section.split("wren taken for robin: 1 of 10")[1].split(
        "robin taken for wren: 3 of 10"
    )
    assert " ".join(wren.split()) == "wren 99 % robin 91 %"
    # No robin is there to compare with; two of the three mistakes are shown.
    assert " ".join(robin.split()) == "wren 82 % wren 73 %"
    assert len(found.images) == 4
    for address in found.images:
        image = Image.open(io.BytesIO(b64decode(address.partition(",")[2])))
        assert image.size == (96, 64)


def test_pictures_of_the_pairs_come_from_the_result_alone(page, photos):
    body = with_pairs(photos)
    for file in photos:
        file.unlink()
    assert len(page(body).images) == 4


def test_pairs_without_pictures_are_still_named(page, photos):
    kind, body = with_pairs(photos)
    found = page((kind, {**body, "pictures": []}))
    assert found.images == []
    assert "wren ↔ robin" in found.sections["Most confused pairs"]
    assert found.sections["Most confused pairs"].count("no picture") == 4


def test_no_pairs_no_section(page):
    assert "Most confused pairs" not in page(TORCH).sections


def jpeg(size: tuple[int, int]) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, "JPEG")
    return f"data:image/jpeg;base64,{b64encode(buffer.getvalue()).decode()}"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "https://example.org/a.jpg",
        "javascript:alert(1)",
        "data:image/svg+xml;base64,PHN2Zy8+",
        'data:image/jpeg;base64,"><script>alert(1)</script>',
        "data:image/jpeg;base64,",
        "data:image/jpeg;base64,PHN2Zy8+",
        "data:image/jpeg;base64," + "A" * 400,
        "data:image/jpeg;base64,é",
        jpeg((9, 9))[:-40],
        jpeg((THUMBNAIL + 1, 9)),
    ],
)
def test_only_small_pictures_enter_the_page(page, photos, address):
    assert embed_again(address, THUMBNAIL) is None
    kind, body = with_pairs(photos)
    body = {**body, "pictures": [{"index": 0, "file": "x", "picture": address}]}
    found = page((kind, body))
    assert found.images == []
    assert "alert" not in found.html
    assert "example.org" not in found.html


def test_a_picture_is_encoded_anew(photos):
    address = embed(photos[0], THUMBNAIL)
    head, _, text = address.partition(",")
    smuggled = b64encode(b64decode(text) + EVIL.encode()).decode()
    again = embed_again(f"{head},{smuggled}", THUMBNAIL)
    assert again.startswith(head)
    assert EVIL.encode() not in b64decode(again.partition(",")[2])


def test_names_in_pairs_are_inert(page, photos):
    names = (EVIL, '"><img src=https://example.org/x>')
    found = page(with_pairs(photos, names))
    assert f"{EVIL} ↔ " in found.sections["Most confused pairs"]
    assert not [tag for tag, _ in found.tags if tag == "script"]
    assert all(address.startswith("data:image/jpeg;base64,") for address in found.images)
    assert len(found.images) == 4


def test_a_ranking_of_teachers(page):
    first = {"rank": 1, "run": "runs/a", "architecture": "lrnet14", "method": "cal", "r12": 1.2345}
    first |= {"name": "a", "skipped": 0.0, "tac": 71.25, "ssp": 0.0213, "images": 99}
    second = {**first, "rank": 2, "run": "runs/b", "r12": None, "ssp": None, "skipped": 100.0}
    body = {"data": DATA, "teachers": [first, second]}
    found = page(("teachers", body))
    figures = ["cal", "1.234", "0.0 %", "71.2 %", "0.0213", "99"]
    assert found.row("runs/a") == ["runs/a lrnet14", *figures]
    assert found.row("runs/b")[2:] == ["–", "100.0 %", "71.2 %", "–", "99"]
    assert "birds, CC0-1.0" in found.text
    assert "same strategy" not in found.text
    second["method"] = "ce"
    section = page(("teachers", body)).sections["Choice of teacher"]
    assert "different methods (cal, ce): compare only teachers trained with the same" in section


def test_confusion_of_torch(page):
    found = page(OPENVINO, TORCH)
    section = found.sections["Confusion"]
    assert "What torch fp32 answered for the 20 test images of birds" in section
    assert ["wren", "9", "1"] in found.rows
    assert ["robin", "3", "7"] in found.rows
    assert section.index("robin → wren 3 of 10") < section.index("wren → robin 1 of 10")
    assert "Confusion" not in page(("evaluation", evaluation("torch", (10, 10)))).sections


def test_many_classes_stay_readable(page):
    count = 200
    names = [f"class{i:03d}" for i in range(count)]
    body = {
        **evaluation("torch", (9, 7)),
        "classes": [{"name": n, "images": 2, "top1": i / 2} for i, n in enumerate(names)],
        "confusion": [[int(j in (i, 0)) for j in range(count)] for i in range(count)],
    }
    found = page(("evaluation", body))
    section = found.sections["Accuracy by class"]
    assert "The 30 weakest and best of 200 classes." in section
    assert [name for name in names if f"{name} 2 images" in section] == names[:15] + names[-15:]
    assert all(row[0] != "class000" for row in found.rows)
    assert found.sections["Confusion"].count("→") == 8


def test_labels_and_texts_are_inert(page, photos):
    answers = [prediction(photos[0], EVIL), prediction(f"{EVIL}/x.png", "<b>")]
    found = page(
        (
            "evaluation",
            evaluation("torch", (9, 7), classes=(EVIL, "robin"), data={**DATA, "name": EVIL}),
        ),
        ("latency", latency("openvino", 2.0, 4.0, engine=EVIL, uncertified_because=[EVIL])),
        ("training", training(name=EVIL, method=EVIL)),
        ("predictions", {**subject("openvino", EVIL), "predictions": answers}),
        title=EVIL,
    )
    assert "script" not in {tag for tag, _ in found.tags}
    assert found.text.count(EVIL) > 12
    assert EVIL not in found.html


def test_the_page_needs_nothing_else(page, photos, tmp_path):
    (tmp_path / "results/pictures").mkdir(parents=True)
    Image.new("RGB", (1500, 750)).save(tmp_path / "results/pictures/views.png")
    answers = [prediction(file, "wren") for file in photos]
    found = page(
        TORCH,
        FAST,
        ("training", training()),
        ("predictions", {**subject("openvino", "int8"), "predictions": answers}),
    )
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in found.tags}
    values = [str(v) for _, attrs in found.tags for v in attrs.values()]
    assert not [v for v in values if "//" in v and not v.startswith("data:")]
    assert "url(" not in found.html
    assert "@import" not in found.html
    policy = next(a["content"] for t, a in found.tags if t == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert len(found.images) == len(photos) + 1
    sizes = [
        Image.open(io.BytesIO(b64decode(src.partition("base64,")[2]))).size for src in found.images
    ]
    assert sorted(sizes) == [(320, 213)] * len(photos) + [(1200, 600)]


def test_the_teachers_views_are_captioned(page, tmp_path):
    assert "What the teacher makes of the images" not in page(("training", training())).sections
    (tmp_path / "results/pictures").mkdir()
    Image.new("RGB", (60, 30)).save(tmp_path / "results/pictures/views.png")
    section = page(("training", training())).sections["What the teacher makes of the images"]
    assert section.endswith("raw crop drop")
    fewer = page(("training", training(views=["drop"]))).sections
    assert fewer["What the teacher makes of the images"].endswith("raw drop")
    (tmp_path / "results/pictures/views.png").write_bytes(b"no picture")
    assert "What the teacher makes of the images" not in page(("training", training())).sections


def test_a_training_is_told_with_its_curves(page):
    found = page(("training", training()))
    assert "birds-student: 63.2 % validation top-1 after 3 epochs" in found.text
    section = found.sections["Training"]
    for fact in ("tgda", "lrnet14", "3 epochs in 6.2 min on cpu, bf16", "63.2 %", "macro 60.0 %"):
        assert fact in section
    charts = [a["aria-label"] for tag, a in found.tags if tag == "svg"]
    assert charts == ["Validation top-1 by epoch, percent", "Training loss by epoch"]
    assert "1.25" in section
    short = training(history=training()["history"][:2], val_top1=None, val_macro=None)
    found = page(("training", short))
    assert not [tag for tag, _ in found.tags if tag == "svg"]
    assert "Validation top-1" not in found.sections["Training"]


def test_predictions_are_judged_by_their_folder(page, photos, tmp_path):
    stray = tmp_path / "unsorted.png"
    Image.new("RGB", (40, 40)).save(stray)
    answers = [
        prediction(photos[0], "wren"),
        prediction(photos[2], "wren"),
        prediction(photos[3], "robin", is_unknown=True),
        prediction(stray, "wren"),
    ]
    gallery = ("predictions", {**subject("openvino", "int8"), "predictions": answers})
    found = page(TORCH, gallery)
    badges = [a["class"] for _, a in found.tags if (a.get("class") or "").startswith("badge ")]
    assert badges == ["badge good", "badge bad", "badge good", "badge warn"]
    section = found.sections["Example predictions"]
    assert "2 of 3 right; each class is shown about equally often" in section
    assert "right wren 75.0 % other 25.0 % wrong: is robin wren 75.0 %" in section
    assert section.count("unknown") == 1
    # Without an evaluation nobody knows the classes.
    section = page(gallery).sections["Example predictions"]
    assert "right" not in section
    assert "wrong" not in section


@pytest.mark.parametrize("name", ["gone/x.png", "/etc/hostname", "x" * 5000, ".."])
def test_a_lost_picture_leaves_a_placeholder(page, photos, name):
    answers = [prediction(name, "wren"), prediction(photos[0], "wren")]
    found = page(("predictions", {**subject("openvino", "int8"), "predictions": answers}))
    assert len(found.images) == 1
    assert found.text.count("picture not found") == 1


@pytest.mark.parametrize("number", [10**400, 10**18, -(10**300)])
@pytest.mark.parametrize("field", ["images", "model_bytes"])
def test_absurd_counts_are_one_line(page, field, number):
    with pytest.raises(InputError, match=r"is not JSON .*is too large"):
        page(("evaluation", evaluation("openvino", (9, 7), **{field: number})))


def test_a_negative_count_of_confusions_is_refused(page):
    with pytest.raises(InputError, match=r"confusion\.0\.0"):
        page(("evaluation", evaluation("openvino", (9, 7), confusion=[[-1, 1], [1, 9]])))


@pytest.mark.parametrize("absolute", [False, True])
def test_pictures_outside_the_folders_are_shown_when_asked(photos, tmp_path, monkeypatch, absolute):
    (tmp_path / "far").mkdir()
    monkeypatch.chdir(tmp_path / "far")
    name = photos[0] if absolute else photos[0].relative_to(tmp_path)
    up = f"../{photos[0].relative_to(tmp_path)}"
    result = tmp_path / "results/p.json"
    answers = [prediction(each, "wren") for each in (name, up)]
    write_result(result, "predictions", {**subject("openvino", "int8"), "predictions": answers})
    assert collect([result]).galleries[0].lost == 2
    assert collect([result], pictures=[photos[0].parent]).galleries[0].lost == 0
    monkeypatch.chdir(tmp_path)
    assert collect([result]).galleries[0].lost == 0


def test_a_long_gallery_is_cut(page):
    answers = [prediction(f"{i}.png", "wren") for i in range(60)]
    found = page(("predictions", {**subject("openvino", "int8"), "predictions": answers}))
    assert "The first 48 of 60 are shown." in found.text
    assert found.text.count("picture not found") == 48


@pytest.mark.parametrize(
    ("results", "sections"),
    [
        ([TORCH], ["Models side by side", "Accuracy by class", "Confusion"]),
        ([FAST], ["Models side by side", "Latency"]),
        ([("training", training())], ["Training"]),
        ([("predictions", {**subject("arm", "int8"), "predictions": []})], []),
    ],
)
def test_sections_without_results_are_left_out(page, results, sections):
    assert list(page(*results).sections) == [*sections, "Environment"]


def test_the_page_depends_on_the_results_alone(tmp_path):
    pytest.importorskip("jinja2")
    file, out = tmp_path / "eval.json", tmp_path / "report.html"
    write_result(file, *TORCH)
    write_report([file], out)
    first = out.read_bytes()
    write_report([file, file], out)
    assert out.read_bytes() == first
    assert "Results of 4 March 2026" in first.decode()
    assert "2026-03-04 05:06" in first.decode()


def spoiled(path: Path, **changes: object) -> Path:
    write_result(path, *TORCH)
    value = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({k: v for k, v in value.items() if v is not None}))
    return path


def test_text_that_is_none_is_replaced(tmp_path):
    pytest.importorskip("jinja2")
    odd = spoiled(tmp_path / "a.json", engine="half \ud800 letter")
    write_report([odd], tmp_path / "report.html")
    assert "half ? letter" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": "edge-fgir/dream/1"}, "has schema 'edge-fgir/dream/1'; expected one of"),
        ({"top1": None}, "top1: Field required; expected a whole evaluation result"),
        ({"top1": float("nan")}, "top1: Input should be a finite number"),
        ({"confusion": [[1, 2]]}, "confusion must have one row and one column a class"),
        ({"classes": []}, "classes: "),
    ],
)
def test_a_spoiled_result_is_refused_in_one_line(tmp_path, changes, message):
    pytest.importorskip("jinja2")
    out = tmp_path / "report.html"
    with pytest.raises(InputError) as caught:
        write_report([spoiled(tmp_path / "a.json", **changes)], out)
    assert message in str(caught.value)
    assert "a.json" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not out.exists()


def test_a_result_is_never_overwritten(tmp_path):
    pytest.importorskip("jinja2")
    file = tmp_path / "eval.json"
    write_result(file, *TORCH)
    before = file.read_bytes()
    with pytest.raises(InputError, match="is one of the results"):
        write_report([file], tmp_path / "." / "eval.json")
    assert file.read_bytes() == before
    with pytest.raises(InputError, match="a file that can be written"):
        write_report([file], tmp_path)


def test_jinja2_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    write_result(tmp_path / "eval.json", *TORCH)
    with pytest.raises(MissingExtraError, match=r'pip install "edge-fgir\[report\]"'):
        write_report([tmp_path / "eval.json"], tmp_path / "report.html")


def test_importing_it_is_light():
    code = (
        "import sys, edge_fgir.reporting as _; "
        "sys.exit(str({'torch', 'timm', 'jinja2', 'onnx', 'nncf'} & set(sys.modules) or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == ""


def test_a_column_is_declared_once(page, monkeypatch):
    """One declaration is all that page, terminal and scripts need."""
    size = columns.Column(
        "Input",
        lambda row: [columns.Line(f"{row.subject.image_size} px")],
        key="image_size",
        value=lambda row: row.subject.image_size,
        heading="px",
        plain=lambda row: str(row.subject.image_size),
    )
    monkeypatch.setattr(columns, "COLUMNS", (*columns.COLUMNS, size))
    found = page(TORCH, OPENVINO)
    assert found.rows[0][-1] == "Input"
    assert found.row("torch fp32")[-1] == found.row("openvino int8")[-1] == "64 px"
    (row,) = make_rows([Evaluation.model_validate({**TORCH[1], "environment": ENVIRONMENT})], [])
    assert columns.row_values(row)["image_size"] == 64
    drawn = terminal_table([row])
    assert [column.header for column in drawn.columns][-1] == "px"
    assert [str(cell) for cell in drawn.columns[-1].cells] == ["64"]
