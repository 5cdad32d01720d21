"""What is computed from a model's answers to a split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from edge_fgir.evaluation import accuracy
from edge_fgir.evaluation.accuracy import Floats, Labels
from edge_fgir.evaluation.shots import Shots
from edge_fgir.results import ClassAccuracy, Metrics

_PAIRS = 10


class Metric(Protocol):
    """Judges answers by labels; a task with several labels a picture would be another one."""

    def figures(
        self,
        probabilities: Floats,
        labels: Labels,
        classes: Sequence[str],
        shots: Shots | None = None,
    ) -> Metrics:
        """Return the figures.

        Args:
            probabilities: (N, K).
            labels: (N,).
            classes: K names.
            shots: Training pictures of each class, where these are known.
        """


class SingleLabel:
    """Every picture shows one class, and the most probable one is the answer."""

    def figures(
        self,
        probabilities: Floats,
        labels: Labels,
        classes: Sequence[str],
        shots: Shots | None = None,
    ) -> Metrics:
        """Return accuracies (also by class and shot group), calibration error and confusions."""
        by_class = accuracy.per_class(probabilities, labels)
        images = np.bincount(labels, minlength=len(classes)).tolist()
        top1 = accuracy.top_k(probabilities, labels, 1)
        counts = shots.train_counts if shots else [None] * len(classes)
        groups = shots.groups if shots else [None] * len(classes)
        return Metrics(
            top1=top1,
            top1_interval=accuracy.wilson_interval(top1, len(labels)),
            top5=accuracy.top_k(probabilities, labels, 5),
            macro=accuracy.macro(probabilities, labels),
            macro_f1=accuracy.macro_f1(probabilities, labels),
            worst_decile=accuracy.worst_decile(probabilities, labels),
            shots=shots.accuracy(by_class, images) if shots else (),
            ece=accuracy.expected_calibration_error(probabilities, labels),
            images=len(labels),
            classes=tuple(
                ClassAccuracy(
                    name=name,
                    images=images[label],
                    top1=by_class[label],
                    train_images=counts[label],
                    group=groups[label],
                )
                for label, name in enumerate(classes)
            ),
            confusion=tuple(map(tuple, accuracy.confusion(probabilities, labels))),
            confused_pairs=accuracy.confused_pairs(probabilities, labels, classes, _PAIRS),
        )
