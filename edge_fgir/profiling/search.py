"""The most accurate settings that fit a budget, by asking for few accuracies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from edge_fgir.models.setting import Setting
from edge_fgir.profiling.accuracies import Accuracy
from edge_fgir.profiling.space import Space

MOST_ROUNDS = 8
_BEAM = 4


@dataclass
class Search:
    """Climbs from the coarse grid to the best settings within a budget.

    Args:
        space: What there is.
        fits: Whether a setting keeps the budget, by prediction.
        accuracy: Measures settings.
        rank: The better, the smaller.

    Attributes:
        known: Accuracies that were asked for.
    """

    space: Space
    fits: Callable[[Setting], bool]
    accuracy: Callable[[Sequence[Setting]], Sequence[Accuracy]]
    rank: Callable[[Setting, Accuracy], tuple[float, float]]
    known: dict[Setting, Accuracy] = field(default_factory=dict)

    def climb(self) -> None:
        """Ask for the coarse grid, then for neighbours of the best until none is better."""
        self.ask(setting for setting in self.space.coarse() if self.fits(setting))
        for _ in range(MOST_ROUNDS):
            before = len(self.known)
            self.ask(
                near
                for one in self.best(_BEAM)
                for near in self.space.neighbours(one)
                if self.fits(near)
            )
            if len(self.known) == before:
                break

    def best(self, count: int) -> list[Setting]:
        """Return up to ``count`` of the settings that were asked for, the best first."""
        # Sorting is stable: of equals the first that was asked for.
        return sorted(self.known, key=lambda one: self.rank(one, self.known[one]))[:count]

    def ask(self, settings: Iterable[Setting]) -> None:
        """Measure settings that are not known yet."""
        new = [one for one in dict.fromkeys(settings) if one not in self.known]
        self.known.update(zip(new, self.accuracy(new), strict=True))
