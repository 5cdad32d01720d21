"""One rule for every comparison of two models on the same pictures: keep, refuse, or do not know.

Counting which pictures become wrong or right decides little: of a few hundred, a handful flip, and
a flip between two classes that the model held for equally likely costs nothing on average. So each
flip is counted by what it is *expected* to cost: the probability of the reference's answer less
that of the candidate's, which needs no label and can be averaged over any number of pictures. The
labels say how far such probabilities can be trusted (they are fitted to them), and correct the
average by what was counted, as far as the count is more certain than the probabilities:
prediction-powered inference (arXiv 2301.09633; weighted as in arXiv 2311.01453), with a weight that
follows from how wrong the probabilities may be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_fgir.evaluation.accuracy import Flags, Floats, Labels
from edge_fgir.evaluation.evaluate import Answers
from edge_fgir.results import Verdict

_MISFIT = 0.1
"""How far the difference of two answers' probabilities may be off, as a share of their sum."""
_KNOWLEDGE = 0.25
"""How much of what sets a candidate apart may be knowledge, before any label is seen (its standard
deviation as a share): rounding knows nothing, another network does."""
_STRANGE = 0.1
"""How much harder or easier views may be than pictures, as a share of what they cost."""
_MOST_VIEWS = 4
"""As many views of a picture, itself included, may show what it alone does not: they are alike."""
_LEAST = 1e-30
"""A probability below it says no more."""
_Z95 = 1.96
_FIELDS = ("reference", "candidate", "of")
_STEPS, _LONGEST, _CLOSE, _LEAST_SCALE = 20, 0.3, 1e-3, 0.01
_RIDGE = 1e-9
"""Of the scale: where all answers are sure at first, nothing else says which way it goes."""
_BOTH = (0, 1)


@dataclass(frozen=True)
class Views:
    """What two models say of pictures whose labels are not used.

    Attributes:
        reference: Logits (V, K).
        candidate: Logits (V, K).
        of: (V,) which labelled picture each is a view of.
    """

    reference: Floats
    candidate: Floats
    of: npt.NDArray[np.integer]

    def and_these(self, others: Views) -> Views:
        """Return both."""
        return Views(
            *(np.concatenate([getattr(each, name) for each in (self, others)]) for name in _FIELDS)
        )


def compare_models(
    reference: Floats,
    candidate: Floats,
    labels: Labels,
    bound: float,
    *,
    views: Views | None = None,
    among: Flags | None = None,
    peers: bool = False,
) -> Verdict:
    """Say how much accuracy a candidate loses against a reference.

    Args:
        reference: Its logits (N, K), or log-probabilities.
        candidate: The same of the other one, finite.
        labels: (N,).
        bound: Points of top-1 that the candidate may lose.
        views: More pictures.
        among: (N,) the pictures that the drop is about; the others help to calibrate. None: all.
        peers: They are two networks, of which either may be the better one, before any label is
            seen. Else the candidate is a copy of the reference, but for rounding.
    """
    every = Views(reference, candidate, np.arange(len(labels)))
    every = every if views is None else every.and_these(views)
    chosen = np.ones(len(labels), bool) if among is None else among
    images, pictures = int(chosen.sum()), int(chosen[every.of].sum())
    knowledge = 0.5 if peers else 0.0
    scales, doubts = _calibrated(reference, candidate - reference, labels, knowledge)
    flips = _Flips.between(every, scales)
    # Views of one picture are alike, so the sample is of pictures.
    costs = flips.by_picture()[chosen]
    drop = costs.mean()
    moved = [_Flips.between(every, scales + doubt).by_picture()[chosen].mean() for doubt in doubts]
    variance = costs.var() / images + np.square(np.array(moved) - drop).sum()
    variance += (_STRANGE * drop * (1 - images / pictures)) ** 2
    right = (reference.argmax(axis=1) == labels) * 1.0 - (candidate.argmax(axis=1) == labels)
    own = flips.of_images(len(labels))
    counted = (right - own.cost)[chosen].mean()
    counted_variance = (own.at_stake - own.cost**2)[chosen].sum() / images**2
    misfit = (_MISFIT * flips.at_stake[chosen[every.of]].sum() / pictures) ** 2
    weight = misfit / (misfit + counted_variance) if misfit else 0.0
    drop += weight * counted
    # What no picture has shown yet: half a picture lost and half a one won (Agresti and Min 2005).
    unseen = 1 / min(pictures, _MOST_VIEWS * images) ** 2
    half = _Z95 * np.sqrt(variance + weight * counted_variance + unseen)
    return Verdict(
        drop=float(100 * drop),
        interval=(float(100 * (drop - half)), float(100 * (drop + half))),
        bound=bound,
        images=images,
        views=pictures - images,
    )


def compare_answers(reference: Answers, candidate: Answers, bound: float = 0.0) -> Verdict:
    """Say how much accuracy one network loses against another one on the same pictures.

    With a ``bound`` of 0 the verdict says whether it is worse: ``refused``, or not known to be.
    """
    before, after = (
        np.log(np.maximum(each.probabilities, _LEAST)) for each in (reference, candidate)
    )
    return compare_models(before, after, reference.labels, bound, peers=True)


@dataclass(frozen=True)
class _Flips:
    """What pictures on which two models disagree are expected to cost; 0 for all others.

    Attributes:
        cost: (V,) probability of the reference's answer less that of the candidate's.
        at_stake: (V,) the sum of the two.
        of: (V,) which labelled picture each shows.
    """

    cost: Floats
    at_stake: Floats
    of: npt.NDArray[np.integer]

    @classmethod
    def between(cls, pictures: Views, scales: Floats) -> _Flips:
        before, after = pictures.reference.argmax(axis=1), pictures.candidate.argmax(axis=1)
        rows = np.flatnonzero(before != after)
        logits, error = pictures.reference[rows], (pictures.candidate - pictures.reference)[rows]
        probabilities = _softmax(scales[0] * logits + scales[1] * error)
        kept, taken = (
            np.take_along_axis(probabilities, answers[rows, None], axis=1)[:, 0]
            for answers in (before, after)
        )
        cost, at_stake = np.zeros((2, len(before)))
        cost[rows], at_stake[rows] = kept - taken, kept + taken
        return cls(cost, at_stake, pictures.of)

    def by_picture(self) -> Floats:
        """Return the mean cost of each labelled picture's views, itself included."""
        mean: Floats = np.bincount(self.of, self.cost) / np.bincount(self.of)
        return mean

    def of_images(self, count: int) -> _Flips:
        """Return those of the labelled pictures themselves, which come first."""
        return _Flips(self.cost[:count], self.at_stake[:count], self.of[:count])


def _calibrated(
    logits: Floats, error: Floats, labels: Labels, knowledge: float
) -> tuple[Floats, Floats]:
    """Return a and b of softmax(a * logits + b * error), which fit the labels best, and two
    uncorrelated steps of a standard deviation.

    A temperature (arXiv 1706.04599), and how much of what sets the candidate apart is knowledge:
    b / a, which is ``knowledge`` before any label is seen. As in the calibration of bundles, one
    more answer is taken to be wrong.
    """
    features = [
        (each - each.mean(axis=1, keepdims=True)).astype(np.float64) for each in (logits, error)
    ]
    wrong = 1 / (len(labels) + 1)
    truth = [(1 - wrong) * each[np.arange(len(labels)), labels].sum() for each in features]
    scales = np.array([0.5, 0.5 * knowledge])
    apart = np.array([-knowledge, 1.0])
    for _ in range(_STEPS):
        probabilities = _softmax(scales[0] * features[0] + scales[1] * features[1])
        means = [(probabilities * each).sum(axis=1) for each in features]
        apart_by = [each - mean[:, None] for each, mean in zip(features, means, strict=True)]
        spread = np.array(
            [[np.vdot(probabilities * apart_by[i], apart_by[j]) for j in _BOTH] for i in _BOTH]
        )
        spread[0, 0] += _RIDGE
        slope = np.array([truth[i] - means[i].sum() for i in _BOTH])
        precision = np.outer(apart, apart) / (scales[0] * _KNOWLEDGE) ** 2
        curvature = spread + precision
        step = np.linalg.solve(curvature, slope - precision @ scales)
        scales = scales + np.clip(step, -_LONGEST, _LONGEST)
        scales[0] = max(scales[0], _LEAST_SCALE)
        if np.abs(step).max() < _CLOSE:
            break
    return scales, np.linalg.cholesky(np.linalg.inv(curvature)).T


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=1, keepdims=True)
    return shares
