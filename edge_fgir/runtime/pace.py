"""Which of several models keeps up: down when frames are late or the device throttles, up when it
has cooled and there is time again."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from threading import Lock

from edge_fgir._errors import InputError

_LOG = logging.getLogger("edge_fgir.pace")

_FEWEST = 5
"""Frames that a decision rests on, at least."""


@dataclass(frozen=True)
class PaceOptions:
    """When another model takes over.

    Attributes:
        target_fps: Frames a second that are to be answered; a frame that takes longer is late.
        late_share: A smaller model takes over where more of the last frames were late.
        settle_s: Frames of so long decide, and no change follows another one sooner, s.
        hold_s: A larger model is tried so long after any change at the soonest, s. It doubles each
            time the trial fails, and is this again after one that did not.
        longest_hold_s: What it doubles to at most, s.
        believed_s: How long the time that a larger model took when it was left speaks against
            another trial, s, if the model has been in time before; if it never was, once for
            ``longest_hold_s``, and for good from then on.
        spare: A larger model is tried where it would take at most this share of a frame's time; one
            that takes more is left when the device throttles, before frames are late.
        look_s: How often the device is asked whether it throttles, s.
    """

    target_fps: float
    late_share: float = 0.2
    settle_s: float = 1.0
    hold_s: float = 10.0
    longest_hold_s: float = 600.0
    believed_s: float = 60.0
    spare: float = 0.85
    look_s: float = 5.0

    def __post_init__(self) -> None:
        if not 0 < self.target_fps <= 1000:
            raise InputError(f"target_fps {self.target_fps}", "a number up to 1000")


class Pace:
    """Chooses among models by the time that their answers take.

    How much longer the next larger model takes is known from when it was left: both were timed
    within a moment, so that heat and other work count alike. Where other work ended in that very
    moment, it counted for the larger one alone: so what is known is doubted after a while, and the
    larger one tried all the same.

    Args:
        names: Of the models, the best first, each faster than the one before.
        options: When to change.
        throttled: Says what slows the device down; None: nothing does, or it cannot be told.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        options: PaceOptions,
        throttled: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._names, self._options = names, options
        self._throttled = throttled
        self._looked_at: float | None = None
        self._slowed_by: str | None = None
        self._budget_s = 1 / options.target_fps
        self._spared_s = options.spare * self._budget_s
        self._lock = Lock()
        self._recent: deque[tuple[float, float]] = deque(maxlen=1000)
        self._since: float | None = None
        self._hold_s = options.hold_s
        self._left_s: float | None = None  # the larger model's time when it was left
        self._ratios: dict[int, float] = {}  # of a level's time to that of the next
        self._in_time: set[int] = set()  # levels that have answered with time to spare
        self._confirmed: set[int] = set()  # levels that were late in a trial too
        self._rose = False
        self.level = 0
        """The model that answers the next frame: 0 is the best."""

    def update(self, now_s: float, busy_s: float) -> int:
        """Count a frame that took ``busy_s`` until ``now_s``, and return the level from now on."""
        with self._lock:
            if self._since is None:
                self._since = now_s
            self._recent.append((now_s, busy_s))
            if busy_s <= self._spared_s:
                self._in_time.add(self.level)
            earliest = now_s - self._options.settle_s
            while len(self._recent) > _FEWEST and self._recent[0][0] < earliest:
                self._recent.popleft()
            quiet_s = now_s - self._since
            if quiet_s >= self._options.settle_s and len(self._recent) >= _FEWEST:
                self._decide(now_s, quiet_s)
            return self.level

    def _decide(self, now_s: float, quiet_s: float) -> None:
        options = self._options
        times = [busy for _, busy in self._recent]
        typical, late = median(times), [busy for busy in times if busy > self._budget_s]
        if self._left_s is not None:
            self._ratios[self.level - 1] = max(self._left_s / typical, 1.0)
            self._left_s = None
        slowed = self._slowed(now_s)
        if self._rose and quiet_s >= self._hold_s:  # the trial went well
            self._rose, self._hold_s = False, options.hold_s
        if len(late) > options.late_share * len(times) and self.level + 1 < len(self._names):
            if self._rose:
                self._hold_s = min(2 * self._hold_s, options.longest_hold_s)
                self._confirmed.add(self.level)
            # The earlier ones may be of a cooler time.
            self._left_s = median(late)
            why = f"{len(late)} of {len(times)} frames were late"
            self._change(now_s, self.level + 1, why)
        elif slowed and typical > self._spared_s:
            if self.level + 1 < len(self._names):
                self._left_s = typical
                self._change(now_s, self.level + 1, f"the device throttles ({slowed})")
        elif self.level and quiet_s >= self._hold_s and not late and not slowed:
            larger = self.level - 1
            expected = typical * self._ratios[larger]
            if expected <= self._spared_s or self._is_doubted(larger, quiet_s):
                self._change(now_s, larger, "there is time again")

    def _is_doubted(self, larger: int, quiet_s: float) -> bool:
        """Say whether what is known of a larger model may be of another time."""
        if larger in self._in_time:
            return quiet_s >= self._options.believed_s
        return quiet_s >= self._options.longest_hold_s and larger not in self._confirmed

    def _slowed(self, now_s: float) -> str | None:
        """Return what slows the device down, as of the last look."""
        if self._looked_at is None or now_s - self._looked_at >= self._options.look_s:
            self._looked_at, self._slowed_by = now_s, self._throttled()
        return self._slowed_by

    def _change(self, now_s: float, level: int, why: str) -> None:
        self._rose = level < self.level
        self.level, self._since = level, now_s
        self._recent.clear()
        _LOG.warning("%s: %s answers from now on", why, self._names[level])
