"""Which of two models is better, by what both say of the same validation pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from edge_fgir.evaluation import Floats, Labels, compare_models


class Judged(Protocol):
    """Something that answered the validation pictures."""

    @property
    def logits(self) -> Floats:
        """What it said, (N, K); log-probabilities do as well."""

    @property
    def labels(self) -> Labels:
        """The right classes, (N,)."""

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
        """
        if self.by_macro:
            return first.judged - second.judged
        there, back = (
            compare_models(a.logits, b.logits, a.labels, 0.0).drop
            for a, b in ((first, second), (second, first))
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
