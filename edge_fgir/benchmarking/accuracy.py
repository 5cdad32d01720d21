"""Accuracy of probabilities against labels, the same for a torch model and for a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Labels = npt.NDArray[np.integer]

_ECE_BINS = 15


def top_k(probabilities: Floats, labels: Labels, k: int) -> float:
    """Return the share of images whose label is among the ``k`` most probable, percent."""
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float(100 * (best == labels[:, None]).any(axis=1).mean())


def per_class(probabilities: Floats, labels: Labels) -> list[float | None]:
    """Return each class's top-1 accuracy, percent; None for a class without images."""
    right = probabilities.argmax(axis=1) == labels
    return [
        float(100 * right[labels == label].mean()) if (labels == label).any() else None
        for label in range(probabilities.shape[1])
    ]


def macro(probabilities: Floats, labels: Labels) -> float:
    """Return the mean of the classes' accuracies, percent; classes without images are left out."""
    known = [value for value in per_class(probabilities, labels) if value is not None]
    return float(np.mean(known))


def expected_calibration_error(probabilities: Floats, labels: Labels) -> float:
    """Return the mean gap between confidence and accuracy over 15 equal-width bins, percent."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * _ECE_BINS).astype(int), _ECE_BINS - 1)
    gaps = [
        abs(confidence[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean()
        for b in np.unique(bins)
    ]
    return float(100 * np.sum(gaps))


def confusion(probabilities: Floats, labels: Labels) -> list[list[int]]:
    """Return counts by (true class, predicted class)."""
    classes = probabilities.shape[1]
    counts = np.zeros((classes, classes), int)
    np.add.at(counts, (labels, probabilities.argmax(axis=1)), 1)
    table: list[list[int]] = counts.tolist()
    return table


def evaluation(probabilities: Floats, labels: Labels, classes: Sequence[str]) -> dict[str, Any]:
    """Return the body of an ``evaluation`` result."""
    by_class = per_class(probabilities, labels)
    return {
        "top1": top_k(probabilities, labels, 1),
        "top5": top_k(probabilities, labels, 5),
        "macro": macro(probabilities, labels),
        "ece": expected_calibration_error(probabilities, labels),
        "images": len(labels),
        "classes": [
            {"name": name, "images": int((labels == i).sum()), "top1": by_class[i]}
            for i, name in enumerate(classes)
        ],
        "confusion": confusion(probabilities, labels),
    }
