"""One picture of a stream, and what becomes of those that nobody has time for."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Literal

from edge_fgir._errors import InputError
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
        arrived: ``time.monotonic()`` when this program got it; by default that of its making.
        arrived_at: The same by the wall clock, seconds since 1970 (UTC).

    Raises:
        InputError: The timestamp is not a finite number.
    """

    pixels: Pixels = field(repr=False)
    index: int
    timestamp: float
    dropped: int = 0
    arrived: float = field(default_factory=time.monotonic, repr=False)
    arrived_at: float = field(default_factory=time.time, repr=False)

    def __post_init__(self) -> None:
        if not math.isfinite(self.timestamp):
            raise InputError(
                f"frame {self.index} has the timestamp {self.timestamp}",
                "finite seconds since the start",
                "where the camera gives none, use time.monotonic() - start",
            )

    @property
    def age_s(self) -> float:
        """Seconds since it arrived."""
        return time.monotonic() - self.arrived
