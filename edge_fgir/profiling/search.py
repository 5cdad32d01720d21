"""The most accurate settings that fit a budget, by asking for few accuracies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from edge_fgir.models import Setting
from edge_fgir.profiling.search_space import SearchSpace
from edge_fgir.results import TopOne

_ROUNDS, _ASKED = 4, 12
_RIDGE = 0.01
"""Holds down what the few accuracies say nothing of; all features are between 0 and 1."""


@dataclass
class Search:
    """Asks for the coarse grid, and then for what is expected to be best.

    What is expected comes from least squares on all that is known: a parabola in the input side and
    in each stage's keep rate, and for each method a level and a slope in what it drops.

    Args:
        space: What there is.
        fits: Whether a setting keeps the budget, by prediction.
        accuracy: Measures settings.
        rank: The better, the smaller.

    Attributes:
        known: Accuracies that were asked for.
    """

    space: SearchSpace
    fits: Callable[[Setting], bool]
    accuracy: Callable[[Sequence[Setting]], Sequence[TopOne]]
    rank: Callable[[Setting, TopOne], tuple[float, float]]
    known: dict[Setting, TopOne] = field(default_factory=dict)

    def run(self) -> None:
        """Ask for the coarse grid, then for the most promising settings, round by round."""
        self.ask(setting for setting in self.space.coarse() if self.fits(setting))
        fitting = [setting for setting in self.space.whole() if self.fits(setting)]
        for _ in range(_ROUNDS):
            left = [setting for setting in fitting if setting not in self.known]
            if not left:
                break
            expected = dict(zip(left, self._expected(left), strict=True))
            self.ask(sorted(left, key=lambda each: self.rank(each, expected[each]))[:_ASKED])

    def best(self, count: int) -> list[Setting]:
        """Return up to ``count`` of the settings that were asked for, the best first."""
        # Sorting is stable: of equals the first that was asked for.
        return sorted(self.known, key=lambda each: self.rank(each, self.known[each]))[:count]

    def ask(self, settings: Iterable[Setting]) -> None:
        """Measure settings that are not known yet."""
        new = [each for each in dict.fromkeys(settings) if each not in self.known]
        self.known.update(zip(new, self.accuracy(new), strict=True))

    def _expected(self, settings: Sequence[Setting]) -> list[TopOne]:
        """Return what the known accuracies let expect of others."""
        if not self.known:
            return [TopOne(top1=0, low=0, high=100)] * len(settings)
        rows = np.array([self._features(setting) for setting in self.known])
        top1 = np.array([accuracy.top1 for accuracy in self.known.values()])
        gram = rows.T @ rows + _RIDGE * np.eye(rows.shape[1])
        weights = np.linalg.solve(gram, rows.T @ (top1 - top1.mean()))
        others = np.array([self._features(setting) for setting in settings])
        return [
            TopOne(top1=float(top1), low=0, high=100) for top1 in others @ weights + top1.mean()
        ]

    def _features(self, setting: Setting) -> list[float]:
        least, most = self.space.sizes[0], self.space.sizes[-1]
        side = (setting.image_size - least) / max(most - least, 1)
        rates = self.space.rates_of(setting)
        dropped = 1 - sum(rates) / len(rates) if rates else 0.0
        values = [side, *rates]
        own = [float(setting.method == method) for method in self.space.methods]
        return [
            1.0,
            *values,
            *(value**2 for value in values),
            *own,
            *(dropped * each for each in own),
        ]
