"""OpenCV, which is optional: frames from cameras, streams and video files."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import NamedTuple

from edge_fgir._errors import MissingExtraError
from edge_fgir.runtime.preprocess import Pixels
from edge_fgir.runtime.sources.options import CameraOptions

_CLOSE_S = 1.0
_SILENT = 0
_MAX_FPS = 1000.0


class Shot(NamedTuple):
    """One picture as OpenCV gave it."""

    pixels: Pixels
    position: float
    """Presentation time, seconds."""
    arrival: float
    """``time.monotonic()`` when the driver handed it over, before decoding."""


class Capture:
    """OpenCV's ``VideoCapture``, made safe to close while another thread reads."""

    def __init__(self, target: int | str, purpose: str, settings: Sequence[int] = ()) -> None:
        self._cv2 = import_cv2(purpose)
        self._lock = threading.Lock()
        self.closed = threading.Event()
        with quiet(self._cv2):
            self._video = self._cv2.VideoCapture(target, self._cv2.CAP_ANY, settings)
            # A phone's portrait video says in its header which way up it is; OpenCV 4.11 turns it
            # only when asked (opencv issue 26876).
            self._video.set(self._cv2.CAP_PROP_ORIENTATION_AUTO, 1)

    @property
    def is_open(self) -> bool:
        """Whether there is anything to read."""
        return bool(self._video.isOpened())

    @property
    def fps(self) -> float | None:
        """Frames a second; None where none are stated, or nonsense."""
        fps = float(self._video.get(self._cv2.CAP_PROP_FPS))
        return fps if 0 < fps <= _MAX_FPS else None

    @property
    def is_finite(self) -> bool:
        """Whether it is known where it ends: a file, also one on the network."""
        return bool(self._video.get(self._cv2.CAP_PROP_FRAME_COUNT) > 0)

    def ask(self, options: CameraOptions) -> tuple[int, int]:
        """Ask a camera for what the options say; return the width and height that it gives."""
        cv2 = self._cv2
        # The encoding decides which sizes and rates there are.
        if options.fourcc is not None:
            self._video.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter_fourcc(*options.fourcc))
        if options.width is not None:
            self._video.set(cv2.CAP_PROP_FRAME_WIDTH, options.width)
            self._video.set(cv2.CAP_PROP_FRAME_HEIGHT, options.height)
        if options.fps is not None:
            self._video.set(cv2.CAP_PROP_FPS, options.fps)
        sides = (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        width, height = (round(self._video.get(side)) for side in sides)
        return width, height

    def read(self) -> Shot | None:
        """Return the next frame; None at the end, after an error and once closed."""
        with self._lock:
            if self.closed.is_set() or not self._video.grab():
                return None
            arrival = time.monotonic()
            position = self._video.get(self._cv2.CAP_PROP_POS_MSEC) / 1e3
            whole, pixels = self._video.retrieve()
            return Shot(pixels, position, arrival) if whole else None

    def close(self) -> None:
        """Free the capture; a read that hangs is not waited for longer than a second."""
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
