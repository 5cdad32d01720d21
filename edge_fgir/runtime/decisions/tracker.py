"""``Tracker``: results of frames in, events of visits out."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_fgir._errors import InputError
from edge_fgir.runtime.decisions.event import Event, EventOptions, State
from edge_fgir.runtime.decisions.judge import Judge, Verdict
from edge_fgir.runtime.decisions.votes import Votes
from edge_fgir.runtime.preprocess import Region

if TYPE_CHECKING:
    from edge_fgir.runtime.result import Result

_SAME_PLACE = 0.3
"""Boxes of two frames are one thing's from this intersection over union."""
_FRAMES_KEPT = 4
"""Of a visit, each for another label."""


class Tracker:
    """Tells the visits of a camera apart and decides each once.

    A frame that the model does not know abstains: it opens no visit and prolongs none. The others
    vote (:class:`Votes`). A label is told after a few moments and kept until another one has been
    ahead for as many, so that a shaken camera does not make it flicker.

    Example::

        tracker = Tracker(model.judge)
        for result in model.stream("0"):
            for event in tracker.update(result):
                print(event.state, event.name, event.score)

    Args:
        judge: How probabilities are answered: ``Classifier.judge``.
        options: When visits begin and end.
    """

    def __init__(self, judge: Judge, options: EventOptions | None = None) -> None:
        self._judge = judge
        self._options = options or EventOptions()
        self._open: list[_Visit] = []
        self._count = 0

    def update(
        self, result: Result, *, track: str | int | None = None, box: Region | None = None
    ) -> list[Event]:
        """Take the result of a frame, or of what a detector cut out of it.

        Args:
            result: With its ``frame``, as :meth:`Classifier.stream` gives it.
            track: The detector's number or name for what it follows: one visit each.
            box: Where it was found, pixels. Without a track, overlapping boxes are one visit;
                without both, everything that one gap of time does not part.

        Returns:
            What was decided, changed or has ended with it; mostly nothing.

        Raises:
            InputError: The result has no frame.
        """
        if result.frame is None:
            raise InputError("a result without a frame", "one of Classifier.stream")
        now = result.frame.timestamp
        events = self._ended(now - self._options.gap_s)
        if not result.is_unknown:
            name = None if track is None else str(track)
            events += self._visit(name, box).add(result, box)
        return events

    def events(self, results: Generator[Result, None, None]) -> Generator[Event, None, None]:
        """Yield the events of a whole stream, and close it."""
        with closing(results):
            for result in results:
                yield from self.update(result)
            yield from self.finish()

    def finish(self) -> list[Event]:
        """End all visits, when no more frames come."""
        return self._ended(math.inf)

    def _ended(self, before: float) -> list[Event]:
        over = [visit for visit in self._open if visit.last < before]
        self._open = [visit for visit in self._open if visit.last >= before]
        return [visit.event("ended") for visit in over]

    def _visit(self, track: str | None, box: Region | None) -> _Visit:
        for visit in self._open:
            if visit.track == track and (track is not None or _overlap(visit.box, box)):
                return visit
        self._count += 1
        visit = _Visit(self._count, track, self._judge, self._options)
        self._open.append(visit)
        return visit


def _overlap(one: Region | None, other: Region | None) -> bool:
    """Say whether two boxes may be of one thing; no box may be anywhere."""
    if one is None or other is None:
        return one is other
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    common = max(0.0, width) * max(0.0, height)
    areas = sum((b.right - b.left) * (b.bottom - b.top) for b in (one, other))
    return common >= _SAME_PLACE * (areas - common)


@dataclass(frozen=True)
class _Seen:
    time_s: float
    at: float


class _Visit:
    def __init__(self, number: int, track: str | None, judge: Judge, options: EventOptions) -> None:
        self.number, self.track = number, track
        self.box: Region | None = None
        self._judge, self._moments = judge, options.moments
        self._votes = Votes(options)
        self._held: Verdict | None = None
        self._rival: tuple[str, int] | None = None
        """The label that is ahead of the held one, and the moment since when."""
        self._first: _Seen
        self._last: _Seen
        self._best: dict[str, tuple[float, Result]] = {}
        """By label, the frame that spoke most for it, and its probability there."""

    @property
    def last(self) -> float:
        """Timestamp of the last frame that voted."""
        return self._last.time_s

    def add(self, result: Result, box: Region | None) -> list[Event]:
        assert result.frame is not None
        self.box = box
        seen = _Seen(result.frame.timestamp, result.frame.arrived_at)
        if not self._votes.frames:
            self._first = seen
        self._last = seen
        self._votes.add(result.probabilities, seen.time_s)
        verdict = self._judge(self._votes.probabilities)
        state = self._decided(verdict)
        self._keep_best(result, (self._held or verdict).label)
        return [] if state is None else [self.event(state)]

    def _keep_best(self, result: Result, led: str) -> None:
        """Keep a frame that speaks most for what leads, or for what it shows, which may lead yet.

        Frames are large: of labels that do not lead, those of the likeliest few are kept.
        """
        for label in {led, self._judge(result.probabilities).label}:
            score = self._judge.score(label, result.probabilities)
            if label not in self._best or score > self._best[label][0]:
                self._best[label] = score, result
        if len(self._best) > _FRAMES_KEPT:
            others = [label for label in self._best if label != led]
            del self._best[min(others, key=lambda label: self._best[label][0])]

    def _decided(self, verdict: Verdict) -> State | None:
        if self._held is not None and verdict.label == self._held.label:
            self._rival = None
            return None
        if verdict.is_unknown:
            return None
        moments = self._votes.moments
        if self._rival is None or self._rival[0] != verdict.label:
            self._rival = verdict.label, moments
        # The first moment of a visit counts as its first vote.
        ahead = moments - self._rival[1] + (self._held is None)
        if ahead < self._moments:
            return None
        state: State = "decided" if self._held is None else "changed"
        self._held, self._rival = verdict, None
        return state

    def event(self, state: State) -> Event:
        """Return what is held now; of a visit too short for a decision, what its votes say."""
        probabilities = self._votes.probabilities
        held = self._held or self._judge(probabilities)
        score = self._judge.score(held.label, probabilities)
        return Event(
            visit=self.number,
            state=state,
            label=held.label,
            name=held.name,
            scientific_name=held.scientific_name,
            score=score,
            is_unknown=held.is_unknown,
            start=self._first.time_s,
            end=self._last.time_s,
            start_at=self._first.at,
            end_at=self._last.at,
            frames=self._votes.frames,
            moments=self._votes.moments,
            track=self.track,
            best=self._best[held.label][1],
        )
