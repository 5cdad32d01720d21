from __future__ import annotations

import io
import shutil
import struct
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_fgir import EdgeFgirError, InputError
from edge_fgir.runtime import CameraOptions, open_source
from edge_fgir.runtime.video import VideoWriter

pytestmark = pytest.mark.unit

FPS = 25.0
AT_ONCE = CameraOptions(patience_s=0)
"""What fails is an error, and not tried again."""


@pytest.fixture
def cv2():
    return pytest.importorskip("cv2")


def photo(path: Path):
    """A photograph as (300, 300, 3) BGR; grey, so the channel order does not show."""
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.fixture(scope="module")
def clip(elpv_photos, tmp_path_factory) -> Path:
    pytest.importorskip("cv2")
    path = tmp_path_factory.mktemp("clips") / "photos.mp4"
    with VideoWriter(path, FPS) as video:
        for file in elpv_photos:
            video.write(photo(file))
    return path


def test_a_video_gives_the_photographs_at_their_times(clip, elpv_photos):
    with open_source(str(clip)) as source:
        assert source.fps == pytest.approx(FPS)
        assert not source.live
        frames = list(source)
    assert [f.index for f in frames] == list(range(12))
    assert [f.timestamp for f in frames] == pytest.approx([i / FPS for i in range(12)], abs=1e-3)
    assert all(f.dropped == 0 for f in frames)
    for frame, file in zip(frames, elpv_photos, strict=True):
        assert frame.pixels.shape == (300, 300, 3)
        assert frame.pixels.dtype == np.uint8
        assert np.abs(frame.pixels.astype(int) - photo(file)).mean() < 4


def test_a_video_keeps_blue_green_red(tmp_path, cv2):
    path = tmp_path / "red.avi"
    with VideoWriter(path, 5) as video:
        video.write(np.full((64, 64, 3), (20, 30, 200), np.uint8))
    with open_source(path) as source:
        (frame,) = source
    assert frame.pixels.reshape(-1, 3).mean(axis=0) == pytest.approx((20, 30, 200), abs=6)


def turned(path: Path, clip: Path, degrees: int) -> Path:
    """Write a clip whose header asks to show it turned clockwise, as phones do."""
    one, less = 1 << 16, -1 << 16
    a, b, c, d = {90: (0, one, less, 0), 180: (less, 0, 0, less), 270: (0, less, one, 0)}[degrees]
    content = clip.read_bytes()
    track = content.index(b"tkhd") + 4
    assert content[track] == 0, "another version of the header has its matrix elsewhere"
    matrix = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    start = track + 40
    path.write_bytes(content[:start] + matrix + content[start + len(matrix) :])
    return path


@pytest.mark.parametrize("asked_for", [False, True], ids=["by default", "only when asked"])
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_video_that_was_held_upright_is_upright(degrees, asked_for, tmp_path, monkeypatch, cv2):
    capture = cv2.VideoCapture

    def as_in_opencv_4_11(*arguments):
        video = capture(*arguments)
        video.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
        return video

    if asked_for:
        monkeypatch.setattr(cv2, "VideoCapture", as_in_opencv_4_11)
    stored = np.zeros((96, 160, 3), np.uint8)
    stored[:48, :80] = 220
    with VideoWriter(tmp_path / "plain.mp4", 5) as video:
        video.write(stored)
    path = turned(tmp_path / "phone.mp4", tmp_path / "plain.mp4", degrees)

    with open_source(path) as source:
        (frame,) = source

    wanted = np.rot90(stored, -degrees // 90)
    assert frame.pixels.shape == wanted.shape
    assert np.abs(frame.pixels.astype(int) - wanted).mean() < 8


def test_realtime_plays_at_the_videos_own_pace(clip):
    with open_source(clip, realtime=True) as source:
        assert source.live
        start = time.monotonic()
        arrived = [(time.monotonic() - start, frame.timestamp) for frame in source]
    assert len(arrived) == 12
    assert all(at >= timestamp - 0.002 for at, timestamp in arrived)
    assert arrived[-1][0] < 11 / FPS + 0.5


def test_closing_from_another_thread_ends_a_realtime_wait(tmp_path, cv2):
    path = tmp_path / "slow.avi"
    with VideoWriter(path, 0.1) as video:
        for value in (0, 100):
            video.write(np.full((32, 32, 3), value, np.uint8))
    source = open_source(path, realtime=True)
    frames = iter(source)
    assert next(frames).index == 0
    threading.Timer(0.05, source.close).start()
    start = time.monotonic()
    assert list(frames) == []  # the next frame was due after ten seconds
    assert time.monotonic() - start < 3


def test_a_closed_video_ends(clip):
    with open_source(clip) as source:
        frames = iter(source)
        next(frames)
    assert list(frames) == []
    source.close()


def test_a_folder_in_name_order_and_bgr(tmp_path):
    for name, rgb in (("b.png", (0, 255, 0)), ("a.png", (255, 0, 0)), ("c.jpg", (0, 0, 255))):
        Image.new("RGB", (40, 24), rgb).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    with open_source(str(tmp_path)) as source:
        assert not source.live
        assert source.fps is None
        frames = list(source)
    assert [f.index for f in frames] == [0, 1, 2]
    assert [int(f.pixels[0, 0].argmax()) for f in frames] == [2, 1, 0]
    assert all(f.pixels.shape == (24, 40, 3) and f.pixels.flags.c_contiguous for f in frames)
    times = [f.timestamp for f in frames]
    assert times == sorted(times)
    assert times[0] >= 0


def test_a_picture_file_is_one_frame(elpv_photos):
    with open_source(elpv_photos[3]) as source:
        (frame,) = source
    assert np.array_equal(frame.pixels, photo(elpv_photos[3]))


def test_a_closed_folder_ends(elpv_photos, tmp_path):
    for file in elpv_photos[:3]:
        shutil.copy(file, tmp_path)
    with open_source(tmp_path) as source:
        frames = iter(source)
        next(frames)
    assert list(frames) == []


def test_pictures_need_no_opencv(elpv_photos, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert len(list(open_source(elpv_photos[0]))) == 1
    video = tmp_path / "a.mp4"
    video.write_bytes(b"x")
    for source in (str(video), "0", "rtsp://127.0.0.1:1/x"):
        with pytest.raises(
            InputError, match=r"opencv-python-headless is not installed.*\[camera\]"
        ):
            open_source(source)


def test_pictures_that_need_a_conversion(tmp_path):
    path = tmp_path / "logo.png"
    Image.new("RGBA", (32, 32), (255, 0, 0, 0)).save(path)
    with pytest.raises(InputError, match="--convert"):
        list(open_source(path, convert=False, strict=True))
    source = open_source(path, convert=False)
    assert list(source) == []
    ((index, error),) = source.problems
    assert (index, "--convert" in str(error)) == (0, True)
    (frame,) = open_source(path)
    assert (frame.pixels == 255).all()


def _text_video(folder: Path) -> Path:
    path = folder / "talk.mp4"
    path.write_text("this is no video\n" * 50)
    return path


def _notes(folder: Path) -> Path:
    path = folder / "notes.txt"
    path.write_text("FFmpeg would draw this text as a video\n" * 50)
    return path


def _empty_file(folder: Path) -> Path:
    path = folder / "empty.mp4"
    path.touch()
    return path


def _cut_video(folder: Path) -> Path:
    whole = folder / "whole.mp4"
    with VideoWriter(whole, 10) as video:
        for value in range(20):
            video.write(np.full((64, 64, 3), value * 10, np.uint8))
    path = folder / "cut.mp4"
    path.write_bytes(whole.read_bytes()[:400])
    return path


def _no_frames(folder: Path) -> Path:
    import cv2

    path = folder / "none.avi"
    cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25.0, (64, 64)).release()  # type: ignore[attr-defined]
    return path


@pytest.mark.parametrize("make", [_text_video, _notes, _empty_file, _cut_video, _no_frames])
def test_what_is_no_video_is_refused(make, tmp_path, cv2):
    path = make(tmp_path)
    with pytest.raises(InputError, match=f"{path.name} is not a video .*; expected MP4") as caught:
        open_source(path)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("missing.mp4", "missing.mp4 does not exist; expected a video"),
        ("missing/", "missing does not exist; expected a video"),
        ("20260131", "20260131 does not exist; expected a video"),
        ("file:///a.mp4", "unknown kind of address; expected one of rtsp://"),
        ("97", "camera 97 cannot be opened; expected a reachable camera .* ./97"),
        ("/dev/null", "/dev/null cannot be opened; expected a reachable camera"),
        ("rtsp://me:secret@127.0.0.1:1/x", r"rtsp://\*\*\*@127.0.0.1:1/x cannot be opened"),
        ("rtsp://me:se/cr@et@127.0.0.1:1/x", r"rtsp://\*\*\*@127.0.0.1:1/x cannot be opened"),
        ("rtsp://127.0.0.1:1/x?key=secret", r"rtsp://127.0.0.1:1/x\?\*\*\* cannot be opened"),
        ("rtsp:/127.0.0.1/x?key=secret", r"rtsp:/127.0.0.1/x\?\*\*\* does not exist"),
        ("me:secret@127.0.0.1/x", r"\*\*\*@127.0.0.1/x does not exist"),
        ("abc://h/x?key=secret", r"abc://h/x\?\*\*\*: unknown kind of address"),
    ],
)
def test_what_cannot_be_opened_is_refused(source, message, tmp_path, monkeypatch, cv2):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        open_source(source)
    assert "secret" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no pictures"):
        open_source(tmp_path)


def test_pictures_have_no_realtime(elpv_photos):
    with pytest.raises(InputError, match="has no frame rate; expected a video"):
        open_source(elpv_photos[0].parent, realtime=True)


@pytest.mark.parametrize("source", ["no_video.mp4", "96"])
def test_opencv_keeps_stderr_clean(source, tmp_path, cv2):
    (tmp_path / "no_video.mp4").write_bytes(b"\0" * 4096)
    code = (
        "from edge_fgir import InputError\n"
        "from edge_fgir.runtime import CameraOptions, open_source\n"
        f"try: open_source({source!r})\n"
        "except InputError: pass\n"
        "else: raise SystemExit('opened')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


class FakeCapture:
    """Stands for a USB camera that gives ``frames`` pictures and is then unplugged."""

    frames = 3
    fps = 0.0

    def __init__(self, target, backend, settings) -> None:
        self.target = target
        self.given = 0
        self.released = False

    def isOpened(self):  # noqa: N802
        return True

    def grab(self):
        self.given += 1
        return self.given <= self.frames

    def retrieve(self):
        return True, np.full((16, 16, 3), self.given, np.uint8)

    def get(self, key):
        import cv2

        return {cv2.CAP_PROP_FPS: self.fps, cv2.CAP_PROP_FRAME_COUNT: -1.0}.get(key, 0.0)

    def set(self, key, value):
        return False

    def release(self):
        self.released = True


def test_a_camera_by_number(monkeypatch, cv2):
    opened = []
    monkeypatch.setattr(
        cv2, "VideoCapture", lambda *given: opened.append(FakeCapture(*given)) or opened[-1]
    )
    with open_source("2", camera=AT_ONCE) as source:
        assert opened[0].target == 2
        assert source.live
        assert source.fps is None
        frames = []
        with pytest.raises(EdgeFgirError, match="camera 2 stopped delivering frames after 3"):
            frames.extend(source)
    assert [f.pixels[0, 0, 0] for f in frames] == [1, 2, 3]
    assert [f.index for f in frames] == [0, 1, 2]
    assert 0 <= frames[0].timestamp < frames[1].timestamp < frames[2].timestamp
    assert opened[0].released


def test_a_camera_that_we_close_is_no_error(monkeypatch, cv2):
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    with open_source("0") as source:
        frames = iter(source)
        next(frames)
    assert list(frames) == []


def test_a_video_without_times_counts_them_by_its_rate(monkeypatch, tmp_path, cv2):
    class RawVideo(FakeCapture):
        fps = 50.0

    monkeypatch.setattr(cv2, "VideoCapture", RawVideo)
    path = tmp_path / "raw.h264"
    path.touch()
    with open_source(path) as source:
        assert [f.timestamp for f in source] == pytest.approx([0.0, 0.02, 0.04])


class _Camera(BaseHTTPRequestHandler):
    clip = b""
    pictures: tuple[bytes, ...] = ()

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.send_response(200)
        if self.path == "/clip.mp4":
            self.send_header("Content-Length", str(len(self.clip)))
            self.end_headers()
            self.wfile.write(self.clip)
            return
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        self.end_headers()
        for data in self.pictures:
            head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            self.wfile.write(head.encode() + data + b"\r\n")


@pytest.fixture
def web_camera(clip, elpv_photos, monkeypatch):
    """An address that serves the clip, and photographs as a network camera does (MJPEG)."""
    pictures = []
    for file in elpv_photos:
        buffer = io.BytesIO()
        Image.open(file).convert("RGB").save(buffer, "JPEG", quality=95)
        pictures.append(buffer.getvalue())
    monkeypatch.setattr(_Camera, "clip", clip.read_bytes())
    monkeypatch.setattr(_Camera, "pictures", tuple(pictures))
    for proxy in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Camera) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_network_camera(web_camera, elpv_photos):
    frames = []
    with open_source(f"{web_camera}/live", camera=AT_ONCE) as source:
        assert source.live
        with pytest.raises(EdgeFgirError, match="live stopped delivering frames after 12"):
            frames.extend(source)
    times = [f.timestamp for f in frames]
    assert times == sorted(times)
    assert np.abs(frames[-1].pixels.astype(int) - photo(elpv_photos[-1])).mean() < 4


def test_a_video_file_on_the_network_may_end(web_camera):
    with open_source(f"{web_camera}/clip.mp4") as source:
        assert [f.index for f in source] == list(range(12))
