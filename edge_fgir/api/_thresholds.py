"""Thresholds of classes for a stated precision."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from edge_fgir._errors import InputError
from edge_fgir.api._data import Data, data_set
from edge_fgir.data import Split
from edge_fgir.evaluation import BundlePredictor, answers, precision_thresholds
from edge_fgir.runtime import AUTO, Classifier, Device, LabelInfo, Site

# Rounded down: a threshold above the score that was measured would leave its picture out.
_STEPS = 1_000_000


def fit_thresholds(
    bundle: Path | str,
    data: Data,
    precision: float,
    split: Split = "val",
    *,
    site: Site | None = None,
    device: Device = AUTO,
    trust: Path | None = None,
) -> Site:
    """Return a site with each class's least score for a precision (``edge-fgir thresholds``).

    Example::

        import edge_fgir as ef

        site = ef.fit_thresholds("birds.fgir", "photos", 0.95)
        with ef.Classifier.open("birds.fgir", site=site) as model:
            print(model("photo.jpg").is_unknown)

    Args:
        bundle: The bundle.
        data: A folder of photographs, a built-in name, or an open data set.
        precision: The share of answers that shall be right, above 0 and below 1.
        split: The pictures that decide; not those that an accuracy is reported on.
        site: What else is known, and kept: scores are those after its priors, of what it allows.
        device: Where the bundle answers.
        trust: Public key (PEM) that has to have signed the bundle.

    Raises:
        InputError: The bundle is not so signed or knows other classes than the data or ``site``,
            or ``precision`` is no such share.
    """
    if not 0 < precision < 1:
        raise InputError(f"precision {precision:g}", "a share above 0 and below 1, such as 0.95")
    known = site or Site()
    with Classifier.open(bundle, device, trust, site=known) as model:
        given = answers(BundlePredictor(model), data_set(data), split)
        judged = np.stack([model.judge.scores(each) for each in given.probabilities])
    labels = dict(known.labels)
    scores = precision_thresholds(judged, given.labels, precision)
    for name, score in zip(given.classes, scores, strict=True):
        if score is not None:
            info = labels.get(name, LabelInfo())
            threshold = math.floor(score * _STEPS) / _STEPS
            labels[name] = info.model_copy(update={"threshold": threshold})
    return known.model_copy(update={"labels": labels})
