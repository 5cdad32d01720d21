"""What a comparison of two models on the same pictures comes to."""

from __future__ import annotations

from typing import Literal

from pydantic import FiniteFloat

from edge_fgir.results.base import Record
from edge_fgir.results.evaluation import Interval

State = Literal["certified", "undecided", "refused"]


class Verdict(Record):
    """How much accuracy a model loses against another one, and what follows for a bound.

    Attributes:
        drop: Points of top-1 that it is expected to lose on unseen pictures; below 0: it wins.
        interval: Its 95 % interval, points.
        bound: Points that it may lose.
        images: Labelled pictures that both were asked about.
        views: Further pictures, of which no label is used.
    """

    drop: FiniteFloat
    interval: Interval
    bound: FiniteFloat
    images: int
    views: int = 0

    @property
    def state(self) -> State:
        """``certified``: the whole interval keeps the bound; ``refused``: none of it does."""
        low, high = self.interval
        return "refused" if low > self.bound else "certified" if high <= self.bound else "undecided"

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.drop:.2f} points (95 %: {low:.2f} to {high:.2f})"
