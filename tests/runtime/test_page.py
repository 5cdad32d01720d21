from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from bundles import make_bundle, zip_bundle

from edge_fgir import Bundle, InputError
from edge_fgir.runtime import page_entries, page_server

pytest.importorskip("flatbuffers", reason="makes bundles")
pytest.importorskip("ai_edge_litert", reason="makes bundles")

pytestmark = pytest.mark.unit

PAGE = {"index.html": b"<p>here", "page/app.js": b"1", "onnxruntime/ort.wasm": b"\0asm" * 999}


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A bundle with files of a page."""
    return make_bundle(tmp_path / "x.fgir", target="web", replaced=PAGE)


@pytest.fixture
def get(page: Path) -> Iterator[Callable]:
    """Return a function that gets a path: status, kind and body."""
    with page_server(Bundle(page)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def ask(path: str) -> tuple[int, str | None, bytes]:
            connection = HTTPConnection("127.0.0.1", server.server_port, timeout=10)
            connection.request("GET", path)
            answer = connection.getresponse()
            found = answer.status, answer.getheader("Content-Type"), answer.read()
            connection.close()
            return found

        yield ask
        server.shutdown()


@pytest.mark.parametrize(
    ("path", "kind", "name"),
    [
        ("/", "text/html; charset=utf-8", "index.html"),
        ("/?x=1", "text/html; charset=utf-8", "index.html"),
        ("/page/app.js", "text/javascript", "page/app.js"),
        ("/onnxruntime/ort.wasm", "application/wasm", "onnxruntime/ort.wasm"),
        ("/manifest.json", "application/json", "manifest.json"),
        ("/golden/expected.json", "application/json", "golden/expected.json"),
        ("/model.tflite", "application/octet-stream", "model.tflite"),
    ],
)
def test_listed_files_are_served(get: Callable, page: Path, path, kind, name) -> None:
    assert get(path) == (200, kind, (page / name).read_bytes())


@pytest.mark.parametrize("path", ["/x", "/../x.fgir/index.html", "//etc/passwd", "/%2e%2e/secret"])
def test_nothing_else_is(get: Callable, page: Path, path: str) -> None:
    (page.parent / "secret").write_text("s")
    assert get(path)[0] == 404


def test_a_zip_is_served_too(page: Path, tmp_path: Path) -> None:
    zipped = Bundle(zip_bundle(page, tmp_path / "x.zip"))
    assert {entry.path for entry in page_entries(zipped)} >= set(PAGE)
    page_server(zipped).server_close()


def test_a_browser_loads_no_golden_pictures(page: Path) -> None:
    entries = page_entries(Bundle(page))
    assert entries[0].path == "onnxruntime/ort.wasm"
    assert not [entry for entry in entries if entry.path.startswith(("golden/", "reports/"))]


def test_a_bundle_without_a_page_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is for target arm and holds no page"):
        page_server(Bundle(make_bundle(tmp_path / "x.fgir", target="arm")))


def test_a_port_that_is_taken_is_one_line(page: Path) -> None:
    with (
        page_server(Bundle(page)) as first,
        pytest.raises(InputError, match=r"choose another --port"),
    ):
        page_server(Bundle(page), first.server_port)
