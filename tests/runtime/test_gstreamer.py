"""GStreamer pipelines and an RTSP server, with the system's own parts where they are installed."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from edge_fgir import InputError
from edge_fgir.runtime import CameraOptions, open_source

SYSTEM = Path("/usr/lib/python3/dist-packages")
PYTHON = Path("/usr/bin/python3")
_BACK_WITHIN_S = 3.0

# The bindings' own, on newer Pythons than they know.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore::{kind}")
    for kind in ("ImportWarning", "DeprecationWarning", "PendingDeprecationWarning")
]


@pytest.fixture
def gstreamer(monkeypatch):
    """The system's bindings, which an environment of its own does not see by itself."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(SYSTEM)])
    gi = pytest.importorskip("gi", reason="python3-gi of this Python is not installed")
    try:
        gi.require_version("Gst", "1.0")
    except (ValueError, AttributeError):
        pytest.skip("gir1.2-gstreamer-1.0 is not installed")


@pytest.mark.export
def test_a_pipeline_is_a_camera(gstreamer):
    layout = "video/x-raw,width=322,height=40,framerate=30/1"
    with open_source(f"gst:videotestsrc is-live=true pattern=blue ! {layout}") as source:
        assert (source.live, source.fps) == (True, 30)
        frame = next(iter(source))
    assert frame.pixels.shape == (40, 322, 3)
    assert frame.pixels.reshape(-1, 3).mean(axis=0) == pytest.approx((255, 0, 0), abs=8)


@pytest.mark.export
def test_a_pipeline_of_a_file_ends(gstreamer):
    with open_source("gst:videotestsrc num-buffers=5") as source:
        assert 1 <= len(list(source)) <= 5
        assert source.outages == 0


@pytest.mark.export
def test_a_camera_or_stream_that_ends_is_opened_again(gstreamer):
    """As a network camera ends its stream before it restarts."""
    with open_source("gst:videotestsrc is-live=true num-buffers=5") as source:
        frames = iter(source)
        while source.outages < 2:
            last = next(frames)
    assert last.index >= 2


@pytest.mark.export
@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        ("nosuchthing", "nosuchthing"),
        ("filesrc location=/missing ! decodebin", "missing"),
        ("rtspsrc location=rtsp://me:secret@127.0.0.1:1/x ! decodebin", r"\*\*\*@127"),
        ("rtspsrc location=rtsp://127.0.0.1:1/x?key=secret ! decodebin", r"127.0.0.1:1/x\?\*"),
        ("rtspsrc user-pw=secret location=rtsp://127.0.0.1:1/x ! decodebin", r"user-pw=\*\*\*"),
    ],
)
def test_a_pipeline_that_does_not_start_is_refused(gstreamer, pipeline, message):
    with pytest.raises(InputError, match=message) as caught:
        open_source(f"gst:{pipeline}")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.unit
def test_without_the_bindings_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gi", None)
    with pytest.raises(InputError, match=r"apt install python3-gi .*--system-site-packages"):
        open_source("gst:videotestsrc")


class FakePiCamera:
    """Stands for picamera2's: it gives pictures in the order blue, green, red."""

    opened: ClassVar[list[FakePiCamera]] = []

    def __init__(self, number: int) -> None:
        if number > 0:
            raise IndexError("list index out of range")
        self.closed = False
        self.opened.append(self)

    def create_video_configuration(self, main, controls):
        return {"main": main, "controls": controls}

    def configure(self, layout):
        self.layout = layout

    def start(self):
        self.started = True

    def capture_array(self, name):
        assert self.started
        time.sleep(0.001)
        width, height = self.layout["main"]["size"]
        return np.full((height, width, 3), (250, 0, 0), np.uint8)

    def stop(self):
        self.started = False

    def close(self):
        self.closed = True


@pytest.mark.unit
def test_a_pis_own_camera(monkeypatch):
    monkeypatch.setitem(sys.modules, "picamera2", SimpleNamespace(Picamera2=FakePiCamera))
    options = CameraOptions(width=64, height=48, fps=15)
    with open_source("picamera2:0", camera=options) as source:
        frame = next(iter(source))
        assert source.fps == 15
    assert frame.pixels.shape == (48, 64, 3)
    assert FakePiCamera.opened[-1].layout["controls"] == {"FrameRate": 15}
    assert FakePiCamera.opened[-1].layout["main"]["format"] == "RGB888"
    deadline = time.monotonic() + 5
    while not FakePiCamera.opened[-1].closed and time.monotonic() < deadline:
        time.sleep(0.01)
    assert FakePiCamera.opened[-1].closed
    with pytest.raises(InputError, match="camera 7 cannot be opened by picamera2"):
        open_source("picamera2:7")
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(InputError, match="apt install python3-picamera2"):
        open_source("picamera2:0")


_SERVER = """
import sys
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
if len(sys.argv) == 1:
    parts = ("videotestsrc", "jpegenc", "rtpjpegpay")
    sys.exit(", ".join(part for part in parts if not Gst.ElementFactory.find(part)) or 0)
server = GstRtspServer.RTSPServer(address="127.0.0.1", service=sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    "( videotestsrc is-live=true ! video/x-raw,format=I420,width=160,height=120,framerate=25/1 "
    "! jpegenc ! rtpjpegpay name=pay0 )"
)
server.get_mount_points().add_factory("/garden", factory)
server.attach(None)
print("ready", flush=True)
GLib.MainLoop().run()
"""


@pytest.fixture
def rtsp_server() -> Iterator[Callable[[], subprocess.Popen]]:
    """A function that starts GStreamer's RTSP server, on the same port every time."""
    pytest.importorskip("cv2")
    if not PYTHON.exists():
        pytest.skip("there is no Python of the system")
    tried = subprocess.run([PYTHON, "-c", _SERVER], capture_output=True, text=True, check=False)
    if tried.returncode:
        reason = tried.stderr.strip().splitlines()[-1]
        pytest.skip(f"gir1.2-gst-rtsp-server-1.0 and gstreamer1.0-plugins-good: {reason}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running: list[subprocess.Popen] = []

    def start() -> subprocess.Popen:
        process = subprocess.Popen(
            [PYTHON, "-c", _SERVER, str(port)], stdout=subprocess.PIPE, text=True
        )
        running.append(process)
        assert process.stdout.readline() == "ready\n"
        process.address = f"rtsp://127.0.0.1:{port}/garden"  # type: ignore[attr-defined]
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.slow
def test_a_server_that_is_killed_is_found_within_three_seconds_of_its_return(rtsp_server):
    server = rtsp_server()
    returned: list[float] = []

    def come_back() -> None:
        deadline = time.monotonic() + 20
        while source.outages == 0 and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(4)  # long enough for the pauses between tries to have grown
        rtsp_server()
        returned.append(time.monotonic())

    with open_source(server.address, camera=CameraOptions(stall_s=5)) as source:
        frames = iter(source)
        assert next(frames).pixels.shape == (120, 160, 3)
        server.kill()
        server.wait()
        rescue = threading.Thread(target=come_back)
        rescue.start()
        indexes = []
        for frame in frames:  # what was on its way still arrives
            indexes.append(frame.index)
            if returned:
                break
        rescue.join()
    assert source.outages == 1
    assert frame.arrived - returned[0] < _BACK_WITHIN_S
    assert indexes == list(range(1, len(indexes) + 1))
