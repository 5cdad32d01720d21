"""Pictures of a folder, one after another."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np

from edge_fgir._errors import InputError
from edge_fgir.runtime.frames import Frame
from edge_fgir.runtime.images import read_image
from edge_fgir.runtime.picture_files import FoundPicture
from edge_fgir.runtime.preprocess import Pixels
from edge_fgir.runtime.sources.source import Source


class Pictures(Source):
    """Picture files in the order given; those out of reach or unreadable are its ``problems``."""

    live = False
    fps: float | None = None

    def __init__(self, found: Sequence[FoundPicture], convert: bool, strict: bool) -> None:
        self._found = found
        self._convert, self._strict = convert, strict
        self.problems: list[tuple[int, InputError]] = []
        self._closed = False

    def __iter__(self) -> Iterator[Frame]:
        start = time.monotonic()
        for index, one in enumerate(self._found):
            if self._closed:
                return
            try:
                rgb = self._read(one)
            except InputError as error:
                if self._strict:
                    raise
                self.problems.append((index, error))
                continue
            bgr = np.ascontiguousarray(rgb[..., ::-1])
            yield Frame(bgr, index, time.monotonic() - start)

    def _read(self, one: FoundPicture) -> Pixels:
        if one.problem is not None:
            raise one.problem
        return read_image(one.path, convert=self._convert)

    def close(self) -> None:
        """End the iteration."""
        self._closed = True
