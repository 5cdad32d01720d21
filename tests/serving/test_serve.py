"""A bundle behind HTTP: right answers, limits of size and time, and nothing else."""

from __future__ import annotations

import http.client
import io
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
from bundles import make_bundle
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from edge_fgir import Classifier, InputError
from edge_fgir.runtime import Preprocess
from edge_fgir.serving import ServeOptions

pytestmark = pytest.mark.unit

WAIT_S = 10.0
needs_fastapi = pytest.mark.usefixtures("fastapi")


@pytest.fixture(scope="module")
def fastapi() -> None:
    for library in ("fastapi", "uvicorn"):
        pytest.importorskip(library, reason=f"{library} is not installed (extra serve)")


class Brightness:
    """Answers with the mean brightness; waits while ``held``."""

    description = "pretended"

    def __init__(self) -> None:
        self.free = threading.Event()
        self.free.set()
        self.begun = 0

    def infer(self, batch):
        self.begun += 1
        assert self.free.wait(WAIT_S)
        bright = batch.reshape(len(batch), -1).mean(axis=1) / 255
        return np.stack([1 - bright, bright], axis=1).astype(np.float32)

    def close(self) -> None:
        pass


def classifier(engine: Brightness) -> Classifier:
    manifest = SimpleNamespace(
        name="light", target="openvino", precision="fp32", explanation=None, features=None
    )
    manifest.converts = True
    bundle = SimpleNamespace(
        path=Path("light.fgir"),
        variant=None,
        preprocess=Preprocess(size=16),
        calibration=SimpleNamespace(unknown_threshold=0.6),
        manifest=manifest,
        novelty=None,
        feature_space=None,
        labels=("dark", "bright"),
    )
    return Classifier(bundle, engine)


class Reply(NamedTuple):
    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """A server's address."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Reply(response.status, response.read(), dict(response.getheaders()))
        finally:
            connection.close()

    def predict(self, body: Any, query: str = "", **headers: str) -> Reply:
        return self.ask("POST", f"/v1/predict{query}", body, **headers)


@contextmanager
def served(model: Classifier, **options: Any) -> Iterator[Client]:
    import uvicorn

    from edge_fgir.serving import make_app
    from edge_fgir.serving.server import Impatient

    app = make_app(model, ServeOptions(**options))
    config = uvicorn.Config(app, port=0, log_level="error", http=Impatient)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + WAIT_S
    while not server.started:
        assert time.monotonic() < end
        time.sleep(0.005)
    try:
        yield Client(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(WAIT_S)


def png(shade: int, side: int = 20, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (shade,) * 3).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def engine() -> Brightness:
    return Brightness()


@pytest.fixture
def model(engine) -> Iterator[Classifier]:
    with classifier(engine) as model:
        yield model


@needs_fastapi
def test_an_upload_gets_the_answer_of_the_model(model):
    with served(model) as client:
        reply = client.predict(png(200), "?top=1")
    expected = model(Image.new("RGB", (20, 20), (200,) * 3)).to_dict(top=1)
    assert reply.status == 200
    found = reply.json
    assert found.pop("latency_ms") > 0
    assert found == expected


@needs_fastapi
@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "BMP", "TIFF"])
def test_other_kinds_of_files(model, kind):
    with served(model) as client:
        assert client.predict(png(250, kind=kind)).json["label"] == "bright"


@needs_fastapi
def test_a_small_file_of_many_pixels_is_not_decoded(model, monkeypatch):
    file = io.BytesIO()
    Image.new("LA", (600, 500)).save(file, "PNG")
    with served(model, max_megapixels=0.2) as client, monkeypatch.context() as patch:
        patch.setattr(PngImageFile, "load", lambda *_: pytest.fail("decoded"))
        reply = client.predict(file.getvalue())
    assert reply.status == 400
    assert (
        "the picture is 600 x 500 pixels; expected at most 0.2 megapixels" in reply.json["detail"]
    )


@needs_fastapi
def test_what_is_no_picture_is_refused_in_a_line(model):
    with served(model, max_megabytes=0.01) as client:
        for body, status, words in (
            (b"", 400, "no picture; expected the bytes"),
            (b"hello", 400, "the picture is not a picture Pillow can read; expected JPEG, PNG"),
            (png(9)[:60], 400, "the picture is broken or truncated"),
            (png(9, side=4), 400, "the picture is 4 x 4 pixels; expected at least 8 x 8"),
            (bytes(10_001), 413, "more than 0.01 MB"),
            (iter([bytes(6_000)] * 2), 413, "more than 0.01 MB"),
        ):
            headers = {} if isinstance(body, bytes) else {"Transfer-Encoding": "chunked"}
            if headers:
                body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in body) + b"0\r\n\r\n"
            reply = client.predict(body, **headers)
            assert reply.status == status
            assert words in reply.json["detail"]
        assert client.predict(png(9), "?top=0").status == 422
        assert client.predict(png(9)).status == 200
        assert client.ask("GET", "/v1/predict").status == 405


@needs_fastapi
def test_an_upload_that_does_not_arrive_is_not_waited_for(model):
    with served(model, seconds=0.2) as client:
        with socket.create_connection(("127.0.0.1", client.port), timeout=WAIT_S) as link:
            link.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nabc")
            assert link.recv(1000).startswith(b"HTTP/1.1 408 ")
        assert client.predict(png(9)).status == 200


@needs_fastapi
def test_what_arrives_takes_a_place(model):
    with served(model, waiting=1) as client:
        with socket.create_connection(("127.0.0.1", client.port), timeout=WAIT_S) as link:
            link.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nabc")
            end = time.monotonic() + WAIT_S
            while client.ask("GET", "/health").status != 503:
                assert time.monotonic() < end
            # Larger than what the network holds: the answer comes although nobody keeps it.
            crowded = client.predict(b"x" * 10_000_000)
            assert (crowded.status, crowded.headers["retry-after"]) == (503, "1")
        while client.ask("GET", "/health").status != 200:
            assert time.monotonic() < end
        assert client.predict(png(9)).status == 200


_HEAD = b"GET /health HTTP/1.1\r\nHost: x\r\nX-A: "


@needs_fastapi
@pytest.mark.parametrize(
    ("before", "sent"),
    [(b"", b""), (b"", _HEAD), (_HEAD + b"1\r\n\r\n", _HEAD)],
    ids=["silent", "drips", "drips later"],
)
def test_a_connection_that_asks_nothing_is_not_kept(model, monkeypatch, before, sent):
    monkeypatch.setattr("edge_fgir.serving.server._IDLE_S", 0.3)
    with (
        served(model) as client,
        socket.create_connection(("127.0.0.1", client.port), timeout=WAIT_S) as link,
    ):
        if before:
            link.sendall(before)
            assert link.recv(10_000).startswith(b"HTTP/1.1 200 ")
        link.sendall(sent)
        begun = time.monotonic()
        with suppress(ConnectionError):
            while time.monotonic() < begun + 2:
                link.settimeout(0.05)
                with suppress(TimeoutError):
                    if not link.recv(10_000):
                        break
                link.sendall(b"b" if sent else b"")  # a byte now and then keeps nothing open
        waited = time.monotonic() - begun
        assert 0.2 < waited < 1.5


@needs_fastapi
def test_a_bad_parameter_is_counted(model):
    with served(model) as client:
        assert client.predict(png(9), "?top=0").status == 422
        text = client.ask("GET", "/metrics").body.decode()
    assert 'edge_fgir_requests_total{status="422"} 1' in text.splitlines()


@needs_fastapi
def test_a_slow_answer_is_given_up_and_keeps_its_place_until_it_is_done(model, engine):
    with served(model, seconds=0.3, waiting=1) as client:
        engine.free.clear()
        late = client.predict(png(9))
        assert late.status == 504
        assert late.json["detail"] == "the answer was not ready within 0.3 s"
        crowded = client.predict(png(9))
        assert (crowded.status, crowded.headers["retry-after"]) == (503, "1")
        assert client.ask("GET", "/health").status == 503
        engine.free.set()
        end = time.monotonic() + WAIT_S
        while client.ask("GET", "/health").status != 200:
            assert time.monotonic() < end
        assert client.predict(png(9)).status == 200
        text = client.ask("GET", "/metrics").body.decode()
    for line in (
        'edge_fgir_requests_total{status="200"} 1',
        'edge_fgir_requests_total{status="503"} 1',
        'edge_fgir_requests_total{status="504"} 1',
        "edge_fgir_pictures_waiting 0",
        "edge_fgir_frames_total 1",
    ):
        assert line in text.splitlines()


@needs_fastapi
def test_a_picture_that_nobody_waits_for_is_not_worked_on_and_frees_its_place(
    model, engine, monkeypatch
):
    monkeypatch.setattr("edge_fgir.serving.service.usable_cores", lambda: 0)  # and one: a thread
    engine.begun = 0
    with served(model, seconds=0.4, waiting=4) as client, ThreadPoolExecutor(4) as pool:
        engine.free.clear()
        late = list(pool.map(lambda _: client.predict(png(9)), range(4)))
        assert [reply.status for reply in late] == [504] * 4
        # The one that has begun keeps its place.
        text = client.ask("GET", "/metrics").body.decode()
        assert "edge_fgir_pictures_waiting 1" in text.splitlines()
        assert client.ask("GET", "/health").status == 200
        engine.free.set()
        assert client.predict(png(9)).status == 200
    assert engine.begun == 2


@needs_fastapi
def test_a_client_that_hangs_up_is_counted_and_costs_no_traceback(model, caplog):
    with served(model) as client:
        with socket.create_connection(("127.0.0.1", client.port), timeout=WAIT_S) as link:
            link.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nabc")
            time.sleep(0.2)
        end = time.monotonic() + WAIT_S
        while 'edge_fgir_requests_total{status="400"} 1' not in (
            client.ask("GET", "/metrics").body.decode().splitlines()
        ):
            assert time.monotonic() < end
        assert client.predict(png(9)).status == 200
    assert not [record for record in caplog.records if record.exc_info]


@needs_fastapi
def test_each_of_many_gets_the_answer_to_its_own_picture(model):
    shades = list(range(0, 250, 5))
    with served(model, waiting=100) as client, ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda shade: client.predict(png(shade)), shades))
    found = [dict(reply.json["top"])["bright"] for reply in replies]
    assert found == pytest.approx([shade / 255 for shade in shades], abs=1e-5)


@needs_fastapi
def test_the_description_names_body_and_refusals(model):
    with served(model) as client:
        description = client.ask("GET", "/openapi.json").json
        told = client.ask("GET", "/v1/model").json
        assert client.ask("GET", "/docs").status == 200
    call = description["paths"]["/v1/predict"]["post"]
    assert set(call["responses"]) >= {"200", "400", "408", "413", "503", "504"}
    assert list(call["requestBody"]["content"]) == ["application/octet-stream"]
    assert told == {
        "name": "light",
        "target": "openvino",
        "precision": "fp32",
        "engine": "pretended",
        "image_size": 16,
        "labels": ["dark", "bright"],
    }


@needs_fastapi
@pytest.mark.export
def test_the_documented_program(tiny_bundle, tmp_path, monkeypatch):
    pytest.importorskip("openvino")
    page = (Path(__file__).parents[2] / "docs" / "serve.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "birds.fgir").symlink_to(tiny_bundle)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(code, "serve.md", "exec"), names)
    with names["model"]:
        assert "/v1/predict" in names["app"].openapi()["paths"]


@needs_fastapi
def test_the_page_loads_nothing_from_elsewhere(model):
    with served(model) as client:
        page = client.ask("GET", "/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert not re.search(r"https?://|//[a-z]", page.body.decode())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seconds": 0}, "--seconds 0; expected a number above 0, at most 3600"),
        ({"max_megabytes": float("nan")}, "--max-megabytes nan; expected a number above 0"),
        ({"waiting": 10**6}, "--waiting 1000000; expected a number above 0, at most 10000"),
    ],
)
def test_limits_that_are_none_are_refused(options, message):
    with pytest.raises(InputError, match=re.escape(message)):
        ServeOptions(**options)


def test_without_the_extra_a_line_says_what_to_install(run_cli, tiny_bundle, monkeypatch):
    from edge_fgir.cli import _app

    monkeypatch.setattr(_app, "find_spec", lambda name: None)
    done = run_cli("serve", tiny_bundle)
    assert (done.code, done.out) == (2, "")
    assert "fastapi is not installed; expected it for serving a bundle over HTTP" in done.err
    assert 'pip install "edge-fgir[serve]"' in done.err


@needs_fastapi
@pytest.mark.export
def test_a_port_that_is_taken_is_one_line(run_cli, tiny_bundle):
    pytest.importorskip("openvino")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_cli("serve", tiny_bundle, "--port", port)
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        f"error: 127.0.0.1 port {port}: Address already in use; expected an address of this "
        "machine and a free port; choose another --port or --host\n"
    )


@needs_fastapi
def test_a_name_that_is_not_this_machines_is_refused(monkeypatch):
    from edge_fgir.serving import listening

    def unknown(*arguments, **options):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with (
        pytest.raises(InputError, match=r"^--host nowhere: Name or service not known; expected an"),
        listening("nowhere", 8000),
    ):
        pass


@needs_fastapi
@pytest.mark.export
@pytest.mark.parametrize("ends", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_ended(tmp_path, ends):
    pytest.importorskip("openvino")
    bundle = make_bundle(tmp_path / "a.fgir")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = (sys.executable, "-c", "from edge_fgir.cli import main; main()")
    process = subprocess.Popen(
        [*command, "serve", str(bundle), "--port", str(port)],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert f"answers at http://127.0.0.1:{port}/ in openvino" in process.stderr.readline()
        end = time.monotonic() + WAIT_S
        while True:
            try:
                reply = Client(port).predict(png(0))
                break
            except ConnectionRefusedError:
                assert time.monotonic() < end
                time.sleep(0.02)
        assert reply.status == 200
        assert reply.json["is_unknown"]
        process.send_signal(ends)
        assert "Traceback" not in process.communicate(timeout=WAIT_S)[1]
    finally:
        process.kill()
        process.wait()
