"""One picture of a stream, and what becomes of those that nobody has time for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from edge_fgir.runtime.preprocess import Pixels

Drop = Literal["oldest", "none"]


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a stream.

    Attributes:
        pixels: (H, W, 3) ``uint8``, BGR.
        index: Its number in the source, from 0; dropped frames count.
        timestamp: Seconds since the source's start: of arrival, or of presentation in a video file.
        dropped: Frames lost between the one delivered before and this one.
    """

    pixels: Pixels = field(repr=False)
    index: int
    timestamp: float
    dropped: int = 0
