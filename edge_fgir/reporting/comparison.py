"""Models compared on the same images: by class, and which classes they confuse."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edge_fgir.evaluation import wilson_interval
from edge_fgir.reporting.rows import Row
from edge_fgir.results import ClassAccuracy, Evaluation

MAX_CLASSES = 30
"""Of more classes only the best and the weakest are drawn, and no confusion table."""

_PAIRS = 8
_HALF = 50.0


@dataclass(frozen=True)
class Pair:
    """A class taken for another: ``count`` of its ``images`` images."""

    truth: str
    answer: str
    count: int
    images: int


@dataclass(frozen=True)
class Comparison:
    """Rows whose evaluations saw the same images; torch is the first, where it was evaluated."""

    rows: tuple[Row, ...]

    @property
    def evaluations(self) -> tuple[Evaluation, ...]:
        """The evaluations of the rows."""
        return tuple(row.evaluation for row in self.rows if row.evaluation is not None)

    @property
    def first(self) -> Evaluation:
        """The evaluation whose confusion is shown."""
        return self.evaluations[0]

    @property
    def margin(self) -> float:
        """Half of the 95 % interval of the first top-1 (Wilson), points."""
        low, high = wilson_interval(self.first.top1, self.first.images)
        return (high - low) / 2

    @property
    def largest(self) -> ClassAccuracy:
        """The class with most images: what a model without eyes would always answer."""
        return max(self.first.classes, key=lambda each: each.images)

    @property
    def never(self) -> tuple[str, ...]:
        """Classes with images that no row ever recognised."""
        return tuple(
            of_class[0].name
            for of_class in zip(
                *(evaluation.classes for evaluation in self.evaluations), strict=True
            )
            if of_class[0].images and not any(each.top1 for each in of_class)
        )

    @property
    def tested(self) -> tuple[int, ...]:
        """Classes that have images, those the first evaluation recognises least at the front."""
        known = [i for i, each in enumerate(self.first.classes) if each.top1 is not None]
        return tuple(sorted(known, key=lambda i: self.first.classes[i].top1 or 0.0))

    @property
    def below_half(self) -> int:
        """How many classes the first evaluation recognises less than every other time."""
        return sum((self.first.classes[i].top1 or 0.0) < _HALF for i in self.tested)

    @property
    def shown(self) -> tuple[int, ...]:
        """Classes worth drawing, the weakest first."""
        if len(self.tested) <= MAX_CLASSES:
            return self.tested
        half = MAX_CLASSES // 2
        return (*self.tested[:half], *self.tested[-half:])

    @property
    def has_table(self) -> bool:
        """Whether the confusion table is small enough to be read."""
        return len(self.first.classes) <= MAX_CLASSES

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The most frequent confusions of the first evaluation."""
        classes, table = self.first.classes, self.first.confusion
        pairs = [
            Pair(classes[i].name, classes[j].name, count, sum(row))
            for i, row in enumerate(table)
            for j, count in enumerate(row)
            if i != j and count
        ]
        return tuple(sorted(pairs, key=lambda pair: -pair.count)[:_PAIRS])


def make_comparisons(rows: Iterable[Row]) -> tuple[Comparison, ...]:
    """Group rows by the images they were evaluated on."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        if row.evaluation is not None:
            groups.setdefault(row.evaluation.images_key, []).append(row)
    return tuple(Comparison(tuple(group)) for group in groups.values())
