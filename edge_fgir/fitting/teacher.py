"""Which network teaches the others, and what a head of it takes."""

from __future__ import annotations

from collections.abc import Sequence

from edge_fgir.fitting.networks import Architecture, Candidate
from edge_fgir.fitting.trainings import Trained

_LARGER = 1.25
"""A teacher of a candidate's own architecture looks at so much larger a picture, at least."""


def largest(architectures: Sequence[Architecture]) -> Candidate | None:
    """Return the network with the largest side that its weights were made for, at that side."""
    if not architectures:
        return None
    widest = max(architectures, key=lambda each: each.native)
    side = min(widest.sizes, key=lambda size: abs(size - widest.native))
    return Candidate(widest, side)


def head_seconds(candidate: Candidate, heads: Sequence[Trained]) -> float:
    """Return what a head of a network takes, by the pixels of those that have been trained.

    Args:
        candidate: The network at a size.
        heads: At least one.
    """
    return max(
        each.record.seconds * (candidate.image_size / each.record.image_size) ** 2 for each in heads
    )


def is_larger(teacher: Candidate, arms: Sequence[Candidate]) -> bool:
    """Say whether a teacher sees more than each candidate of its own architecture.

    That is the same with fewer sides, where a program's pictures are no larger.
    """
    name = teacher.architecture.name
    own = [each.image_size for each in arms if each.architecture.name == name]
    return all(teacher.image_size >= _LARGER * size for size in own)
