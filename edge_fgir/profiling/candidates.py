"""A run on a device: its settings, how fast each will be, and how accurate each is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from edge_fgir.models import Setting
from edge_fgir.profiling.accuracies import Accuracies
from edge_fgir.profiling.latency_model import Prediction
from edge_fgir.profiling.latency_models import Predictor
from edge_fgir.profiling.roofline import WEIGHT_BYTES
from edge_fgir.profiling.search import Search
from edge_fgir.profiling.search_space import SearchSpace
from edge_fgir.profiling.tile_rounding import tile_rounded
from edge_fgir.profiling.workload import Workload
from edge_fgir.results import Budget, Cost, TopOne
from edge_fgir.runs import TrainedModel
from edge_fgir.runtime import Precision


class Variant(NamedTuple):
    """A setting in a precision."""

    setting: Setting
    precision: Precision


class Candidate(NamedTuple):
    """A setting of a run whose accuracy is known."""

    of: Candidates
    setting: Setting
    accuracy: TopOne


@dataclass
class Candidates:
    """All that one run offers.

    Args:
        run: Its folder.
        trained: What it holds.
        space: Its settings.
        predictors: Of their latency, by precision.
        accuracies: How accurate they are.
        title: Tells it from other runs.
    """

    run: Path
    trained: TrainedModel
    space: SearchSpace
    predictors: Mapping[Precision, Predictor]
    accuracies: Accuracies
    title: str
    _slack: dict[Precision, float] = field(default_factory=dict)
    _predictions: dict[Variant, Prediction] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.load = Workload(self.trained)

    def _variants(self) -> list[Variant]:
        return [Variant(s, precision) for s in self.space.whole() for precision in self.predictors]

    def predict(self, variants: Sequence[Variant]) -> list[Prediction]:
        """Return milliseconds from frame to decision, medians."""
        for precision, predictor in self.predictors.items():
            missing = [
                variant
                for variant in variants
                if variant.precision == precision and variant not in self._predictions
            ]
            if missing:
                works = [self.load.of(variant.setting) for variant in missing]
                sizes = [variant.setting.image_size for variant in missing]
                predictions = predictor.predict_frames(works, sizes)
                self._predictions |= dict(zip(missing, predictions, strict=True))
        return [
            Prediction(*(self._factor(variant) * ms for ms in self._predictions[variant]))
            for variant in variants
        ]

    def _factor(self, variant: Variant) -> float:
        return self._slack.get(variant.precision, 1.0)

    def learn(self, variant: Variant, ms: float) -> None:
        """Take a measured median into account: what turned out slower makes all others slower."""
        if variant.precision in self.predictors:
            factor = ms / self.predict([variant])[0].ms
            self._slack[variant.precision] = self._factor(variant) * max(factor, 1.0)

    def cost(self, variant: Variant, budget: Budget) -> Cost:
        """Return what a variant is predicted to cost, by the budget's percentile."""
        tail = self.predictors[variant.precision].tail if budget.percentile == "p99" else 1.0
        return Cost(
            latency_ms=tail * self.predict([variant])[0].ms,
            size_mb=self.load.params * WEIGHT_BYTES[variant.precision] / 1e6,
        )

    def fitting(self, setting: Setting, budget: Budget) -> Iterator[Variant]:
        """Yield the precisions in which a setting is predicted to keep a budget."""
        for precision in self.predictors:
            variant = Variant(setting, precision)
            if not list(budget.excess(self.cost(variant, budget))):
                yield variant

    def least_ms(self, setting: Setting) -> float:
        """Return the predicted latency in the fastest precision."""
        variants = [Variant(setting, precision) for precision in self.predictors]
        return min(prediction.ms for prediction in self.predict(variants))

    def best(self, budget: Budget, count: int) -> tuple[list[Candidate], dict[Setting, TopOne]]:
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
        self.predict(self._variants())  # one call for all: single ones take long
        search.run()
        search.ask(self._tile_rounded(search.best(count), budget))
        settings = search.best(count)
        return [Candidate(self, each, search.known[each]) for each in settings], search.known

    def _tile_rounded(self, settings: Sequence[Setting], budget: Budget) -> Iterator[Setting]:
        """Yield settings with the tokens that a device with tiles gives for nothing."""
        for predictor in self.predictors.values():
            for setting in settings:
                other = tile_rounded(setting, self.load, predictor.tile)
                if other != setting and next(self.fitting(other, budget), None) is not None:
                    yield other

    def rank(self, setting: Setting, accuracy: TopOne, budget: Budget) -> tuple[float, float]:
        """Return what sorts settings: accuracy first, or latency among the accurate enough."""
        ms = self.least_ms(setting)
        if budget.min_accuracy is None:
            return (-accuracy.top1, ms)
        if accuracy.top1 >= budget.min_accuracy:
            return (0.0, ms)
        return (budget.min_accuracy - accuracy.top1, ms)

    def costs(self, budget: Budget) -> list[tuple[Variant, Cost]]:
        """Return every variant with what it is predicted to cost."""
        variants = self._variants()
        self.predict(variants)  # one call for all: single ones take long
        return [(variant, self.cost(variant, budget)) for variant in variants]


def described(setting: Setting) -> str:
    """Return a setting for people."""
    size, rate, method = setting
    if rate is None:
        return f"{size} px"
    rates = f"{rate:g}" if isinstance(rate, float) else ", ".join(f"{each:g}" for each in rate)
    return f"{size} px, {method} {rates}" if rate != 1.0 else f"{size} px, all tokens"
