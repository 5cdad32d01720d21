"""What an app hands to ``stream`` as a source: a list, a generator, its own camera, a path."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edge_fgir._errors import InputError
from edge_fgir.runtime.frames import Frame
from edge_fgir.runtime.images import read_image, to_rgb
from edge_fgir.runtime.preprocess import Pixels
from edge_fgir.runtime.sources.opencv import import_cv2
from edge_fgir.runtime.sources.opening import open_source
from edge_fgir.runtime.sources.source import Source

_EXPECTED = "frames: a Source, a list, a generator, a cv2.VideoCapture, or the path of a video"


def given_source(given: object, convert: bool = True) -> Source:
    """Return anything that gives frames as a source.

    Live, and so dropped from, is only what says so: a source with ``live`` (a camera, a network
    stream, a video played with ``realtime``) and a ``cv2.VideoCapture`` of a camera or stream.
    Lists, arrays and generators are not: each of their frames is answered.

    Args:
        given: A :class:`Source`; an iterable of frames, BGR arrays, Pillow images or paths of
            pictures; a ``cv2.VideoCapture``, which stays the caller's to release; or what
            :func:`open_source` takes.
        convert: For paths of pictures: as of :func:`open_source`.

    Raises:
        InputError: It gives no frames.
    """
    if isinstance(given, str | Path):
        return open_source(given, convert=convert)
    if isinstance(given, np.ndarray) and given.ndim < 4:
        raise InputError(
            f"one array of shape {given.shape} as the source", _EXPECTED, "write stream([frame])"
        )
    if all(hasattr(given, name) for name in ("isOpened", "read", "get")):
        return _OpenedCapture(given)
    if isinstance(given, Iterable) and not isinstance(given, bytes | dict):
        return _Given(given, convert)
    raise InputError(f"a {type(given).__name__} as the source", _EXPECTED)


class _Given(Source):
    """Items of any iterable as frames; what it says of itself (``live``, ``fps``) is kept."""

    def __init__(self, items: Iterable[Any], convert: bool) -> None:
        self._items, self._convert = items, convert
        self.live = bool(getattr(items, "live", False))
        self.fps: float | None = getattr(items, "fps", None)

    @property
    def problems(self) -> Sequence[tuple[int, InputError]]:  # type: ignore[override]
        return getattr(self._items, "problems", ())

    def __iter__(self) -> Iterator[Frame]:
        start = time.monotonic()
        for index, item in enumerate(self._items):
            if isinstance(item, Frame):
                yield item
            else:
                yield Frame(_pixels(item, self._convert), index, time.monotonic() - start)

    def close(self) -> None:
        close = getattr(self._items, "close", None)
        if callable(close):
            close()


def _pixels(item: Any, convert: bool) -> Pixels:
    if isinstance(item, str | Path):
        item = read_image(Path(item), convert=convert)
    elif isinstance(item, Image.Image):
        item = to_rgb(item)
    else:
        pixels: Pixels = item
        return pixels
    return np.ascontiguousarray(item[..., ::-1])


class _OpenedCapture(Source):
    """A ``cv2.VideoCapture`` that the caller opened and will release."""

    def __init__(self, capture: Any) -> None:
        cv2 = import_cv2("reading a cv2.VideoCapture")
        if not capture.isOpened():
            raise InputError("a cv2.VideoCapture that is not open", "an opened one")
        self._capture = capture
        self._closed = False
        self.live = not capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0
        self.fps: float | None = capture.get(cv2.CAP_PROP_FPS) or None

    def __iter__(self) -> Iterator[Frame]:
        start = time.monotonic()
        index = 0
        while not self._closed:
            whole, pixels = self._capture.read()
            if not whole:
                return
            yield Frame(pixels, index, time.monotonic() - start)
            index += 1

    def close(self) -> None:
        self._closed = True
