"""A Raspberry Pi's own camera, through picamera2."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count
from typing import Any

from edge_fgir._errors import InputError
from edge_fgir.runtime.frames import Frame
from edge_fgir.runtime.sources.options import CameraOptions
from edge_fgir.runtime.sources.source import Source

_SIZE = (1280, 720)
# libcamera names formats as a number in memory: its RGB888 are bytes in the order blue, green, red.
_BGR = "RGB888"


class PiCamera(Source):
    """Frames of a Pi's camera.

    Args:
        number: Which camera, from 0.
        options: ``width``, ``height`` and ``fps``.

    Raises:
        InputError: picamera2 is missing, or there is no such camera.
    """

    live = True

    def __init__(self, number: int, options: CameraOptions) -> None:
        self.fps = options.fps
        self._camera = _open(number)
        size = (options.width, options.height) if options.width is not None else _SIZE
        controls = {} if options.fps is None else {"FrameRate": options.fps}
        layout = self._camera.create_video_configuration(
            main={"size": size, "format": _BGR}, controls=controls
        )
        self._camera.configure(layout)
        self._camera.start()
        self._closed = False

    def __iter__(self) -> Iterator[Frame]:
        start = time.monotonic()
        for index in count():
            if self._closed:
                return
            pixels = self._camera.capture_array("main")
            arrived = time.monotonic()
            yield Frame(pixels, index, arrived - start, arrived=arrived)

    def close(self) -> None:
        """Free the camera, and end the iteration."""
        if not self._closed:
            self._closed = True
            self._camera.stop()
            self._camera.close()


def _open(number: int) -> Any:
    try:
        from picamera2 import Picamera2
    except ImportError as error:
        raise InputError(
            "picamera2 is not here",
            "the system's: apt install python3-picamera2",
            "make the environment with python3 -m venv --system-site-packages",
        ) from error
    try:
        return Picamera2(number)
    except (IndexError, RuntimeError) as error:
        raise InputError(
            f"camera {number} cannot be opened by picamera2 ({error})",
            "a camera that rpicam-hello --list-cameras lists",
        ) from error
