"""Live sources that fail: they hang, end, do not open, and come back."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pytest

from edge_fgir import EdgeFgirError, InputError
from edge_fgir.runtime import CameraOptions, Frame
from edge_fgir.runtime.sources import steady
from edge_fgir.runtime.sources.source import Source
from edge_fgir.runtime.sources.steady import Steady

pytestmark = pytest.mark.unit

WAIT_S = 5.0
"""Bound of every wait, so that a broken source fails instead of hanging."""
STALL_S = 0.1


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(steady, "_FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(steady, "_RETRY_S", 0.02)
    monkeypatch.setattr(steady, "_EXIT_S", 0.5)


def threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "edge-fgir-camera"]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    deadline = time.monotonic() + WAIT_S
    while threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not threads()


class Played(Source):
    """A camera that does what its script says: a number of frames, then how it ends."""

    live = True
    fps: float | None = 25.0

    def __init__(self, frames: int, ends: Callable[[], object]) -> None:
        self.frames, self.ends = frames, ends
        self.closed = False

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.frames):
            yield Frame(np.full((2, 2, 3), index, np.uint8), index, 0.0)
        self.ends()

    def close(self) -> None:
        self.closed = True


def unplugged() -> None:
    raise EdgeFgirError("cable pulled")


class Camera:
    """Opens one script after another; the last one ends quietly, as a file on the network does."""

    def __init__(self, *scripts) -> None:
        self.scripts = list(scripts)
        self.opened: list[Played] = []

    def __call__(self) -> Source:
        script = self.scripts.pop(0)
        if isinstance(script, Exception):
            raise script
        frames, ends = script
        self.opened.append(Played(frames, ends))
        return self.opened[-1]


def quietly() -> None:
    pass


OPTIONS = CameraOptions(stall_s=STALL_S)


def test_frames_pass_with_their_pixels():
    with Steady("camera 0", Camera((5, quietly)), OPTIONS) as source:
        assert (source.live, source.fps) == (True, 25)
        frames = list(source)
    assert [f.index for f in frames] == list(range(5))
    assert [int(f.pixels[0, 0, 0]) for f in frames] == list(range(5))
    assert all(one.timestamp <= other.timestamp for one, other in pairwise(frames))


def test_a_lost_camera_is_opened_again(caplog):
    camera = Camera((2, unplugged), InputError("busy"), InputError("busy"), (3, quietly))
    with caplog.at_level(logging.WARNING), Steady("camera 0", camera, OPTIONS) as source:
        assert [f.index for f in source] == [0, 1, 2, 3, 4]
        assert source.outages == 1
    assert [r.getMessage().split(" after")[0] for r in caplog.records] == [
        "cable pulled; trying again",
        "camera 0 is back",
    ]
    assert all(one.closed for one in camera.opened)


def test_a_read_that_hangs_is_left_behind(caplog):
    back = threading.Event()
    camera = Camera((2, lambda: back.wait(WAIT_S)), (2, quietly))
    start = time.monotonic()
    with Steady("camera 0", camera, OPTIONS) as source:
        assert [f.index for f in source] == [0, 1, 2, 3]
    assert time.monotonic() - start < WAIT_S / 2
    assert "camera 0 gives nothing for 0.1 s; trying again" in caplog.text
    assert not camera.opened[0].closed  # its thread is still in the driver
    back.set()


def test_hanging_threads_do_not_pile_up():
    back = threading.Event()
    scripts = [(1, lambda: back.wait(WAIT_S))] * 50
    with Steady("camera 0", Camera(*scripts), OPTIONS) as source:
        frames = iter(source)
        for _ in range(4):
            next(frames)
        threading.Timer(4 * STALL_S, source.close).start()
        assert list(frames) == []
        assert len(threads()) <= 4
    back.set()


def test_the_first_opening_is_not_tried_again():
    with pytest.raises(InputError, match="busy"):
        Steady("camera 0", Camera(InputError("busy")), OPTIONS)


def test_an_opening_that_hangs_is_an_error(monkeypatch):
    monkeypatch.setattr(steady, "_EXIT_S", 0.01)
    back = threading.Event()

    def hangs() -> Source:
        back.wait(WAIT_S)
        return Played(0, quietly)

    with pytest.raises(InputError, match=r"camera 0 did not open within 0\.1 s"):
        Steady("camera 0", hangs, OPTIONS)
    back.set()


@pytest.mark.parametrize(("patience_s", "tries"), [(0, 1), (0.05, 3)])
def test_patience_ends(patience_s, tries):
    camera = Camera((1, unplugged), *[InputError("busy")] * 100)
    options = CameraOptions(stall_s=STALL_S, patience_s=patience_s)
    with (
        Steady("camera 0", camera, options) as source,
        pytest.raises(EdgeFgirError, match="cable pulled" if tries == 1 else "busy; it was tried"),
    ):
        list(source)
    assert 100 - len(camera.scripts) + 1 >= tries


def test_closing_ends_a_wait_at_once():
    back = threading.Event()
    options = CameraOptions(stall_s=60)
    source = Steady("camera 0", Camera((1, lambda: back.wait(WAIT_S))), options)
    frames = iter(source)
    next(frames)
    threading.Timer(0.05, source.close).start()
    start = time.monotonic()
    assert list(frames) == []
    assert time.monotonic() - start < WAIT_S / 2
    back.set()


def test_an_hour_of_trouble():
    """A thousand failures of every kind: no frame is doubled or lost, and no thread stays."""
    random = np.random.default_rng(0)
    scripts, expected = [], 0
    for _ in range(1000):
        if scripts and random.random() < 0.3:
            scripts.append(InputError("busy"))
        else:
            frames = int(random.integers(0, 4))
            scripts.append((frames, unplugged))
            expected += frames
    scripts.append((1, quietly))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steady, "_FIRST_RETRY_S", 0.0)
        patch.setattr(steady, "_RETRY_S", 0.0)
        with Steady("camera 0", Camera(*scripts), OPTIONS) as source:
            assert [f.index for f in source] == list(range(expected + 1))
            assert source.outages > 300


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"width": 640}, "width and height are given together"),
        ({"fourcc": "mjpeg"}, "pattern"),
        ({"stall_s": 0}, "greater than 0"),
    ],
)
def test_options_are_checked(values, rule):
    with pytest.raises(ValueError, match=rule):
        CameraOptions(**values)
