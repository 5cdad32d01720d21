"""What a model says of one picture."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from edge_fgir.runtime.frames import Frame
    from edge_fgir.runtime.overlay import Map
    from edge_fgir.runtime.preprocess import Region
    from edge_fgir.runtime.runtimes import Probabilities

_DIGITS, _PIXEL_DIGITS = 6, 2


@dataclass(frozen=True)
class Timing:
    """Where the time of one call went, milliseconds.

    ``infer_ms`` includes waiting, where more threads call than the engine answers at once.
    """

    preprocess_ms: float
    infer_ms: float

    @property
    def total_ms(self) -> float:
        """From the decoded frame to the decision."""
        return self.preprocess_ms + self.infer_ms


@dataclass(frozen=True, eq=False)
class Result:
    """What the model says of one picture.

    Two are equal if the model said the same: labels, probabilities, region, map and novelty. How
    long it took and which frame it was do not count.

    Attributes:
        label: The most probable class; with a site file, of those that may be answered, or the
            parent of classes that tie.
        score: Its calibrated probability, 0..1; with a site file, after its prior.
        index: Its position in ``labels.txt``, or that of a parent's most probable class.
        is_unknown: ``score`` lies below the threshold of the bundle, or of the site file; or
            ``novelty`` above the bundle's.
        probabilities: All classes, (K,) ``float32``, as the model gave them.
        timing: Where the time went.
        frame: In a stream, the frame this belongs to (number, timestamp, pixels); else None.
        region: What a model that looks twice (GLSim) looked at again, in pixels of the upright
            picture; None for others.
        map: Its (g, g) similarity of each patch and the whole picture, or the centre it saw; None
            for others.
        novelty: How unlike the pictures of the training this one is, 0 to about 1; None where the
            bundle does not tell.
        is_new: ``novelty`` is above the bundle's threshold: unknown, however high the score.
        variant: Which of several bundles answered, 0 the best; None where one was opened alone.
    """

    label: str
    score: float
    index: int
    is_unknown: bool
    probabilities: Probabilities = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    timing: Timing = field(repr=False)
    frame: Frame | None = field(default=None, repr=False)
    region: Region | None = field(default=None, repr=False)
    map: Map | None = field(default=None, repr=False)
    novelty: float | None = None
    is_new: bool = False
    variant: int | None = None

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """Return the ``k`` most probable (label, probability), best first."""
        order = np.argsort(-self.probabilities, kind="stable")[:k]
        return [(self.labels[i], float(self.probabilities[i])) for i in order]

    def to_dict(self, top: int = 5) -> dict[str, Any]:
        """Return plain values, as ``predict --json`` and ``camera`` print them.

        Args:
            top: How many classes to list.
        """
        values: dict[str, Any] = {
            "label": self.label,
            "score": round(self.score, _DIGITS),
            "is_unknown": self.is_unknown,
            "top": [[label, round(score, _DIGITS)] for label, score in self.top(top)],
        }
        if self.novelty is not None:
            values["novelty"] = round(self.novelty, _DIGITS)
        if self.region is not None:
            values["region"] = [round(edge, _PIXEL_DIGITS) for edge in self.region]
        if self.variant is not None:
            values["variant"] = self.variant
        return values

    def to_json(self, top: int = 5) -> str:
        """Return :meth:`to_dict` as one line of JSON."""
        return json.dumps(self.to_dict(top), ensure_ascii=False, allow_nan=False)

    def __str__(self) -> str:
        return " ".join(filter(None, (f"{self.label} {100 * self.score:.1f} %", self.mark)))

    @property
    def mark(self) -> str:
        """What is printed behind an answer that is not to be trusted, and why; empty otherwise."""
        if self.is_new:
            return "(unknown: unlike what it learned)"
        return "(unknown)" if self.is_unknown else ""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Result):
            return NotImplemented
        same_map = self.map is None or np.array_equal(self.map, other.map)  # type: ignore[arg-type]
        return (
            (self.label, self.labels, self.is_unknown, self.region, self.novelty)
            == (other.label, other.labels, other.is_unknown, other.region, other.novelty)
            and np.array_equal(self.probabilities, other.probabilities)
            and (self.map is None) == (other.map is None)
            and same_map
        )

    def __hash__(self) -> int:
        return hash((self.index, self.score, self.labels))
