"""Frames of a camera or network stream, through OpenCV."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from itertools import count

from edge_fgir._errors import EdgeFgirError, InputError
from edge_fgir.runtime.frames import Frame
from edge_fgir.runtime.sources.opencv import Capture
from edge_fgir.runtime.sources.options import CameraOptions
from edge_fgir.runtime.sources.source import Source

_LOG = logging.getLogger("edge_fgir.sources")


class Camera(Source):
    """A camera or network stream until it ends, which is an error where nobody closed it.

    Args:
        target: What OpenCV opens.
        name: For messages.
        remedy: What to do where it cannot be opened.
        settings: OpenCV's, keys and values in turn.
        options: What is asked of a camera.

    Raises:
        InputError: It cannot be opened.
    """

    live = True

    def __init__(
        self,
        target: int | str,
        name: str,
        remedy: str,
        settings: Sequence[int] = (),
        options: CameraOptions | None = None,
    ) -> None:
        self._name = name
        self._capture = Capture(target, f"reading {name}", settings)
        if not self._capture.is_open:
            raise InputError(
                f"{name} cannot be opened",
                "a reachable camera that no other program holds",
                remedy,
            )
        if options is not None and options.is_of_camera:
            given, asked = self._capture.ask(options), (options.width, options.height)
            if options.width is not None and given != asked:
                _LOG.warning("%s gives %d x %d pixels, asked for %d x %d", name, *given, *asked)
        self.fps = self._capture.fps

    def __iter__(self) -> Iterator[Frame]:
        start = time.monotonic()
        for index in count():
            shot = self._capture.read()
            if shot is None:
                break
            yield Frame(shot.pixels, index, shot.arrival - start, arrived=shot.arrival)
        if not self._capture.closed.is_set() and not self._capture.is_finite:
            raise EdgeFgirError(
                f"{self._name} stopped delivering frames after {index}; check cable or connection"
            )

    def close(self) -> None:
        """Free the camera, and end the iteration."""
        self._capture.close()
