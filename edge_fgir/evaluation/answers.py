"""A bundle's answers on many pictures."""

from __future__ import annotations

import numpy as np

from edge_fgir._progress import progress
from edge_fgir.runtime import Classifier, Pixels
from edge_fgir.runtime.runtimes import Probabilities


def answers_of(model: Classifier, images: Pixels) -> Probabilities:
    """Return probabilities (N, K) of prepared pictures (N, S, S, 3), asked one by one."""
    answers = []
    with progress("classifying", len(images)) as meter:
        for image in images:
            answers.append(model.infer(image[None]))
            meter.advance()
    return np.concatenate(answers)
