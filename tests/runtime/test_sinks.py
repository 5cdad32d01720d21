"""Sinks that take events, fail, come back, and lose nothing silently."""

from __future__ import annotations

import base64
import csv
import errno
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
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
from edge_fgir.runtime.sinks import counters as counters_module
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


def test_one_more_try_is_made_at_the_end(monkeypatch):
    monkeypatch.setattr(spool, "_FIRST_RETRY_S", 60.0)
    outlet = Outlet(OSError("down"))
    with Spool(outlet) as sink:
        for visit in (1, 2):
            sink.send(event(visit))
        until(lambda: outlet.tries == 1)
        outlet.error = None  # it is back long before it would be tried again
    assert outlet.taken == [1, 2]
    assert (sink.lost, sink.waiting) == (0, 0)


def test_a_try_that_began_before_the_end_is_not_the_last(monkeypatch):
    monkeypatch.setattr(spool, "_FIRST_RETRY_S", 60.0)
    begun, ended = threading.Event(), threading.Event()

    class Late(Outlet):
        def deliver(self, values) -> None:
            if not self.tries:
                self.tries += 1
                begun.set()
                assert ended.wait(WAIT_S)
                raise OSError("down")
            super().deliver(values)

    outlet = Late()
    sink = Spool(outlet)
    sink.send(event(1))
    assert begun.wait(WAIT_S)
    closing = threading.Thread(target=sink.close)
    closing.start()
    until(lambda: sink._closing)
    ended.set()
    closing.join()
    assert outlet.taken == [1]


def test_an_outlet_that_hangs_at_the_end_gets_nothing_afterwards(tmp_path, monkeypatch):
    monkeypatch.setattr(spool, "_LAST_TRY_S", 0.05)
    file = tmp_path / "spool.jsonl"
    answered = threading.Event()

    class Slow(Outlet):
        def deliver(self, values) -> None:
            assert answered.wait(WAIT_S)
            super().deliver(values)

    outlet = Slow()
    with Spool(outlet, file) as sink:
        for visit in (1, 2):
            sink.send(event(visit))
    kept = file.read_text()
    answered.set()
    sink._thread.join()
    assert outlet.taken == [1]
    assert file.read_text() == kept
    assert [json.loads(line)["visit"] for line in kept.splitlines()] == [1, 2]
    sink.close()
    assert (sink.lost, file.read_text()) == (0, kept)


def kept_line(visit: int) -> str:
    return json.dumps(event(visit).to_dict()) + "\n"


@pytest.mark.parametrize(
    "damage",
    [
        kept_line(9)[:40],  # a power cut
        "{}\n",
        "7\n",
        kept_line(9).replace('"score"', '"scores"'),
        "\x00\x00\x00",
        "\udcff\n",
    ],
)
def test_damaged_lines_of_a_spool_are_set_aside(damage, tmp_path, caplog):
    file, aside = tmp_path / "spool.jsonl", tmp_path / "spool.damaged"
    damaged = damage.encode(errors="surrogateescape")
    # A line separator in a name parts no lines.
    kept = json.dumps({**event(1).to_dict(), "name": "a\u2028b"}, ensure_ascii=False)
    file.write_bytes(kept.encode() + b"\n" + damaged.rstrip() + b"\n" + kept_line(2).encode())
    outlet = Outlet(OSError("down"))
    with Spool(outlet, file) as sink:
        assert (sink.waiting, sink.lost) == (2, 1)
    assert aside.read_bytes() == damaged.rstrip() + b"\n"
    (told,) = (r.getMessage() for r in caplog.records if r.levelname == "ERROR")
    assert told == f"{file}: lines that are no events: 1; they are in {aside} now"
    outlet = Outlet()
    with Spool(outlet, file) as sink:
        until(lambda: not sink.waiting)
    assert (outlet.taken, sink.lost) == ([1, 2], 0)
    assert aside.read_bytes() == damaged.rstrip() + b"\n"  # once


def test_a_torn_line_is_no_end_of_the_spool(tmp_path):
    file = tmp_path / "spool.jsonl"
    file.write_text(kept_line(1) + kept_line(2)[:-1])  # all but its end of line
    with Spool(Outlet(OSError("down")), file) as sink:
        sink.send(event(3))
    outlet = Outlet()
    with Spool(outlet, file) as sink:
        until(lambda: not sink.waiting)
    assert (outlet.taken, sink.lost) == ([1, 2, 3], 0)


def test_a_full_disk_leaves_whole_lines_in_the_spool(tmp_path, full_disk, caplog):
    file = tmp_path / "spool.jsonl"
    outlet = Outlet(OSError("down"))
    with Spool(outlet, file) as sink:
        sink.send(event(1))
        until(file.exists)
        before = file.read_bytes()
        with full_disk():
            sink.send(event(2))
        assert file.read_bytes() == before
        assert "events wait in memory alone" in caplog.text
    assert [json.loads(line)["visit"] for line in file.read_text().splitlines()] == [1, 2]


def test_the_file_of_a_spool_is_bounded_too(tmp_path):
    file = tmp_path / "spool.jsonl"
    outlet = Outlet(OSError("down"))
    with Spool(outlet, file, limit=10) as sink:
        sink.send(event(0))
        until(file.exists)
        most = 0
        for visit in range(1, 100):
            sink.send(event(visit))
            most = max(most, len(file.read_text().splitlines()))
            assert json.loads(file.read_text().splitlines()[-1])["visit"] == visit
        assert most == 20
    kept = [json.loads(line)["visit"] for line in file.read_text().splitlines()]
    assert kept == list(range(90, 100))


def test_a_spool_with_too_many_events_loses_the_oldest(tmp_path):
    file = tmp_path / "spool.jsonl"
    file.write_text("".join(kept_line(visit) for visit in range(15)))
    outlet = Outlet()
    with Spool(outlet, file, limit=10) as sink:
        until(lambda: not sink.waiting)
    assert (outlet.taken, sink.lost) == (list(range(5, 15)), 5)


def test_a_spool_that_cannot_be_read_is_refused_and_left_alone(tmp_path):
    file = tmp_path / "spool.jsonl"
    file.mkdir()
    for _ in range(2):
        with pytest.raises(InputError, match=r"spool\.jsonl cannot be written"):
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


@pytest.fixture
def full_disk(monkeypatch):
    """A block in which files take ten bytes more."""
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

    @contextmanager
    def block() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", lambda self, *args, **kw: Full(real(self, *args, **kw)))
            yield

    return block


@pytest.mark.parametrize("kind", [LinesFile, CsvFile])
def test_a_full_disk_leaves_whole_lines(kind, tmp_path, full_disk):
    path = tmp_path / "visits"
    outlet = kind(path)
    outlet.deliver(event(1).to_dict())
    before = path.read_bytes()
    with full_disk(), pytest.raises(OSError, match="No space left"):
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
    assert len(list(tmp_path.glob("http_127_0_0_1_1_hook_????.jsonl"))) == 3
    names = [path.name for path in tmp_path.iterdir()]
    assert not any("secret" in name or "hidden" in name for name in names)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://127.0.0.1:1/garden/birds", "http://127.0.0.1:1/garden_birds"),
        ("jsonl:鳥.jsonl", "jsonl:花.jsonl"),
        ("jsonl:a@b", "jsonl:a_b"),
        ("jsonl:鳥@x", "jsonl:花@x"),
    ],
)
def test_sinks_of_nearly_one_name_wait_in_files_of_their_own(
    one, other, no_proxy, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(LinesFile, "deliver", _down(LinesFile.deliver))
    folder = tmp_path / "spool"
    with open_sink(one, folder) as first, open_sink(other, folder) as second:
        for visit, sink in enumerate((first, second)):
            sink.send(event(visit))
    kept = [path.read_text() for path in folder.glob("*.jsonl")]
    assert sorted(json.loads(text)["visit"] for text in kept) == [0, 1]


def _down(deliver):
    """Return what delivers into spools alone."""

    def down(self, values) -> None:
        if Path(self.name).parent.name != "spool":
            raise OSError("down")
        deliver(self, values)

    return down


def test_what_an_earlier_version_kept_is_delivered(no_proxy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    waited = tmp_path / "spool" / "visits_jsonl.jsonl"
    waited.parent.mkdir()
    waited.write_text(kept_line(1))
    with open_sink("jsonl:visits.jsonl", waited.parent) as sink:
        until(lambda: not sink.waiting)
    assert json.loads(Path("visits.jsonl").read_text()) == event(1).to_dict()
    assert not list(waited.parent.glob("*.jsonl"))


def test_a_spool_is_used_by_one_sink_at_a_time(tmp_path):
    file, spool_folder = tmp_path / "visits.jsonl", tmp_path / "spool"
    with open_sink(f"jsonl:{file}", spool_folder):
        with pytest.raises(InputError, match="is in the hands of another sink; expected each sink"):
            open_sink(f"jsonl:{file}", spool_folder)
        with pytest.raises(InputError, match="is in the hands of another sink"):
            open_sink(f"jsonl:{file}", tmp_path / "visits" / ".." / "spool")
    open_sink(f"jsonl:{file}", spool_folder).close()


_SERVICE = """
import sys
from pathlib import Path
from edge_fgir.runtime import open_sink
with open_sink(sys.argv[1], Path(sys.argv[2])):
    print("open", flush=True)
    sys.stdin.read()
"""


def test_a_spool_is_used_by_one_process_at_a_time(tmp_path):
    word, folder = f"jsonl:{tmp_path / 'visits.jsonl'}", tmp_path / "spool"
    with subprocess.Popen(
        [sys.executable, "-c", _SERVICE, word, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "open\n"
        for _ in range(2):
            with pytest.raises(InputError, match="is in the hands of another process; expected"):
                open_sink(word, folder)
        other.kill()  # as a service manager may
    open_sink(word, folder).close()


class Moved(BaseHTTPRequestHandler):
    """Sends whatever is posted to another place, where everything is fine."""

    answer: ClassVar[tuple[int, str | None]]
    asked: ClassVar[list[str]] = []

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append(f"POST {self.path}")
        code, place = self.answer
        self.send_response(code)
        if place is not None:
            self.send_header("Location", place.replace("HOST", self.headers["Host"]))
        self.end_headers()

    def do_GET(self) -> None:
        self.asked.append(f"GET {self.path}")
        self.send_response(200)
        self.end_headers()


@pytest.fixture
def moved(no_proxy) -> Iterator[int]:
    """The port of a server that has moved."""
    Moved.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Moved) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_delivers_nothing_and_says_where_to(code, moved, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(Moved, "answer", (code, "/new?key=secret"), raising=False)
    with open_sink(f"http://127.0.0.1:{moved}/hook", tmp_path) as sink:
        sink.send(event(1))
        until(lambda: "is down" in caplog.text)
    assert (sink.waiting, sink.lost) == (1, 0)
    assert set(Moved.asked) == {"POST /hook"}
    assert f"the server answers {code} " in caplog.text
    assert f": name http://127.0.0.1:{moved}/new?*** instead); events wait" in caplog.text
    (kept,) = tmp_path.glob("*.jsonl")
    assert json.loads(kept.read_text())["visit"] == 1


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (None, r"the server answers 302 Found\);"),
        ("http://[", r"302 Found: name http://\S+ instead\);"),
        ("file:///etc/passwd", r"302 Found: name file:///etc/passwd instead\);"),
    ],
)
def test_a_redirect_to_nowhere_is_a_failure_too(place, message, moved, monkeypatch, caplog):
    monkeypatch.setattr(Moved, "answer", (302, place), raising=False)
    with open_sink(f"http://127.0.0.1:{moved}/hook") as sink:
        sink.send(event(1))
        until(lambda: "is down" in caplog.text)
        assert sink.waiting == 1
    assert re.search(message, caplog.text)


def test_a_frigate_that_moved_is_told_by_its_own_address(moved, monkeypatch, caplog):
    place = "http://HOST/frigate/api/events/1781.25-ab3c/sub_label"
    monkeypatch.setattr(Moved, "answer", (301, place), raising=False)
    with open_sink(f"frigate:http://127.0.0.1:{moved}") as sink:
        sink.send(replace(event(1), track="1781.25-ab3c"))
        until(lambda: "is down" in caplog.text)
        assert sink.waiting == 1
    assert f": name http://127.0.0.1:{moved}/frigate instead" in caplog.text


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


def test_files_that_are_no_pictures_are_passed_over(tmp_path, caplog):
    Image.fromarray(photo(1)).save(tmp_path / "mine.jpg")
    (tmp_path / "._mine.jpg").write_bytes(b"what a Mac leaves beside a file")
    (tmp_path / "broken.jpg").write_bytes((tmp_path / "mine.jpg").read_bytes()[:300])
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "folder.jpg").mkdir()
    with open_sink(f"pictures:{tmp_path}") as sink:
        sink.send(event(1, score=0.4, pixels=photo(1)[..., ::-1]))  # as mine.jpg
        sink.send(event(2, score=0.4, pixels=photo(2)))
    assert len(list(tmp_path.glob("*wren*.jpg"))) == 1
    named = [Path(record.getMessage().split()[0]).name for record in caplog.records]
    assert named == ["broken.jpg", "folder.jpg", "text.jpg"]


def test_pictures_that_are_moved_away_make_room(tmp_path):
    folder, labelled = tmp_path / "unsure", tmp_path / "labelled"
    labelled.mkdir()
    sink = UncertainPictures(folder, most=3)
    for visit in range(1, 6):
        sink.send(event(visit, score=0.4, pixels=photo(visit)))
    kept = sorted(folder.iterdir())
    assert len(kept) == 3
    for file in kept[:2]:
        file.rename(labelled / file.name)
    for visit in range(6, 11):
        sink.send(event(visit, score=0.4, pixels=photo(visit)))
    assert len(list(folder.iterdir())) == 3
    assert sink.lost == 0


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


class Camera:
    """A source that was lost."""

    outages = 3


def test_counters_are_renewed_while_no_frame_comes(tmp_path, monkeypatch):
    monkeypatch.setattr(counters_module, "_EVERY_S", 0.02)
    file, camera = tmp_path / "camera.prom", Camera()
    with ExitStack() as stack:
        counters = stack.enter_context(Counters(file))
        sink = stack.enter_context(Spool(Outlet(OSError("down"))))
        counters.follow(camera, [sink])
        until(lambda: file.exists() and "source_outages_total 3\n" in file.read_text())
        camera.outages += 1
        sink.send(event(1))
        until(lambda: "source_outages_total 4\n" in file.read_text())
        until(lambda: "events_waiting 1\n" in file.read_text())
        monkeypatch.setattr(counters_module, "_EVERY_S", 60.0)
        camera.outages += 1
    # The last word: what the sink lost when it closed, and an outage nobody had told yet.
    figures = file.read_text()
    assert "source_outages_total 5\n" in figures
    assert "events_lost_total 1\n" in figures
    file.unlink()
    time.sleep(0.1)
    assert not file.exists()


def test_counters_without_a_file_write_none():
    with Counters() as counters:
        counters.count(result(photo(0)))
        assert not counters._thread.is_alive()
    assert "edge_fgir_frames_total 1\n" in counters.text()
