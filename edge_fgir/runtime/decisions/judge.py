"""From probabilities to an answer, with what is known of the place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_fgir._errors import InputError
from edge_fgir.runtime.decisions.site import Site

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Verdict:
    """One answer.

    Attributes:
        label: A class, or a parent of classes where they tie.
        name: What people are shown.
        scientific_name: Where the site file has one.
        index: Position in ``labels.txt`` of the class, or of a parent's most probable one.
        score: Its probability, 0..1, after the site's prior.
        is_unknown: No class and no parent reaches its threshold; ``label`` is the likeliest class.
    """

    label: str
    name: str
    scientific_name: str | None
    index: int
    score: float
    is_unknown: bool


class Judge:
    """A site applied to a model's classes.

    Probabilities are multiplied by the site's priors and brought to a sum of 1. The likeliest
    class that may be answered is the answer if it reaches its threshold and does not tie with its
    siblings; else its parent is asked in the same way, whose probability is its children's sum.
    A class that may not be answered keeps its probability: a picture of it becomes an unknown one,
    not a picture of the next class.

    Args:
        labels: The model's classes.
        threshold: Below this an answer is unknown, where the site has no threshold of its own.
        site: What is known of the place.

    Raises:
        InputError: The site names what the model does not know, or leaves nothing to answer.
    """

    def __init__(self, labels: Sequence[str], threshold: float, site: Site | None = None) -> None:
        site = site or Site()
        site.check(labels)
        self.labels = tuple(labels)
        self._places = {label: index for index, label in enumerate(labels)}
        self._threshold, self._tie_share = threshold, site.tie_share
        # Looked up once: a camera's frames ask for the same again and again.
        self._info = {name: site.info(name) for name in (*site.parents, *labels)}
        self._lines = {label: (label, *site.ancestors(label)) for label in labels}
        lineages = [set(self._lines[label]) for label in labels]
        denied = set(site.deny)
        allowed = None if site.allow is None else set(site.allow)
        self._allowed = np.array(
            [
                not names & denied and (allowed is None or bool(names & allowed))
                for names in lineages
            ]
        )
        if not self._allowed.any():
            raise InputError(
                "the site's allow and deny leave no class that may be answered",
                "one class at least",
            )
        priors = np.array([self._info[label].prior for label in labels])
        self._priors = None if (priors == 1).all() else priors
        self._families = {
            parent: np.array([parent in names for names in lineages]) for parent in site.parents
        }

    def posterior(self, probabilities: Floats) -> Floats:
        """Return (K,) probabilities after the site's prior."""
        if self._priors is None:
            return probabilities
        weighted = probabilities * self._priors
        posterior: Floats = weighted / weighted.sum()
        return posterior

    def scores(self, probabilities: Floats) -> Floats:
        """Return (K,) what is judged: posteriors, 0 for a class that may not be answered."""
        scores: Floats = np.where(self._allowed, self.posterior(probabilities), 0)
        return scores

    def score(self, label: str, probabilities: Floats) -> float:
        """Return the probability of a class or parent, after the site's prior."""
        return self._mass(label, self.scores(probabilities))

    def __call__(self, probabilities: Floats) -> Verdict:
        """Judge (K,) probabilities of the model."""
        allowed = self.scores(probabilities)
        index = int(allowed.argmax())
        best = self.labels[index]
        for label in self._lines[best]:
            if self._holds(label, allowed):
                return self._verdict(label, index, self._mass(label, allowed), is_unknown=False)
        return self._verdict(best, index, float(allowed[index]), is_unknown=True)

    def _holds(self, label: str, allowed: Floats) -> bool:
        info, mass = self._info[label], self._mass(label, allowed)
        least = self._threshold if info.threshold is None else info.threshold
        if mass < least:
            return False
        return info.parent is None or mass >= self._tie_share * self._mass(info.parent, allowed)

    def _mass(self, label: str, allowed: Floats) -> float:
        if label in self._families:
            return float(allowed[self._families[label]].sum())
        return float(allowed[self._places[label]])

    def _verdict(self, label: str, index: int, score: float, *, is_unknown: bool) -> Verdict:
        info = self._info[label]
        name = info.name or label
        return Verdict(label, name, info.scientific_name, index, score, is_unknown)
