"""Frames of a camera or network stream, through OpenCV."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import count

from edge_fgir._errors import EdgeFgirError, InputError
from edge_fgir.runtime.frames import Frame
from edge_fgir.runtime.sources.opencv import Capture
from edge_fgir.runtime.sources.source import Source


class Camera(Source):
    """A camera or network stream until it ends, which is an error where nobody closed it."""

    live = True

    def __init__(
        self, target: int | str, name: str, remedy: str, settings: Sequence[int] = ()
    ) -> None:
        self._name = name
        self._capture = Capture(target, f"reading {name}", settings)
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
            yield Frame(shot.pixels, index, shot.arrival - start, arrived=shot.arrival)
        if not self._capture.closed.is_set() and not self._capture.is_finite:
            raise EdgeFgirError(
                f"{self._name} stopped delivering frames after {index}; check cable or connection"
            )

    def close(self) -> None:
        """Free the camera, and end the iteration."""
        self._capture.close()
