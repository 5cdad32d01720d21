"""Which of two models is better, by what both say of the same pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from edge_fgir.evaluation import Floats, Labels, compare_models, macro


class Answers(NamedTuple):
    """What a model says of pictures.

    Attributes:
        logits: (N, K); log-probabilities do as well.
        labels: The right classes, (N,).
    """

    logits: Floats
    labels: Labels


class Judged(Protocol):
    """Something that answered the validation pictures."""

    @property
    def logits(self) -> Floats:
        """What it said, (N, K); log-probabilities do as well."""

    @property
    def labels(self) -> Labels:
        """The right classes, (N,)."""

    @property
    def crossed(self) -> Answers | None:
        """Likewise of training pictures that it has not seen; None: it has seen them all."""

    @property
    def judged(self) -> float:
        """Accuracy that choices are made by, percent."""


_J = TypeVar("_J", bound=Judged)


@dataclass(frozen=True)
class Judge:
    """Compares models on the same pictures.

    Attributes:
        by_macro: All classes count alike; else all pictures do.
    """

    by_macro: bool

    def lead(self, first: Judged, second: Judged) -> float:
        """Return by how many points the first is better.

        Pictures on which both agree say nothing. The others count by what the two answers are
        expected to be worth (:func:`edge_fgir.evaluation.compare_models`), taken both ways, as
        neither is the other's reference. Over classes the accuracies are compared.

        Two heads on frozen features are told apart by the training pictures as well, of which each
        was asked by a head that had not seen it: several times as many.
        """
        whole = first.crossed is not None and second.crossed is not None
        one, other = (_answers(each, whole=whole) for each in (first, second))
        if self.by_macro:
            return macro(*one) - macro(*other)
        there, back = (
            compare_models(a.logits, b.logits, a.labels, 0.0).drop
            for a, b in ((one, other), (other, one))
        )
        return (there - back) / 2

    def ordered(self, models: Sequence[_J]) -> list[_J]:
        """Return models, the best first.

        Leads over a common opponent, the most accurate by count, are transitive; each over each
        need not be.
        """
        if not models:
            return []
        best = max(models, key=lambda each: each.judged)
        leads = {id(each): 0.0 if each is best else self.lead(each, best) for each in models}
        return sorted(models, key=lambda each: -leads[id(each)])

    def best(self, models: Sequence[_J]) -> _J:
        """Return the best of some models."""
        return self.ordered(models)[0]


def _answers(model: Judged, *, whole: bool) -> Answers:
    validation = Answers(model.logits, model.labels)
    if not whole or model.crossed is None:
        return validation
    both = zip(validation, model.crossed, strict=True)
    return Answers(*(np.concatenate(parts) for parts in both))
