"""The score from which on a class's answers are as often right as is asked."""

from __future__ import annotations

import numpy as np

from edge_fgir.evaluation.accuracy import Floats, Labels


def precision_thresholds(
    probabilities: Floats, labels: Labels, precision: float
) -> tuple[float | None, ...]:
    """Return each class's least score from which on that share of its answers is right.

    Of the pictures whose likeliest class is this one, those with the highest scores are taken, as
    many as keep the share. Few pictures of a class make it a rough figure.

    Args:
        probabilities: (N, K).
        labels: (N,) the right classes.
        precision: The share, 0..1.

    Returns:
        K scores: 1 where no answers of a class are right often enough, None where it had none.
    """
    answers, scores = probabilities.argmax(axis=1), probabilities.max(axis=1)
    found: list[float | None] = []
    for label in range(probabilities.shape[1]):
        mine = answers == label
        order = np.argsort(-scores[mine], kind="stable")
        falling = scores[mine][order]
        right = (labels[mine] == label)[order]
        shares = np.cumsum(right) / np.arange(1, len(right) + 1)
        # Pictures of one score stand or fall together.
        is_last = np.append(falling[1:] != falling[:-1], True)[: len(falling)]
        enough = np.flatnonzero((shares >= precision) & is_last)
        if not len(falling):
            found.append(None)
        else:
            found.append(float(falling[enough[-1]]) if len(enough) else 1.0)
    return tuple(found)
