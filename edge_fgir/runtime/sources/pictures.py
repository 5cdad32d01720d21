"""Pictures of a folder, one after another."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from edge_fgir._errors import InputError
from edge_fgir.runtime.frames import Frame
from edge_fgir.runtime.images import read_image
from edge_fgir.runtime.sources.source import Source


class Pictures(Source):
    """Picture files in the order given; those that cannot be read are its ``problems``."""

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
        """End the iteration."""
        self._closed = True
