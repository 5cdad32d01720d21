"""A run on a device: its settings, how fast each will be, and how accurate each is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from edge_fgir.models.setting import Setting
from edge_fgir.models.trained import TrainedModel
from edge_fgir.profiling.accuracies import Accuracies, Accuracy
from edge_fgir.profiling.budget import Budget, Cost
from edge_fgir.profiling.latency_model import Prediction
from edge_fgir.profiling.measured import MeasuredModel
from edge_fgir.profiling.roofline import WEIGHT_BYTES
from edge_fgir.profiling.search import Search
from edge_fgir.profiling.snapping import snapped
from edge_fgir.profiling.space import Space
from edge_fgir.profiling.speeds import Speed
from edge_fgir.profiling.work import Workload
from edge_fgir.runtime.manifest import Precision


class Way(NamedTuple):
    """A setting in a precision."""

    setting: Setting
    precision: Precision


class Candidate(NamedTuple):
    """A setting of a run whose accuracy is known."""

    of: Candidates
    setting: Setting
    accuracy: Accuracy


@dataclass
class Candidates:
    """All that one run offers.

    Args:
        run: Its folder.
        trained: What it holds.
        space: Its settings.
        speeds: How fast they are, by precision.
        accuracies: How accurate they are.
        title: Tells it from other runs.
    """

    run: Path
    trained: TrainedModel
    space: Space
    speeds: Mapping[Precision, Speed]
    accuracies: Accuracies
    title: str
    _slack: dict[Precision, float] = field(default_factory=dict)
    _predictions: dict[Way, Prediction] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.load = Workload(self.trained)

    def _ways(self) -> list[Way]:
        return [Way(s, precision) for s in self.space.whole() for precision in self.speeds]

    def predict(self, ways: Sequence[Way]) -> list[Prediction]:
        """Return milliseconds from frame to decision, medians."""
        for precision, speed in self.speeds.items():
            missing = [
                way.setting
                for way in ways
                if way.precision == precision and way not in self._predictions
            ]
            if not missing:
                continue
            works = [self.load.of(setting) for setting in missing]
            found = speed.predict_frames(works, [setting.image_size for setting in missing])
            self._predictions |= {
                Way(setting, precision): one for setting, one in zip(missing, found, strict=True)
            }
        return [
            Prediction(*(self._slack.get(way.precision, 1.0) * ms for ms in self._predictions[way]))
            for way in ways
        ]

    def learn(self, way: Way, ms: float) -> None:
        """Take a measured median into account: what turned out slower makes all others slower."""
        if way.precision in self.speeds:
            factor = ms / self.predict([way])[0].ms
            self._slack[way.precision] = self._slack.get(way.precision, 1.0) * max(factor, 1.0)

    def cost(self, way: Way, budget: Budget) -> Cost:
        """Return what a way is predicted to cost, by the budget's percentile."""
        speed = self.speeds[way.precision]
        tail = speed.tail if budget.percentile == "p99" and isinstance(speed, MeasuredModel) else 1
        return Cost(
            latency_ms=tail * self.predict([way])[0].ms,
            size_mb=self.load.params * WEIGHT_BYTES[way.precision] / 1e6,
        )

    def fitting(self, setting: Setting, budget: Budget) -> Iterator[Way]:
        """Yield the precisions in which a setting is predicted to keep a budget."""
        for precision in self.speeds:
            way = Way(setting, precision)
            if not list(budget.excess(self.cost(way, budget))):
                yield way

    def least_ms(self, setting: Setting) -> float:
        """Return the predicted latency in the fastest precision."""
        ways = [Way(setting, precision) for precision in self.speeds]
        return min(prediction.ms for prediction in self.predict(ways))

    def best(self, budget: Budget, count: int) -> tuple[list[Candidate], dict[Setting, Accuracy]]:
        """Search for the best settings within a budget.

        Returns:
            Up to ``count``, the best first; and every accuracy that was asked for.
        """
        search = Search(
            self.space,
            fits=lambda setting: next(self.fitting(setting, budget), None) is not None,
            accuracy=self.accuracies.of,
            rank=lambda setting, accuracy: self.rank(setting, accuracy, budget),
        )
        self.predict(self._ways())  # one call for all: single ones take long
        search.run()
        search.ask(self._snapped(search.best(count), budget))
        settings = search.best(count)
        return [Candidate(self, one, search.known[one]) for one in settings], search.known

    def _snapped(self, settings: Sequence[Setting], budget: Budget) -> Iterator[Setting]:
        """Yield settings with the tokens that a device with tiles gives for nothing."""
        for speed in self.speeds.values():
            if not isinstance(speed, MeasuredModel):
                continue
            for setting in settings:
                other = snapped(setting, self.load, speed.model.tile)
                if other != setting and next(self.fitting(other, budget), None) is not None:
                    yield other

    def rank(self, setting: Setting, accuracy: Accuracy, budget: Budget) -> tuple[float, float]:
        """Return what sorts settings: accuracy first, or latency among the accurate enough."""
        ms = self.least_ms(setting)
        if budget.min_accuracy is None:
            return (-accuracy.top1, ms)
        if accuracy.top1 >= budget.min_accuracy:
            return (0.0, ms)
        return (budget.min_accuracy - accuracy.top1, ms)

    def fastest(self) -> Way:
        """Return what is predicted to be the fastest of all."""
        ways = self._ways()
        predictions = self.predict(ways)
        return min(zip(predictions, ways, strict=True), key=lambda pair: pair[0].ms)[1]


def described(setting: Setting) -> str:
    """Return a setting for people."""
    size, rate, method = setting
    if rate is None:
        return f"{size} px"
    rates = f"{rate:g}" if isinstance(rate, float) else ", ".join(f"{one:g}" for one in rate)
    return f"{size} px, {method} {rates}" if rate != 1.0 else f"{size} px, all tokens"
