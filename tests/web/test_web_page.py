"""A bundle's page in headless Chromium: it answers as Python does, and says what it cannot do."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from browser import CHROMIUM, Browser
from PIL import Image
from targets import exported

from edge_fgir import Bundle, Classifier
from edge_fgir.runtime import Pixels, page_server

pytestmark = [
    pytest.mark.export,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium (Debian: chromium)"),
    *exported("web").marks,
]

READY = "document.body.dataset.state === 'ready'"
FAILED = "document.body.dataset.state === 'failed'"


@contextmanager
def served(bundle: Path) -> Iterator[ThreadingHTTPServer]:
    """Serve a bundle until the block ends, or ``shutdown`` and ``server_close`` are called."""
    with page_server(Bundle(bundle)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


def address(server: ThreadingHTTPServer) -> str:
    return f"http://localhost:{server.server_port}/"


@pytest.fixture(scope="module")
def bundle(tiny_export: Callable[[str, str], Path]) -> Path:
    return tiny_export("web", "int8")


@pytest.fixture(scope="module")
def python(bundle: Path) -> Iterator[Classifier]:
    with Classifier.open(bundle) as model:
        yield model


@pytest.fixture(scope="module")
def page(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The bundle's page, loaded."""
    with (
        served(bundle) as server,
        Browser(tmp_path_factory.mktemp("profile")) as browser,
    ):
        browser.open(address(server))
        browser.wait(READY)
        yield browser


def show(page: Browser, file: Path) -> None:
    """Choose a photo and wait for its answer."""
    page.run("document.querySelector('#answer').hidden = true")
    page.choose("#file", file)
    page.wait("!document.querySelector('#answer').hidden")


def shown(label: str) -> str:
    """Return a class as the page shows it."""
    return label.replace("_", " ")


def pictures(photos: Path, folder: Path) -> Iterator[Path]:
    """Yield photographs that are known, larger than a band of pixels, of noise, flat, and clear."""
    yield from sorted((photos / "test").rglob("*.png"))[::6]
    random = np.random.default_rng(0)
    leaf = Image.open(sorted((photos / "test").rglob("*.png"))[0])
    made = {
        "large": leaf.resize((2000, 1500)),
        "noise": Image.fromarray(random.integers(0, 256, (90, 120, 3), dtype=np.uint8)),
        "flat": Image.new("RGB", (64, 64), (120, 130, 140)),
        "clear": Image.fromarray(np.dstack([np.asarray(leaf), np.full((48, 48), 0, np.uint8)])),
    }
    for name, image in made.items():
        image.save(folder / f"{name}.png")
        yield folder / f"{name}.png"


def test_photos_are_answered_as_by_python(
    page: Browser, python: Classifier, photos: Path, tmp_path: Path
) -> None:
    unknown = []
    for file in pictures(photos, tmp_path):
        show(page, file)
        wanted = python(file)
        unknown.append(wanted.is_unknown)
        best, share = page.text("#top li").split("\n")
        assert best == shown(wanted.label)
        assert float(share.removesuffix("\xa0%")) == pytest.approx(100 * wanted.score, abs=0.2)
        assert page.text("#label") == ("Unknown" if wanted.is_unknown else shown(wanted.label))
    assert {*unknown} == {True, False}  # or nothing was compared


def test_golden_pictures_get_the_labels_of_the_export(page: Browser, bundle: Path) -> None:
    page.click("#check")
    page.wait("document.querySelector('#checked').textContent.includes('device')")
    count = len(Bundle(bundle).golden.images)
    said = page.run("document.querySelector('#checked').textContent")
    assert said.startswith(f"{count} of {count} pictures get the label")
    assert said.endswith("This device computes as it should.")


def test_what_is_no_picture_is_one_sentence(page: Browser, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    page.choose("#file", tmp_path / "notes.txt")
    page.wait("!document.querySelector('#message').hidden")
    assert "notes.txt is not a picture that this browser can read" in page.text("#message")


def test_nothing_is_asked_of_others(page: Browser) -> None:
    asked = [
        event["params"]["request"]["url"]
        for event in page.events
        if event["method"] == "Network.requestWillBeSent"
    ]
    own = page.run("location.origin")
    assert asked
    assert not [url for url in asked if not url.startswith((own, f"blob:{own}"))]
    with pytest.raises(Exception, match="Failed to fetch"):
        page.run("fetch('http://127.0.0.2:9/')")  # the page's own policy forbids it


def test_it_works_without_a_network(
    bundle: Path, photos: Path, python: Classifier, tmp_path: Path
) -> None:
    file = sorted((photos / "test").rglob("*.png"))[0]
    with Browser(tmp_path / "profile") as browser:
        with served(bundle) as server:
            browser.open(address(server))
            browser.wait("document.querySelector('#offline').textContent.includes('Works without')")
        browser.open(address(server))  # where nobody answers any more
        browser.wait(READY)
        show(browser, file)
        assert browser.text("#top li").split("\n")[0] == shown(python(file).label)


def test_a_newer_model_is_found(
    bundle: Path, tiny_export: Callable[[str, str], Path], tmp_path: Path
) -> None:
    newer = tiny_export("web", "fp32")
    with Browser(tmp_path / "profile") as browser:
        with served(bundle) as server:
            browser.open(address(server))
            browser.wait("document.querySelector('#offline').textContent.includes('Works without')")
            port = server.server_port
        with page_server(Bundle(newer), port) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            browser.open(address(server))
            browser.wait("document.querySelector('#offline').textContent.includes('newer model')")
            browser.open(address(server))
            browser.wait("document.querySelector('#offline').textContent.includes('Works without')")
            assert "fp32" in browser.run("document.querySelector('#facts').textContent")
            server.shutdown()


def test_the_camera_is_answered(
    bundle: Path, photos: Path, python: Classifier, tmp_path: Path
) -> None:
    files = [sorted((photos / "test" / name).glob("*.png"))[0] for name in python.labels]
    frames = [np.asarray(Image.open(file).resize((320, 240))) for file in files]
    video = tmp_path / "camera.y4m"
    write_y4m(video, [frame for frame in frames for _ in range(40)])
    wanted = [shown(python(frame, "rgb").label) for frame in frames]
    assert len({*wanted}) == len(python.labels)
    flags = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={video}"]
    with served(bundle) as server, Browser(tmp_path / "profile", flags) as browser:
        browser.open(address(server))
        browser.wait(READY)
        browser.click("#camera")
        browser.wait("!document.querySelector('#speed').hidden")
        seen: list[str] = []
        end = time.monotonic() + 20
        while {*seen} != {*wanted} and time.monotonic() < end:
            seen.append(browser.run("document.querySelector('#top li span')?.innerText ?? ''"))
            time.sleep(0.1)
        assert {*seen} - {""} == {*wanted}
        assert "frames a second" in browser.text("#speed")
        browser.click("#camera")
        browser.wait("document.querySelector('#speed').hidden")


def write_y4m(path: Path, frames: list[Pixels]) -> None:
    """Write frames as a camera gives them: brightness, and colour of four pixels at a time."""
    height, width, _ = frames[0].shape
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F20:1 Ip A1:1 C420mpeg2\n".encode())
        for frame in frames:
            y, cb, cr = np.moveaxis(np.asarray(Image.fromarray(frame).convert("YCbCr")), -1, 0)
            file.write(b"FRAME\n")
            file.write((16 + y * (219 / 255)).round().astype(np.uint8).tobytes())
            for plane in (cb, cr):
                means = plane.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
                limited = 128 + (means - 128) * (224 / 255)
                file.write(limited.round().astype(np.uint8).tobytes())


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("WebAssembly.validate = () => false", "This browser has no WebAssembly SIMD"),
        ("delete globalThis.OffscreenCanvas", "This browser is too old for this page"),
    ],
)
def test_a_browser_that_cannot_is_one_sentence(
    bundle: Path, tmp_path: Path, script: str, sentence: str
) -> None:
    with served(bundle) as server, Browser(tmp_path / "profile") as browser:
        browser.call("Page.addScriptToEvaluateOnNewDocument", source=script)
        browser.open(address(server))
        browser.wait(FAILED)
        assert sentence in browser.text("#message")


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (
            "navigator.mediaDevices.getUserMedia = async () => {"
            " throw new DOMException('no', 'NotAllowedError') }",
            "The camera is not allowed for this page.",
        ),
        (
            "Object.defineProperty(navigator, 'mediaDevices', { value: undefined })",
            "only if it came by https",
        ),
    ],
)
def test_without_a_camera_photos_go_on(
    page: Browser, photos: Path, python: Classifier, script: str, sentence: str
) -> None:
    page.run(script)
    page.click("#camera")
    page.wait("!document.querySelector('#message').hidden")
    assert sentence in page.text("#message")
    file = sorted((photos / "test").rglob("*.png"))[0]
    show(page, file)
    assert page.run("document.querySelector('#message').hidden")
    assert page.text("#top li").split("\n")[0] == shown(python(file).label)


def test_a_file_that_a_host_changed_is_refused(bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "x.fgir"
    shutil.copytree(bundle, copy)
    with served(copy) as server, Browser(tmp_path / "profile") as browser:
        changed = b"another\n" + (copy / "labels.txt").read_bytes()
        server.RequestHandlerClass = changing(server.RequestHandlerClass, "/labels.txt", changed)
        browser.open(address(server))
        browser.wait(FAILED)
        assert "labels.txt is not the file that was exported" in browser.text("#message")


def changing(handler: type, path: str, data: bytes) -> type:
    """Return a handler that answers one path with other bytes."""

    class Changing(handler):
        def do_GET(self) -> None:  # noqa: N802
            if self.path != path:
                super().do_GET()
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Changing
