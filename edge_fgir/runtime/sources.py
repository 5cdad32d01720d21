"""Where frames come from: a camera, a network stream, a video file, a folder of pictures."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from edge_fgir._errors import EdgeFgirError, InputError, MissingExtraError
from edge_fgir.runtime.frames import Frame
from edge_fgir.runtime.images import read_image
from edge_fgir.runtime.picture_files import find_pictures, is_picture
from edge_fgir.runtime.preprocess import Pixels

_Self = TypeVar("_Self", bound="Source")

_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtp", "srt", "udp", "tcp", "http", "https")
_CAMERA_HELP = "see which there are: ls -l /dev/video*"
_NETWORK_HELP = "check address, password and network, for example with: ffplay ADDRESS"
_NETWORK_TIMEOUT_MS = 10_000
_CLOSE_S = 1.0
_SILENT = 0
_FALLBACK_FPS = 25.0
_MAX_FPS = 1000.0
# Longer numbers are names, of a day's folder for example: 20260131.
_CAMERA_NUMBER = re.compile(r"\d{1,4}")
# FFmpeg takes these for terminal output and draws the text as a video.
_TEXT_SUFFIXES = frozenset({".txt", ".asc", ".ans", ".nfo", ".diz"})


class Source(Protocol):
    """Frames, once through. ``close()`` may be called from any thread and ends the iteration.

    Attributes:
        live: Frames come at their own pace, whether somebody is ready for them or not.
        fps: Frames a second as the file or driver states them; None where none are stated.
        problems: Numbers of the frames that could not be read, and what is wrong with them.
    """

    live: bool
    fps: float | None
    problems: Sequence[tuple[int, InputError]] = ()

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None:
        """Free the camera, connection or file."""

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_source(
    source: str | Path, realtime: bool = False, *, convert: bool = True, strict: bool = False
) -> Source:
    """Open a camera, network stream, video file, picture or folder of pictures.

    Example::

        import edge_fgir as ef

        with ef.Classifier.open("birds.fgir") as model:
            for result in model.stream(ef.open_source("photos/test/red_leaf")):
                print(result.frame.index, result.label, result.score)

    Args:
        source: A camera's number (``"0"``) or device file, an address such as ``rtsp://...``, or a
            path. Folders are read in name order.
        realtime: Play a video file at its own frame rate, as a camera would deliver it.
        convert: For pictures: convert turned, transparent, 16-bit or CMYK files (see ``images``);
            otherwise they cannot be used.
        strict: For pictures: one that cannot be used is an error, not left out.

    Raises:
        InputError: It does not exist, cannot be opened, or holds no frames; or ``realtime`` is
            asked for pictures, which have no frame rate.
        MissingExtraError: It needs OpenCV (all but pictures do) and that is not installed.
    """
    text = str(source)
    if isinstance(source, str) and _CAMERA_NUMBER.fullmatch(text):
        return _Camera(int(text), f"camera {text}", f"{_CAMERA_HELP}, or name a file ./{text}")
    if isinstance(source, str) and "://" in text:
        return _open_network(text)
    path = Path(source)
    if path.is_char_device():
        return _Camera(text, text, _CAMERA_HELP)
    if not path.exists():
        raise InputError(
            f"{path} does not exist",
            "a video, a picture, a folder of pictures, a camera's number or rtsp://...",
        )
    if not path.is_dir() and not is_picture(path):
        return _Video(path, realtime)
    if realtime:
        raise InputError(f"{path} has no frame rate", "a video file with --realtime")
    return _Pictures(find_pictures(path), convert, strict)


class _Pictures(Source):
    live = False
    fps: float | None = None

    def __init__(self, files: Sequence[Path], convert: bool, strict: bool) -> None:
        self._files = files
        self._convert, self._strict = convert, strict
        self.problems: list[tuple[int, InputError]] = []
        self._closed = False

    def __iter__(self) -> Iterator[Frame]:
        start = time.monotonic()
        for index, file in enumerate(self._files):
            if self._closed:
                return
            try:
                rgb = read_image(file, convert=self._convert)
            except InputError as error:
                if self._strict:
                    raise
                self.problems.append((index, error))
                continue
            bgr = np.ascontiguousarray(rgb[..., ::-1])
            yield Frame(bgr, index, time.monotonic() - start)

    def close(self) -> None:
        self._closed = True


class _Video(Source):
    def __init__(self, path: Path, realtime: bool) -> None:
        self.live = realtime
        self._capture = _Capture(str(path), f"reading {path}")
        self.fps = self._capture.fps
        # Containers open without a single whole frame inside: only reading tells.
        self._first = None if path.suffix.lower() in _TEXT_SUFFIXES else self._capture.read()
        if self._first is None:
            self.close()
            raise InputError(
                f"{path} is not a video OpenCV can read, or it holds no frames",
                "MP4, AVI, MKV or MOV",
                "play it, copy it again, or convert it with ffmpeg",
            )

    def __iter__(self) -> Iterator[Frame]:
        start = time.monotonic()
        shot, self._first = self._first, None
        step = 1 / (self.fps or _FALLBACK_FPS)
        timestamp = -step
        for index in count():
            if shot is None:
                return
            # Raw H.264 has no times inside: every position is 0 there.
            timed = shot.position > timestamp
            timestamp = shot.position if timed else timestamp + step
            due = start + timestamp if self.live else 0.0
            if self._capture.closed.wait(max(0.0, due - time.monotonic())):
                return
            yield Frame(shot.pixels, index, timestamp)
            shot = self._capture.read()

    def close(self) -> None:
        self._capture.close()


class _Camera(Source):
    live = True

    def __init__(
        self, target: int | str, name: str, remedy: str, settings: Sequence[int] = ()
    ) -> None:
        self._name = name
        self._capture = _Capture(target, f"reading {name}", settings)
        if not self._capture.is_open:
            raise InputError(
                f"{name} cannot be opened",
                "a reachable camera that no other program holds",
                remedy,
            )
        self.fps = self._capture.fps

    def __iter__(self) -> Iterator[Frame]:
        start = time.monotonic()
        for index in count():
            shot = self._capture.read()
            if shot is None:
                break
            yield Frame(shot.pixels, index, shot.arrival - start)
        if not self._capture.closed.is_set() and not self._capture.is_finite:
            raise EdgeFgirError(
                f"{self._name} stopped delivering frames after {index}; check cable or connection"
            )

    def close(self) -> None:
        self._capture.close()


def _open_network(address: str) -> _Camera:
    scheme, rest = address.split("://", 1)
    name = f"{scheme}://{re.sub(r'^[^/@]*@', '***@', rest)}"
    if scheme.lower() not in _SCHEMES:
        raise InputError(
            f"{name}: unknown kind of address",
            f"one of {', '.join(f'{known}://' for known in _SCHEMES)}",
            "name files by their path",
        )
    cv2 = import_cv2(f"reading {name}")
    timeouts = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC)
    settings = [number for key in timeouts for number in (key, _NETWORK_TIMEOUT_MS)]
    return _Camera(address, name, _NETWORK_HELP, settings)


class _Shot(NamedTuple):
    pixels: Pixels
    position: float
    """Presentation time, seconds."""
    arrival: float
    """``time.monotonic()`` when the driver handed it over, before decoding."""


class _Capture:
    """OpenCV's ``VideoCapture``, made safe to close while another thread reads."""

    def __init__(self, target: int | str, purpose: str, settings: Sequence[int] = ()) -> None:
        self._cv2 = import_cv2(purpose)
        self._lock = threading.Lock()
        self.closed = threading.Event()
        with quiet(self._cv2):
            self._video = self._cv2.VideoCapture(target, self._cv2.CAP_ANY, settings)

    @property
    def is_open(self) -> bool:
        return bool(self._video.isOpened())

    @property
    def fps(self) -> float | None:
        fps = float(self._video.get(self._cv2.CAP_PROP_FPS))
        return fps if 0 < fps <= _MAX_FPS else None

    @property
    def is_finite(self) -> bool:
        return bool(self._video.get(self._cv2.CAP_PROP_FRAME_COUNT) > 0)

    def read(self) -> _Shot | None:
        """Return the next frame; None at the end, after an error and once closed."""
        with self._lock:
            if self.closed.is_set() or not self._video.grab():
                return None
            arrival = time.monotonic()
            position = self._video.get(self._cv2.CAP_PROP_POS_MSEC) / 1e3
            whole, pixels = self._video.retrieve()
            return _Shot(pixels, position, arrival) if whole else None

    def close(self) -> None:
        self.closed.set()
        # A read that hangs on the network ends by its own timeout, and the capture goes with it.
        if self._lock.acquire(timeout=_CLOSE_S):
            self._video.release()
            self._lock.release()


def import_cv2(purpose: str) -> ModuleType:
    """Return OpenCV, which is optional.

    Raises:
        MissingExtraError: It is not installed; ``purpose`` says what it is needed for.
    """
    # Silences FFmpeg, which reads this once, when OpenCV first uses it.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError("opencv-python-headless", "camera", purpose) from error
    module: ModuleType = cv2
    return module


@contextmanager
def quiet(cv2: ModuleType) -> Iterator[None]:
    """Keep OpenCV from writing to stderr what our own error says."""
    logging = getattr(cv2.utils, "logging", cv2)  # OpenCV 5, and 4
    before = logging.getLogLevel()
    logging.setLogLevel(_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(before)
