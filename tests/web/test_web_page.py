"""A bundle's page in headless Chromium: it answers as Python does, and says what it cannot do."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

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

STAND_IN = """
const post = Worker.prototype.postMessage;
Worker.prototype.postMessage = function (message, ...more) {
  const ask = () => post.call(this, message, ...more);
  const answer = (data) => this.onmessage({ data: { id: message.id, ...data } });
  if (message.what === 'classify' && globalThis.atClassify) globalThis.atClassify(ask, answer);
  else ask();
};
"""
"""Lets tests decide when the model is asked about a picture, or answer in its place."""

ANSWER = """{ answer: {
  label: 'green_leaf', index: 0, score: 0.6, novelty: null, isUnknown: false,
  top: [['green_leaf', 0.6]], preprocessMs: 1, inferMs: 1
} }"""


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
        browser.call("Page.addScriptToEvaluateOnNewDocument", source=STAND_IN)
        browser.open(address(server))
        browser.wait(READY)
        yield browser


@pytest.fixture(scope="module")
def two_cameras(
    bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Browser, str]]:
    """A browser of a device with two cameras that face no side, and where the page is."""
    flags = ["--use-fake-device-for-media-stream=device-count=2"]
    with (
        served(bundle) as server,
        Browser(tmp_path_factory.mktemp("profile"), flags) as browser,
    ):
        browser.call("Page.addScriptToEvaluateOnNewDocument", source=STAND_IN)
        yield browser, address(server)


@pytest.fixture
def cameras(two_cameras: tuple[Browser, str]) -> Browser:
    """The bundle's page, loaded anew on a device with two cameras."""
    browser, url = two_cameras
    browser.open("about:blank")
    browser.open(url)
    browser.wait(READY)
    return browser


@contextmanager
def classifying(page: Browser, script: str) -> Iterator[None]:
    """Let a function of JavaScript have what the model is asked, and its answer."""
    page.run(f"globalThis.asked = []; globalThis.atClassify = {script}; 0")
    try:
        yield
    finally:
        page.run("globalThis.atClassify = undefined; 0")


def focused(page: Browser) -> str:
    """Return what has the focus, once the browser has drawn what changed."""
    page.run("new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn, 50)))")
    return str(page.run("document.activeElement.id"))


def one_of_each(photos: Path, python: Classifier) -> list[Path]:
    """Return a photograph of each class, which the model tells apart."""
    files = [sorted((photos / "test" / name).glob("*.png"))[0] for name in python.labels]
    assert len({python(file).label for file in files}) == len(files)
    return files


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
    page.run("document.querySelector('#about').open = true")
    page.run("document.querySelector('#check').focus()")
    page.click("#check")
    page.wait("document.querySelector('#checked').textContent.includes('device')")
    count = len(Bundle(bundle).golden.images)
    said = page.run("document.querySelector('#checked').textContent")
    assert said.startswith(f"{count} of {count} pictures get the label")
    assert said.endswith("This device computes as it should.")
    assert focused(page) == "check"


def test_what_is_no_picture_is_one_sentence(page: Browser, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    page.choose("#file", tmp_path / "notes.txt")
    page.wait("!document.querySelector('#message').hidden")
    assert "notes.txt is not a picture that this browser can read" in page.text("#message")


def test_photos_are_upright_in_browsers_that_have_no_word_for_it(
    page: Browser, python: Classifier, photos: Path, tmp_path: Path
) -> None:
    upright = Image.open(one_of_each(photos, python)[0]).convert("RGB").resize((320, 200))
    exif, file = Image.Exif(), tmp_path / "turned.jpg"
    exif[0x0112] = 6  # its left side is up
    upright.transpose(Image.Transpose.ROTATE_90).save(file, exif=exif, quality=95)
    wanted, lying = python(file).score, python(np.asarray(Image.open(file)), "rgb").score
    assert abs(wanted - lying) > 0.01  # or nothing was compared
    page.run("""globalThis.ours = createImageBitmap;
    globalThis.createImageBitmap = async (source, options = {}) => {
      if (options.imageOrientation === 'from-image') throw new TypeError('no such value');
      return ours(source, options);
    }; 0""")
    try:
        show(page, file)
    finally:
        page.run("globalThis.createImageBitmap = ours; 0")
    share = page.text("#top li").split("\n")[1]
    assert float(share.removesuffix("\xa0%")) == pytest.approx(100 * wanted, abs=0.5)


def test_a_late_answer_is_not_shown(page: Browser, python: Classifier, photos: Path) -> None:
    first, second, *_ = one_of_each(photos, python)
    show(page, first)
    with classifying(page, "(ask) => asked.push(ask)"):
        page.choose("#file", first)
        page.wait("asked.length === 1")
        assert page.run("document.querySelector('#answer').hidden")  # that of the photo before
        page.choose("#file", second)
        page.wait("asked.length === 2")
        page.run("asked[1]()")
        page.wait("!document.querySelector('#answer').hidden")
        page.run("asked[0]()")
        time.sleep(0.5)
        assert page.text("#top li").split("\n")[0] == shown(python(second).label)


def test_an_error_of_the_model_is_one_sentence(page: Browser, photos: Path) -> None:
    file = sorted((photos / "test").rglob("*.png"))[0]
    with classifying(page, "(ask, answer) => answer({ error: 'the model has no memory left' })"):
        page.choose("#file", file)
        page.wait("!document.querySelector('#message').hidden")
    assert page.text("#message") == "the model has no memory left"
    assert page.run("document.querySelector('#answer').hidden")
    assert page.run("document.querySelector('#spoken').textContent") == page.text("#message")


def test_every_photo_is_spoken(page: Browser, photos: Path) -> None:
    file = sorted((photos / "test").rglob("*.png"))[0]
    page.run("""globalThis.told = [];
    new MutationObserver(() => told.push(document.querySelector('#spoken').textContent))
      .observe(document.querySelector('#spoken'), { childList: true })""")
    show(page, file)
    show(page, file)
    told = page.run("told.filter((sentence) => sentence !== '')")
    assert told == [told[0]] * 2
    assert page.text("#top li").split("\n")[0] in told[0]


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


def test_a_label_that_stands_is_spoken_whatever_its_score(cameras: Browser) -> None:
    noisy = ANSWER.replace("score: 0.6", "score: 0.6 + (asked.push(0) % 9) / 100")
    with classifying(cameras, f"(ask, answer) => setTimeout(() => answer({noisy}), 20)"):
        cameras.click("#camera")
        cameras.wait("document.querySelector('#spoken').textContent.startsWith('green leaf, 6')")


@pytest.mark.parametrize("again", [("#camera", "#camera"), ("#turn",)])
def test_frames_are_asked_about_one_at_a_time(cameras: Browser, again: tuple[str, ...]) -> None:
    with classifying(cameras, f"(ask, answer) => asked.push(() => answer({ANSWER}))"):
        cameras.click("#camera")
        cameras.wait("asked.length === 1")
        for button in again:
            cameras.wait(f"!document.querySelector('{button}').hasAttribute('aria-disabled')")
            cameras.click(button)
        cameras.wait("asked.length === 2")
        cameras.run("asked[0]()")  # of before: nothing follows from it
        time.sleep(0.5)
        assert cameras.run("asked.length") == 2
        assert cameras.run("document.querySelector('#answer').hidden")
        cameras.run("asked[1]()")
        cameras.wait("asked.length === 3")


def test_the_other_camera_is_another(cameras: Browser) -> None:
    stream = "document.querySelector('#video').srcObject"
    device = f"{stream}?.getVideoTracks()[0].getSettings().deviceId"
    free = "!document.querySelector('#turn').hasAttribute('aria-disabled')"
    cameras.click("#camera")
    cameras.wait("!document.querySelector('#turn').hidden")
    first = cameras.run(device)
    cameras.click("#turn")
    second = cameras.wait(f"{free} && {device}")
    cameras.click("#turn")
    assert second != first == cameras.wait(f"{free} && {device}")


def test_a_photo_ends_a_camera_that_is_about_to_start(cameras: Browser, photos: Path) -> None:
    cameras.run("""const { mediaDevices } = navigator;
    const real = mediaDevices.getUserMedia.bind(mediaDevices);
    mediaDevices.getUserMedia = async (wanted) => {
      const stream = await real(wanted);
      return new Promise((give) => { globalThis.allow = () => give(stream); });
    }; 0""")
    cameras.click("#camera")
    cameras.wait("globalThis.allow !== undefined")
    show(cameras, sorted((photos / "test").rglob("*.png"))[0])
    cameras.run("allow()")
    time.sleep(0.5)
    assert cameras.run("document.querySelector('#video').srcObject") is None
    assert not cameras.run("document.querySelector('#photo').hidden")
    assert cameras.text("#camera") == "Start camera"


def test_buttons_keep_the_focus_and_messages_are_spoken(cameras: Browser) -> None:
    cameras.run("""globalThis.calls = 0;
    navigator.mediaDevices.getUserMedia = () => new Promise((_, refuse) => {
      calls++;
      globalThis.refuse = () => refuse(new DOMException('no', 'NotAllowedError'));
    }); 0""")
    cameras.run("document.querySelector('#camera').focus()")
    cameras.click("#camera")
    cameras.click("#camera")
    assert focused(cameras) == "camera"
    assert cameras.run("calls") == 1
    cameras.run("refuse()")
    cameras.wait("!document.querySelector('#message').hidden")
    assert focused(cameras) == "camera"
    spoken = cameras.run("document.querySelector('#spoken').textContent")
    assert spoken.startswith("The camera is not allowed for this page.")


def test_a_button_that_goes_hands_on_the_focus(cameras: Browser) -> None:
    cameras.click("#camera")
    cameras.wait("!document.querySelector('#turn').hidden")
    cameras.run("document.querySelector('#turn').focus()")
    cameras.run("navigator.mediaDevices.getUserMedia = async () => { throw new Error('gone') }; 0")
    cameras.click("#turn")
    cameras.wait("document.querySelector('#turn').hidden")
    assert focused(cameras) == "camera"
    assert "The camera does not start: gone." in cameras.text("#message")


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


def test_a_host_that_redirects_the_page_is_no_hindrance(bundle: Path, tmp_path: Path) -> None:
    with Browser(tmp_path / "profile") as browser:
        with served(bundle) as server:
            server.RequestHandlerClass = redirecting(server.RequestHandlerClass)
            browser.open(address(server))
            browser.wait("document.querySelector('#offline').textContent.includes('Works without')")
            browser.open("about:blank")
            browser.open(address(server))  # the service worker answers now
            browser.wait(READY, 20)
        browser.open("about:blank")
        browser.open(address(server))  # where nobody answers any more
        browser.wait(READY, 20)


def redirecting(handler: type) -> type:
    """Return a handler that sends a browser from the page to its folder, as some hosts do."""

    class Redirecting(handler):
        def do_GET(self) -> None:  # noqa: N802
            if self.path != "/index.html":
                super().do_GET()
                return
            self.send_response(308)
            self.send_header("Location", "/")
            self.send_header("Content-Length", "0")
            self.end_headers()

    return Redirecting


def test_the_worker_can_send_nothing(bundle: Path, tmp_path: Path) -> None:
    with elsewhere() as (there, asked), Browser(tmp_path / "profile") as browser:
        browser.call(
            "Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=False, flatten=True
        )
        with served(bundle) as server:
            browser.open(address(server))
            browser.wait(READY)
            assert not worker_reaches(browser, there)
        with served(bundle) as server:  # at another port, so nothing is kept yet
            server.RequestHandlerClass = without_policy(server.RequestHandlerClass)
            browser.open(address(server))
            browser.wait("document.querySelector('#offline').textContent.includes('Works without')")
            assert worker_reaches(browser, there)  # as docs/web.md says of a first visit
            asked.clear()
            browser.open("about:blank")
            browser.open(address(server))
            browser.wait(READY)
            assert not worker_reaches(browser, there)
        assert asked == []


def worker_reaches(browser: Browser, url: str) -> bool:
    """Say whether the page's worker can ask another host for something."""
    attached = [
        event["params"] for event in browser.events if event["method"] == "Target.attachedToTarget"
    ]
    workers = [one["sessionId"] for one in attached if one["targetInfo"]["type"] == "worker"]
    page, browser.session = browser.session, workers[-1]
    try:
        script = f"fetch('{url}', {{ mode: 'no-cors' }}).then(() => true, () => false)"
        return bool(browser.run(script))
    finally:
        browser.session = page


@contextmanager
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """Serve nothing, from where the page is not: yield the address, and what it is asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", asked
        finally:
            server.shutdown()


def without_policy(handler: type) -> type:
    """Return a handler that tells a browser what any host of files does."""

    class Silent(handler):
        def send_header(self, keyword: str, value: str) -> None:
            if keyword != "Content-Security-Policy":
                super().send_header(keyword, value)

    return Silent


def test_the_worker_has_one_policy(bundle: Path) -> None:
    with served(bundle) as server, urlopen(f"{address(server)}page/worker.js") as answer:
        assert f'"{answer.headers["Content-Security-Policy"]}"' in (bundle / "sw.js").read_text()
