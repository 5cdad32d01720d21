"""Frames of a video file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from edge_fgir._errors import InputError
from edge_fgir.runtime.frames import Frame
from edge_fgir.runtime.sources.opencv import Capture
from edge_fgir.runtime.sources.source import Source

_FALLBACK_FPS = 25.0
# FFmpeg takes these for terminal output and draws the text as a video.
_TEXT_SUFFIXES = frozenset({".txt", ".asc", ".ans", ".nfo", ".diz"})


class VideoFile(Source):
    """A video file, as fast as it is asked for, or at its own pace as a camera would deliver it."""

    def __init__(self, path: Path, realtime: bool) -> None:
        self.live = realtime
        self._capture = Capture(str(path), f"reading {path}")
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
        """Free the file, and end the iteration."""
        self._capture.close()
