"""Sinks that take events, fail, come back, and lose nothing silently."""

from __future__ import annotations

import base64
import csv
import errno
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image
from visits import event, result

from edge_fgir import InputError
from edge_fgir.runtime import Counters, open_sink
from edge_fgir.runtime.sinks import files, spool
from edge_fgir.runtime.sinks.files import CsvFile, LinesFile
from edge_fgir.runtime.sinks.pictures import UncertainPictures
from edge_fgir.runtime.sinks.sink import RefusedError
from edge_fgir.runtime.sinks.spool import Spool

pytestmark = pytest.mark.unit

WAIT_S = 5.0


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(spool, "_FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(spool, "_RETRY_S", 0.02)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class Outlet:
    """Takes events while ``error`` is None."""

    name = "somewhere"

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.taken: list[int] = []
        self.tries = 0
        self.closed = False

    def deliver(self, values) -> None:
        self.tries += 1
        if self.error is not None:
            raise self.error
        self.taken.append(values["visit"])

    def close(self) -> None:
        self.closed = True


def test_events_are_delivered_in_order():
    outlet = Outlet()
    with Spool(outlet) as sink:
        for visit in range(100):
            sink.send(event(visit))
    assert outlet.taken == list(range(100))
    assert outlet.closed
    assert (sink.lost, sink.waiting) == (0, 0)


def test_what_is_down_gets_its_events_later(caplog):
    outlet = Outlet(ConnectionRefusedError("refused"))
    with Spool(outlet) as sink:
        for visit in range(5):
            sink.send(event(visit))
        until(lambda: outlet.tries >= 3)
        assert sink.waiting == 5
        outlet.error = None
        until(lambda: not sink.waiting)
    assert outlet.taken == [0, 1, 2, 3, 4]
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "somewhere is down (refused); events wait",
        f"somewhere is back; {lines[1].split()[3]} events wait",
    ]


def test_the_queue_is_bounded_and_what_it_loses_is_counted(caplog):
    outlet = Outlet(OSError("down"))
    with Spool(outlet, limit=10) as sink:
        for visit in range(25):
            sink.send(event(visit))
        assert (sink.waiting, sink.lost) == (10, 15)
        outlet.error = None
        until(lambda: not sink.waiting)
    assert outlet.taken == list(range(15, 25))
    assert "somewhere lost an event: more than 10 events wait" in caplog.text


def test_what_waited_when_the_app_ended_is_counted(caplog):
    with Spool(Outlet(OSError("down"))) as sink:
        sink.send(event(1))
        sink.send(event(2))
    assert sink.lost == 2
    assert "the app ended while events waited" in caplog.text


def test_what_waited_is_delivered_after_a_restart(tmp_path):
    file = tmp_path / "spool.jsonl"
    down = Outlet(OSError("down"))
    with Spool(down, file) as sink:
        for visit in range(3):
            sink.send(event(visit))
            until(lambda: down.tries > 0)  # the file grows while it is down
        assert sink.lost == 0
        kept = [json.loads(line)["visit"] for line in file.read_text().splitlines()]
        assert kept == [0, 1, 2]
    outlet = Outlet()
    with Spool(outlet, file) as sink:
        sink.send(event(3))
        until(lambda: not sink.waiting)
    assert outlet.taken == [0, 1, 2, 3]
    assert not file.exists()


def test_a_damaged_spool_is_named(tmp_path):
    file = tmp_path / "spool.jsonl"
    file.write_text("{}\n{")
    with pytest.raises(InputError, match=r"spool\.jsonl.*move the file away"):
        Spool(Outlet(), file)


def test_an_event_that_is_refused_does_not_hold_the_others(caplog):
    outlet = Outlet(RefusedError("the server answers 400"))
    with Spool(outlet) as sink:
        sink.send(event(1))
        until(lambda: sink.lost == 1)
        outlet.error = None
        sink.send(event(2))
        until(lambda: not sink.waiting)
    assert outlet.taken == [2]
    assert "the server answers 400" in caplog.text


def test_json_lines_grow(tmp_path):
    path = tmp_path / "visits.jsonl"
    for visits in ((1, 2), (3,)):
        with open_sink(f"jsonl:{path}") as sink:
            for visit in visits:
                sink.send(event(visit))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == [event(visit).to_dict() for visit in (1, 2, 3)]
    assert "Zaunkönig" in path.read_text()


def test_csv_has_one_header(tmp_path):
    path = tmp_path / "visits.csv"
    for visit in (1, 2):
        with open_sink(f"csv:{path}") as sink:
            sink.send(event(visit))
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["visit"] for row in rows] == ["1", "2"]
    assert rows[0]["name"] == "Zaunkönig, klein"
    assert set(event(1).to_dict()) <= set(files._COLUMNS)


@pytest.mark.parametrize("kind", [LinesFile, CsvFile])
def test_a_full_disk_leaves_whole_lines(kind, tmp_path, monkeypatch):
    path = tmp_path / "visits"
    outlet = kind(path)
    outlet.deliver(event(1).to_dict())
    before = path.read_bytes()
    real = Path.open

    class Full:
        """Writes ten bytes, then there is no room."""

        def __init__(self, file) -> None:
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def write(self, data):
            self.file.write(data[:10])
            raise OSError(errno.ENOSPC, "No space left on device")

        def __getattr__(self, name):
            return getattr(self.file, name)

    monkeypatch.setattr(Path, "open", lambda self, *args, **kw: Full(real(self, *args, **kw)))
    with pytest.raises(OSError, match="No space left"):
        outlet.deliver(event(2).to_dict())
    assert path.read_bytes() == before


class Server(BaseHTTPRequestHandler):
    answers: ClassVar[list[int]] = []
    bodies: ClassVar[list[dict]] = []

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        code = self.answers.pop(0) if self.answers else 204
        if code == 204:
            self.bodies.append(body)
        self.send_response(code)
        self.end_headers()


@pytest.fixture
def no_proxy(monkeypatch) -> None:
    for proxy in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(proxy, raising=False)


@pytest.fixture
def webhook(no_proxy) -> Iterator[str]:
    Server.answers.clear()
    Server.bodies.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook?key=secret"
        server.shutdown()


def test_a_webhook_is_tried_until_it_takes_an_event(webhook, caplog):
    Server.answers += [503, 429, 204, 400]
    with open_sink(webhook) as sink:
        for visit in (1, 2, 3):
            sink.send(event(visit))
        until(lambda: not sink.waiting)
    assert [body["visit"] for body in Server.bodies] == [1, 3]
    assert Server.bodies[0] == event(1).to_dict()
    assert sink.lost == 1  # the one that the server will never take
    assert "the server answers 400" in caplog.text
    assert "secret" not in caplog.text


def test_a_webhook_signs_in_and_tells_nobody(webhook, caplog, monkeypatch):
    seen = []
    monkeypatch.setattr(Server, "answers", [401])
    real = Server.do_POST

    def noted(self) -> None:
        seen.append((self.path, self.headers.get("Authorization")))
        real(self)

    monkeypatch.setattr(Server, "do_POST", noted)
    address = webhook.replace("//", "//me:se%2Fcret@") + "&name=Grünfink 1#top"
    with open_sink(address) as sink:
        assert sink.name.endswith("/hook?***#***")
        sink.send(event(1))
        until(lambda: sink.lost == 1)
        sink.send(event(2))
        until(lambda: not sink.waiting)
    login = base64.b64encode(b"me:se/cret").decode()
    assert seen == 2 * [("/hook?key=secret&name=Gr%C3%BCnfink%201", f"Basic {login}")]
    assert "answers 401" in caplog.text
    assert not re.search("secret|cret|me:", caplog.text)


def test_what_a_server_answers_repeats_no_secret(webhook, caplog, monkeypatch):
    def repeats(self) -> None:
        self.send_response(503, "see http://me:secret@host/x?key=secret now")
        self.end_headers()

    monkeypatch.setattr(Server, "do_POST", repeats)
    with open_sink(webhook) as sink:
        sink.send(event(1))
        until(lambda: "is down" in caplog.text)
    assert "see http://***@host/x?*** now" in caplog.text
    assert "secret" not in caplog.text


def test_webhooks_that_differ_in_a_secret_wait_in_files_of_their_own(no_proxy, tmp_path):
    for key in ("secret1", "secret2"):
        with open_sink(f"http://me:hidden@127.0.0.1:1/hook?key={key}", tmp_path) as sink:
            sink.send(event(1))
            time.sleep(0.05)
    with open_sink("http://127.0.0.1:1/hook", tmp_path) as sink:
        sink.send(event(1))
        time.sleep(0.05)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 3
    assert "http_127_0_0_1_1_hook.jsonl" in names
    assert not any("secret" in name or "hidden" in name for name in names)


class Frigate(BaseHTTPRequestHandler):
    """Frigate's sub-label interface, as its source has it."""

    labels: ClassVar[dict[str, tuple[str, float]]] = {}

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = re.fullmatch(r"/api/events/([^/]+)/sub_label", self.path)
        known = path is not None and path[1] in ("1781.25-ab3c", "a%2Fb")
        valid = (
            set(body) == {"subLabel", "subLabelScore"}
            and len(body["subLabel"]) <= 100
            and 0 < body["subLabelScore"] <= 1
        )
        if known and valid:
            self.labels[path[1]] = (body["subLabel"], body["subLabelScore"])
        self.send_response(404 if not known else 200 if valid else 422)
        self.end_headers()


def test_frigates_events_get_sub_labels(no_proxy, caplog):
    Frigate.labels.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Frigate) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        with open_sink(f"frigate:http://127.0.0.1:{server.server_port}/") as sink:
            sink.send(replace(event(1, score=0.8), track="1781.25-ab3c"))
            sink.send(replace(event(2, score=0.0), track="a/b", name="x" * 200))
            sink.send(replace(event(3), track="1781.25-ab3c", is_unknown=True))
            sink.send(replace(event(4), track="gone"))
            sink.send(event(5))
            until(lambda: not sink.waiting)
        server.shutdown()
    assert Frigate.labels == {
        "1781.25-ab3c": ("Zaunkönig, klein", 0.8),
        "a%2Fb": ("x" * 100, 1e-6),
    }
    assert sink.lost == 2  # the event that is gone, and the visit without one
    assert "answers 404" in caplog.text


def photo(seed: int):
    """A picture of smooth blobs, (60, 80, 3), one of its own a seed."""
    small = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((80, 60), Image.Resampling.BICUBIC))


def test_uncertain_visits_leave_their_best_picture(tmp_path):
    with open_sink(f"pictures:{tmp_path / 'unsure'}") as sink:
        sink.send(event(1, score=0.4, pixels=photo(1)))
        sink.send(event(2, score=0.9, pixels=photo(2)))  # sure
        sink.send(event(3, score=0.4, state="decided", pixels=photo(3)))  # not over yet
    (file,) = (tmp_path / "unsure").iterdir()
    assert file.name == "20010909T014641_000000_wren_40.jpg"
    stored = np.asarray(Image.open(file)).astype(int)
    assert np.abs(stored - photo(1)[..., ::-1]).mean() < 4


def test_pictures_that_look_alike_are_left_out_and_the_folder_is_bounded(tmp_path):
    sink = UncertainPictures(tmp_path, most=3)
    brighter = np.clip(photo(1).astype(int) + 9, 0, 255).astype(np.uint8)
    for visit, pixels in enumerate([photo(1), brighter, *(photo(seed) for seed in range(2, 9))]):
        sink.send(event(visit, score=0.4, pixels=pixels))
    assert len(list(tmp_path.iterdir())) == 3
    again = UncertainPictures(tmp_path, most=100)
    again.send(event(99, score=0.4, pixels=photo(1)))
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("visits.jsonl", "sink 'visits.jsonl'; expected jsonl:FILE"),
        ("ftp://host/x", "sink ftp:; expected jsonl:FILE"),
        ("jsonl:", "sink 'jsonl:'; expected"),
        ("frigate:127.0.0.1:5000", "frigate:127.0.0.1:5000; expected frigate:http://host:5000"),
        ("frigate:host?key=secret", r"frigate:host\?\*\*\*; expected frigate:http"),
        ("//me:secret@host", "sink //me:; expected jsonl:FILE"),
        ("http://host:secret/x", r"http://\*\*\*/x is no address; expected https://host"),
        ("https:///x?key=secret", r"https:///x\?\*\*\* names no host"),
        ("jsonl:/no/such/folder/x", "x cannot be written; expected a file in a folder that exists"),
    ],
)
def test_a_sink_that_is_none_is_refused(word, message):
    with pytest.raises(InputError, match=message) as caught:
        open_sink(word)
    assert "secret" not in str(caught.value)


def test_counters_are_text_for_prometheus(tmp_path):
    counters = Counters(tmp_path / "camera.prom")
    for _ in range(3):
        counters.count(result(photo(0)))
    counters.count_event(event(1))
    counters.outages, counters.lost = 2, 1
    counters.write()
    assert not (tmp_path / "camera.prom").exists()  # not yet time
    counters.write(now=True)
    lines = (tmp_path / "camera.prom").read_text().splitlines()
    figures = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert figures["edge_fgir_frames_total"] == "3"
    assert figures["edge_fgir_source_outages_total"] == "2"
    assert figures["edge_fgir_events_lost_total"] == "1"
    assert figures['edge_fgir_events_total{state="ended"}'] == "1"
    assert figures['edge_fgir_latency_seconds_bucket{le="0.005"}'] == "0"
    assert figures['edge_fgir_latency_seconds_bucket{le="0.01"}'] == "3"
    assert figures['edge_fgir_latency_seconds_bucket{le="+Inf"}'] == "3"
    assert float(figures["edge_fgir_latency_seconds_sum"]) == pytest.approx(0.021)
    named = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert all(any(figure.startswith(name) for figure in figures) for name in named)
