"""Accuracy of probabilities against labels, the same for a torch model and for a bundle."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge_fgir.results import ClassifiedImage, ConfusedPair

Floats = npt.NDArray[np.floating]
Labels = npt.NDArray[np.integer]
Flags = npt.NDArray[np.bool_]

_ECE_BINS = 15
_Z95 = 1.96
_EXAMPLES = 3


def top_k(probabilities: Floats, labels: Labels, k: int) -> float:
    """Return the share of images whose label is among the ``k`` most probable, percent."""
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float(100 * (best == labels[:, None]).any(axis=1).mean())


def wilson_interval(share: float, images: float) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a share that was counted on images.

    Args:
        share: What was counted, percent.
        images: How many independent ones there were, at least one.

    Returns:
        Its ends, percent; never outside 0 and 100, unlike the normal interval (Wilson 1927).
    """
    p, z2 = share / 100, _Z95**2 / images
    middle = (p + z2 / 2) / (1 + z2)
    half = math.sqrt(max(p * (1 - p), 0.0) * z2 + z2**2 / 4) / (1 + z2)
    return 100 * max(middle - half, 0.0), 100 * min(middle + half, 1.0)


def clustered_interval(right: Flags, groups: Labels) -> tuple[float, float]:
    """Return the 95 % interval of the accuracy on pictures that are not independent, percent.

    Wilson's, of as many independent pictures as would leave the variance that the groups show
    (design effect: Kish, Survey Sampling, 1965). Where all are right, or none is, nothing shows it:
    then the pictures of a group count as one.

    Args:
        right: (N,) whether each picture was answered right.
        groups: (N,) numbers of the groups from 0, inside which pictures resemble each other.
    """
    sizes = np.bincount(groups)
    share = float(right.mean())
    hits = np.bincount(groups, weights=right)
    count = len(sizes)
    variance = np.sum((hits - share * sizes) ** 2) / len(right) ** 2 * count / max(count - 1, 1)
    if 0 < share < 1 and count > 1:
        worth = share * (1 - share) / max(variance, share * (1 - share) / len(right))
    else:
        worth = len(right) ** 2 / np.sum(sizes**2)
    return wilson_interval(100 * share, max(float(worth), 1.0))


def drop_interval(before: Flags, after: Flags) -> tuple[float, float]:
    """Return the 95 % interval of a drop in accuracy on the same images, points.

    Agresti and Min 2005 (Statistics in Medicine 24): half an image is added to each of the four
    cells of the table, so that images without any change still leave room for doubt.

    Args:
        before: (N,) whether each image was right.
        after: (N,) whether it is right now.
    """
    lost, won = np.sum(before & ~after) + 0.5, np.sum(~before & after) + 0.5
    images = len(before) + 2
    middle = (lost - won) / images
    half = _Z95 * math.sqrt((lost + won - (lost - won) ** 2 / images) / images**2)
    return float(100 * (middle - half)), float(100 * (middle + half))


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


def macro_f1(probabilities: Floats, labels: Labels) -> float:
    """Return the mean of the F1 of the classes that have images, percent."""
    table = np.array(confusion(probabilities, labels))
    images, answers = table.sum(axis=1), table.sum(axis=0)
    known = images > 0
    return float(100 * (2 * table.diagonal() / np.maximum(images + answers, 1))[known].mean())


def worst_decile(probabilities: Floats, labels: Labels) -> float:
    """Return the mean accuracy of the tenth of the classes (at least one) that do worst, percent.

    Classes without images are left out.
    """
    known = sorted(value for value in per_class(probabilities, labels) if value is not None)
    return float(np.mean(known[: math.ceil(len(known) / 10)]))


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


def confused_pairs(
    probabilities: Floats, labels: Labels, classes: Sequence[str], limit: int | None = None
) -> tuple[ConfusedPair, ...]:
    """Return the pairs of classes that are taken for each other, most confusions first.

    Pairs with equally many confusions are ordered by their share. Of each direction up to three
    mistakes are named, those with the highest score in the wrong class.

    Args:
        probabilities: (N, K).
        labels: (N,).
        classes: K names.
        limit: At most so many pairs; None: every pair that was confused at all.
    """
    table = np.array(confusion(probabilities, labels))
    both = np.triu(table + table.T, 1)
    images = table.sum(axis=1)
    pairs = [(int(a), int(b)) for a, b in zip(*np.nonzero(both), strict=True)]
    share = {(a, b): float(100 * both[a, b] / (images[a] + images[b])) for a, b in pairs}
    pairs.sort(key=lambda pair: (-both[pair], -share[pair]))
    answers, scores = probabilities.argmax(axis=1), probabilities.max(axis=1)

    def surest(truth: int, answer: int, count: int) -> tuple[ClassifiedImage, ...]:
        indices = np.flatnonzero((labels == truth) & (answers == answer))
        indices = indices[np.argsort(-scores[indices], kind="stable")][:count]
        return tuple(
            ClassifiedImage(
                index=index,
                truth=classes[truth],
                answer=classes[answer],
                score=float(scores[index]),
            )
            for index in indices.tolist()
        )

    return tuple(
        ConfusedPair(
            classes=(classes[a], classes[b]),
            images=(int(images[a]), int(images[b])),
            confused=(int(table[a, b]), int(table[b, a])),
            share=share[a, b],
            mistakes=surest(a, b, _EXAMPLES) + surest(b, a, _EXAMPLES),
            references=surest(a, a, 1) + surest(b, b, 1),
        )
        for a, b in pairs[:limit]
    )
