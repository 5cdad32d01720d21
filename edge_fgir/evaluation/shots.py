"""Shot groups: classes by how many pictures they were learned from.

Source: arXiv 2101.08674, docs/science/dafre.md#long-tail.

Top-1 over images is dominated by the classes with many; the groups show what the others get.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_fgir._errors import InputError
from edge_fgir.results import ShotAccuracy
from edge_fgir.runtime import Bundle

GROUPS = ("many", "medium", "few")


@dataclass(frozen=True)
class Shots:
    """Training pictures of each class, and where the groups begin.

    Attributes:
        train_counts: (K,) training pictures of each class.
        many: More than so many: many.
        few: Fewer than so many: few; all between are medium.
    """

    train_counts: tuple[int, ...]
    many: int = 100
    few: int = 20

    def __post_init__(self) -> None:
        if not 0 <= self.few <= self.many + 1:
            raise InputError(
                f"shot groups of more than {self.many} and fewer than {self.few} pictures",
                "the first number to be the larger",
            )

    @property
    def groups(self) -> tuple[str, ...]:
        """Group of each class."""
        return tuple(
            "many" if count > self.many else "few" if count < self.few else "medium"
            for count in self.train_counts
        )

    def labels_of(self, group: str) -> list[int]:
        """Return the classes of a group."""
        return [label for label, name in enumerate(self.groups) if name == group]

    @property
    def ranges(self) -> dict[str, str]:
        """Training pictures of each group's classes, for people."""
        return {
            "many": f"> {self.many}",
            "medium": f"{self.few} to {self.many}",
            "few": f"< {self.few}",
        }

    def accuracy(
        self, by_class: Sequence[float | None], images: Sequence[int]
    ) -> tuple[ShotAccuracy, ...]:
        """Return each group's accuracy: the mean over its classes that have images.

        Args:
            by_class: (K,) top-1 of each class, percent; None for one without images.
            images: (K,) images of each class that it was measured on.
        """
        rows = []
        for name in GROUPS:
            labels = self.labels_of(name)
            known = [value for label in labels if (value := by_class[label]) is not None]
            rows.append(
                ShotAccuracy(
                    group=name,
                    train_images=self.ranges[name],
                    classes=len(labels),
                    tested=len(known),
                    images=sum(images[label] for label in labels),
                    top1=float(np.mean(known)) if known else None,
                )
            )
        return tuple(rows)


def known_counts(bundle: Bundle) -> tuple[int, ...]:
    """Return the training pictures of each class that a bundle's report names; else nothing."""
    try:
        counts = tuple(row["train_images"] for row in bundle.report("accuracy")["classes"])
    except (InputError, KeyError, TypeError):
        return ()
    known = len(counts) == len(bundle.labels) and all(type(n) is int and n >= 0 for n in counts)
    return counts if known else ()
