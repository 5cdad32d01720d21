"""What a bundle answered for pictures."""

from __future__ import annotations

from typing import ClassVar

from pydantic import FiniteFloat

from edge_fgir.results.base import Record, Result, Subject


class Prediction(Record):
    """The answer for one picture.

    Attributes:
        image: The file.
        label: The most probable class.
        score: Its probability.
        is_unknown: The score is below the bundle's threshold, or the novelty above its own.
        top: The most probable classes with their probabilities.
        novelty: How unlike the pictures of the training this one is, where the bundle tells.
        region: Where a model that looks twice looked again (left, top, right and bottom, pixels).
    """

    image: str
    label: str
    score: FiniteFloat
    is_unknown: bool
    top: tuple[tuple[str, FiniteFloat], ...]
    novelty: FiniteFloat | None = None
    region: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat] | None = None


class Failure(Record):
    """A picture without an answer.

    Attributes:
        image: The file.
        error: What is wrong with it.
    """

    image: str
    error: str


class Predictions(Subject, Result):
    """A ``predictions`` result; ``classes`` is how many the model knows (None: not said).

    ``failures`` are the pictures that could not be read.
    """

    kind: ClassVar[str] = "predictions"

    classes: int | None = None
    predictions: tuple[Prediction, ...]
    failures: tuple[Failure, ...] = ()

    @property
    def caption(self) -> str:
        """What this result says of what, for a list."""
        return f"predictions of {self.title}"
