"""Fitting what a bundle knows of pictures that are new to it, and measuring what it is worth."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import joblib
import numpy as np
import numpy.typing as npt
from PIL import Image

from edge_fgir._files import to_json
from edge_fgir.evaluation import Labels
from edge_fgir.exporting.pictures import pictures_in
from edge_fgir.exporting.spread import spread_evenly
from edge_fgir.runtime import (
    NOVELTY,
    SPACE,
    Classifier,
    Features,
    FeatureSpace,
    Novelty,
    Pixels,
    Preprocess,
)

Flags = npt.NDArray[np.bool_]

KEPT_BY_EACH = 0.975
"""Score and novelty each keep so much of the right answers, and both together about 95 %."""
_VARIANCE = 0.8
"""Share of what the features of known pictures vary by that their space holds."""
_FRAMES = 100
"""Of each kind that is made up."""
_STRANGERS = 1000
"""Of a folder: a share of them is known within a percent or two, and more may not fit in memory."""
_COARSE = 8
"""Places along a side of smooth noise."""


def fit_space(known: Features) -> FeatureSpace:
    """Return the space of the features (N, F) of pictures that the model has learned from."""
    center = known.mean(axis=0)
    _, deviations, axes = np.linalg.svd(known - center, full_matrices=False)
    share = np.cumsum(deviations**2) / max(float(np.sum(deviations**2)), 1e-12)
    wanted = min(int(np.searchsorted(share, _VARIANCE)) + 1, len(axes))
    # As it is read on the device.
    return FeatureSpace.from_bytes(FeatureSpace(center, axes[:wanted]).to_bytes(), known.shape[1])


def fit_novelty(
    space: FeatureSpace,
    validation: Features,
    right: Flags,
    confident: Flags,
    strangers: Mapping[str, tuple[Features, Flags]],
) -> Novelty:
    """Choose the threshold on validation pictures, and measure it on other pictures.

    Args:
        space: Of the known pictures' features.
        validation: Features (N, F) of validation pictures.
        right: (N,) which are answered rightly.
        confident: (N,) whose score is above the threshold of scores.
        strangers: By kind, features (M, F) and which scores are above the threshold.
    """
    values = space.novelty(validation)
    of_right = values[right] if right.any() else values
    threshold = float(np.quantile(of_right, KEPT_BY_EACH))
    kept = (values <= threshold) & confident
    rejected = {
        kind: float(1 - ((space.novelty(features) <= threshold) & sure).mean())
        for kind, (features, sure) in strangers.items()
    }
    return Novelty(
        threshold=threshold,
        kept=float(kept[right].mean()) if right.any() else 1.0,
        rejected=rejected,
    )


@dataclass(frozen=True)
class Pictures:
    """What a bundle is asked about to learn what is new to it.

    Attributes:
        known: (N, S, S, 3) training pictures.
        strangers: Others, by kind.
    """

    known: Pixels
    strangers: Mapping[str, Pixels]

    @classmethod
    def of(cls, known: Pixels, preprocess: Preprocess, unknown: Path | None) -> Pictures:
        """Return training pictures, frames that are made up, and those of a folder.

        Raises:
            InputError: The folder holds no pictures that can be read.
        """
        strangers = made_up(preprocess.size)
        if unknown is not None:
            found = pictures_in(unknown, preprocess, at_most=_STRANGERS)
            strangers[f"{unknown.resolve().name}/"] = found
        return cls(known, strangers)

    def at_most(self, count: int) -> Pictures:
        """Return some of each kind."""
        known, *others = (
            images[spread_evenly(len(images), count)]
            for images in (self.known, *self.strangers.values())
        )
        return Pictures(known, dict(zip(self.strangers, others, strict=True)))


def novelty_files(
    model: Classifier, pictures: Pictures, validation: Pixels, labels: Labels
) -> dict[str, bytes]:
    """Ask an opened bundle about pictures, and return the files that say what is new to it.

    Args:
        model: The bundle, whose graph tells its features.
        pictures: Known ones, and others.
        validation: (N, S, S, 3) from which the threshold follows.
        labels: (N,) of these.
    """
    least = model.bundle.calibration.unknown_threshold
    space = fit_space(_asked(model, pictures.known).features)
    seen = _asked(model, validation)
    strangers = {}
    for kind, images in pictures.strangers.items():
        told = _asked(model, images)
        strangers[kind] = (told.features, told.scores >= least)
    right = seen.classes == labels
    novelty = fit_novelty(space, seen.features, right, seen.scores >= least, strangers)
    return {NOVELTY: to_json(novelty.model_dump()).encode(), SPACE: space.to_bytes()}


class _Told(NamedTuple):
    """What a model says of N pictures: features (N, F), the highest scores, and their classes."""

    features: Features
    scores: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int64]


def _asked(model: Classifier, images: Pixels) -> _Told:
    with ThreadPoolExecutor(joblib.cpu_count()) as pool:
        answers = list(pool.map(model.observe, images))
    probabilities = np.concatenate([each.probabilities for each in answers])
    features = np.concatenate([each.features for each in answers if each.features is not None])
    return _Told(features, probabilities.max(axis=1), probabilities.argmax(axis=1))


def made_up(side: int, seed: int = 0) -> dict[str, Pixels]:
    """Return frames (M, S, S, 3) of no photograph, by kind: noise, fine and smooth, and flat ones.

    Args:
        side: S, pixels.
        seed: Of the random numbers.
    """
    rng = np.random.default_rng(seed)
    shape = (_FRAMES // 2, side, side, 3)
    spread = rng.uniform(5, 60, (shape[0], 1, 1, 1))
    fine = rng.normal(rng.uniform(64, 192, (shape[0], 1, 1, 1)), spread, shape)
    coarse = rng.integers(0, 256, (_FRAMES, _COARSE, _COARSE, 3), dtype=np.uint8)
    smooth = [
        np.asarray(Image.fromarray(each).resize((side, side), Image.Resampling.BICUBIC))
        for each in coarse
    ]
    colors = rng.integers(0, 256, (_FRAMES, 1, 1, 3)).astype(np.float64)
    shade = np.linspace(1, rng.uniform(0.5, 1, _FRAMES), side).T[:, :, None, None]
    flat = colors * shade + rng.normal(0, 2, (_FRAMES, side, side, 3))
    return {
        "noise": np.concatenate(
            [rng.integers(0, 256, shape, dtype=np.uint8), _as_pixels(fine), np.stack(smooth)]
        ),
        "flat frames": _as_pixels(flat),
    }


def _as_pixels(values: np.ndarray) -> Pixels:
    pixels: Pixels = np.clip(np.round(values), 0, 255).astype(np.uint8)
    return pixels
