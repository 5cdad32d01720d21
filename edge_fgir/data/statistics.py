"""How evenly a split's pictures are spread over its classes.

Source: arXiv 2101.08674, docs/science/dafre.md#long-tail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_QUANTILES = (10, 25, 50, 75, 90)
_TOPS = (10, 100)
_TOP_SHARE = 0.2


@dataclass(frozen=True)
class ClassSizes:
    """Pictures a class.

    Attributes:
        classes: Number of classes.
        images: Number of pictures.
        empty: Classes without any.
        smallest: Pictures of the smallest class that has some.
        largest: Pictures of the largest class.
        mean: Over all classes.
        deviation: Standard deviation over all classes.
        quantiles: Pictures of the class at 10, 25, 50, 75 and 90 %.
        gini: Gini coefficient: 0 where all classes are equal, towards 1 where one has everything.
        imbalance: ``largest / smallest``.
        shares: Share of the pictures that the largest 10 and 100 classes and the largest 20 % of
            the classes have; only what there are more classes than.
    """

    classes: int
    images: int
    empty: int
    smallest: int
    largest: int
    mean: float
    deviation: float
    quantiles: dict[str, float]
    gini: float
    imbalance: float
    shares: dict[str, float]

    @classmethod
    def of(cls, counts: Sequence[int]) -> ClassSizes:
        """Summarise the pictures of each class; at least one class has some."""
        sizes = np.sort(np.asarray(counts, np.int64))
        total, classes = int(sizes.sum()), len(sizes)
        some = sizes[sizes > 0]
        tops = {f"top {count}": count for count in _TOPS if count < classes}
        tops["top 20 %"] = round(_TOP_SHARE * classes)
        return cls(
            classes=classes,
            images=total,
            empty=classes - len(some),
            smallest=int(some[0]),
            largest=int(sizes[-1]),
            mean=total / classes,
            deviation=float(sizes.std()),
            quantiles={f"{q} %": float(np.quantile(sizes, q / 100)) for q in _QUANTILES},
            gini=gini(counts),
            imbalance=float(some[-1] / some[0]),
            shares={
                name: float(sizes[classes - count :].sum() / total) for name, count in tops.items()
            },
        )


def gini(counts: Sequence[int]) -> float:
    """Return the Gini coefficient of class sizes: half their mean absolute difference a mean."""
    sizes = np.sort(np.asarray(counts, np.float64))
    classes = len(sizes)
    ranks = 2 * np.arange(1, classes + 1) - classes - 1
    return float(ranks @ sizes / (classes * sizes.sum()))
