"""Calibration: the images ranges come from, and how far the scores can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from edge_fgir._files import sha256
from edge_fgir.data import DataSet, Sample, draw_by_class, labels_of, prepared_images
from edge_fgir.evaluation import expected_calibration_error
from edge_fgir.exporting.graph import Logits
from edge_fgir.exporting.spread import spread_evenly
from edge_fgir.runtime import Calibration, Pixels, Preprocess

KEPT = 0.95
"""Share of the right answers that are not called unknown."""
_FEW = 128
"""Images that tell the mean of an error: its own error is a tenth of what varies about it."""


@dataclass(frozen=True)
class CalibrationSet:
    """Training images through the deploy transform, drawn evenly from the classes.

    Attributes:
        images: (N, S, S, 3) ``uint8``.
        hash: SHA-256 over their pixels.
    """

    images: Pixels
    hash: str

    @property
    def few(self) -> Pixels:
        """Some of the images, spread evenly: those that logits are compared on."""
        few: Pixels = self.images[spread_evenly(len(self.images), _FEW)]
        return few


def calibration_set(data: DataSet, preprocess: Preprocess, count: int) -> CalibrationSet:
    """Draw the calibration set from the training split."""
    images = prepared_images(data, draw_by_class(data.split("train"), count), preprocess)
    return CalibrationSet(images, sha256(images.tobytes()))


def fit_temperature(logits: Logits, labels: npt.NDArray[np.integer]) -> float:
    """Return the T > 0 that minimises the negative log-likelihood of softmax(logits / T).

    Guo et al. 2017, arXiv 1706.04599, section 4.2. Ours: one more answer is taken to be wrong, else
    N right ones would ask for a T of 0, and for scores of 1.
    """
    rows = np.arange(len(labels))
    wrong = 1 / (len(labels) + 1)

    def loss(log_t: float) -> float:
        found = -log_softmax(logits / np.exp(log_t), axis=1)
        return float((1 - wrong) * found[rows, labels].mean() + wrong * found.mean())

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded")
    return float(np.exp(found.x))


def fit_calibration(
    logits: Logits,
    labels: npt.NDArray[np.integer],
    quantized_on: CalibrationSet | None,
    kept: float = KEPT,
) -> Calibration:
    """Fit temperature and unknown threshold on validation logits of the final graph.

    Args:
        logits: (N, K).
        labels: (N,).
        quantized_on: What the ranges are of; None: nothing is quantized.
        kept: Share of the right answers above the threshold.
    """
    temperature = fit_temperature(logits, labels)
    probabilities = softmax(logits / temperature, axis=1)
    right = probabilities.argmax(axis=1) == labels
    scores = probabilities.max(axis=1)
    threshold = float(np.quantile(scores[right], 1 - kept)) if right.any() else 0.0
    return Calibration(
        temperature=temperature,
        unknown_threshold=threshold,
        kept=float((scores[right] >= threshold).mean()) if right.any() else 1.0,
        ece_before=expected_calibration_error(softmax(logits, axis=1), labels),
        ece_after=expected_calibration_error(probabilities, labels),
        validation_images=len(labels),
        quantization_images=len(quantized_on.images) if quantized_on else 0,
        quantization_hash=quantized_on.hash if quantized_on else sha256(b""),
    )


@dataclass(frozen=True)
class Validation:
    """The validation split as the device sees it."""

    images: Pixels
    labels: npt.NDArray[np.int64]
    samples: Sequence[Sample]

    @classmethod
    def of(cls, data: DataSet, preprocess: Preprocess) -> Validation:
        """Read it."""
        samples = data.split("val")
        return cls(prepared_images(data, samples, preprocess), labels_of(samples), samples)
