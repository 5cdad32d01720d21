"""Latency first: of each network the largest input size that the budget allows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from edge_fgir._errors import InputError
from edge_fgir.fitting.networks import Architecture, Candidate
from edge_fgir.results import Budget, Cost, ProbedLatency
from edge_fgir.runtime import Precision

_ROOM = 0.97
"""Share of the budget that a predicted latency may take: predictions are a few percent off."""

_BEYOND = {"latency": "too slow", "size": "files too large"}
"""What is said of what exceeds a bound, by the name that ``Budget.excess`` begins with."""

_ADDED = 1.5
"""What takes at most so many times the budget is timed again before nothing is said to keep it."""


class Prediction(Protocol):
    """What a candidate takes in a precision."""

    @property
    def ms(self) -> float:
        """From a decoded frame to the label, median."""

    @property
    def tail(self) -> float:
        """The 99th percentile over the median."""

    @property
    def size_mb(self) -> float:
        """Of the model's files."""

    @property
    def measured(self) -> bool:
        """At this input size; else interpolated."""


Predict = Callable[[Candidate, Precision], Prediction | None]


@dataclass(frozen=True)
class Considered:
    """A candidate and what it takes.

    Attributes:
        candidate: At the largest size that fits; at the smallest of all where none does.
        latencies: By precision.
    """

    candidate: Candidate
    latencies: tuple[ProbedLatency, ...]

    @property
    def fits(self) -> bool:
        """Whether it keeps the budget in some precision."""
        return any(each.fits for each in self.latencies)

    @property
    def ms(self) -> float:
        """What it takes in the fastest precision."""
        return min((each.ms for each in self.latencies), default=float("inf"))


@dataclass(frozen=True)
class Shortlist:
    """Chooses sizes within a budget.

    Attributes:
        budget: The bounds.
        precisions: In the order in which they are preferred.
        predict: What a candidate takes.
        quicker: By form and precision, the share of its prediction that a bundle took.
    """

    budget: Budget
    precisions: Sequence[Precision]
    predict: Predict
    quicker: dict[tuple[tuple[Architecture, float | None], Precision], float] = field(
        default_factory=dict
    )

    def of(self, architectures: Sequence[Architecture]) -> list[Considered]:
        """Return one candidate for each architecture and keep rate, in their order."""
        return [
            self._largest(architecture, rate)
            for architecture in architectures
            for rate in (architecture.keep_rates or (None,))
        ]

    def check(self, considered: Sequence[Considered]) -> None:
        """Refuse a budget that nothing keeps.

        Raises:
            InputError: That is so; the nearest that would be kept is named.
        """
        if not any(each.fits for each in considered):
            raise self._impossible(considered)

    def nearly(self, considered: Sequence[Considered]) -> list[Candidate]:
        """Return what would fit if it took less by what other work may have added."""
        return [
            each.candidate
            for each in considered
            if any(self._fits(found, 1 / _ADDED) for found in self._found(each.candidate).values())
        ]

    def near(self, considered: Considered) -> list[Candidate]:
        """Return what must be known exactly for a choice to be right: that it fits, and that the
        next larger size does not."""
        chosen = considered.candidate
        larger = [size for size in chosen.architecture.sizes if size > chosen.image_size]
        return [chosen, *(replace(chosen, image_size=size) for size in larger[:1])]

    def reason(self, candidate: Candidate) -> str:
        """Return why a candidate is not trained.

        It names the bounds that the candidate exceeds, in the precision in which they are fewest.
        """
        exceeded = [list(self.budget.excess(cost)) for cost in self._costs(candidate)]
        names = [line.partition(" ")[0] for line in min(exceeded, key=len, default=[])]
        tail = {"latency": self._tail}
        beyond = " and ".join(f"{_BEYOND[name]}{tail.get(name, '')}" for name in names)
        return beyond or "nothing is known of what it takes"

    def nearest(self, considered: Sequence[Considered]) -> tuple[Candidate, str] | None:
        """Return what would fit first if the bound of the latency were wider, and that bound.

        Returns:
            None where there is none: all fit, or exceed another bound as well.
        """
        others = self.budget.model_copy(update={"latency_ms": None})
        slow = [
            (cost.latency_ms, each.candidate)
            for each in considered
            if not each.fits
            for cost in self._costs(each.candidate)
            if not list(others.excess(cost))
        ]
        if not slow:
            return None
        ms, candidate = min(slow, key=lambda each: each[0])
        return candidate, f"{_up(ms):g} ms{self._tail}"

    @property
    def _tail(self) -> str:
        """Return the percentile that latencies are bounded in, where it is not the median."""
        return " (p99)" if self.budget.percentile == "p99" else ""

    def at(self, candidate: Candidate) -> Considered:
        """Return a candidate with what it takes."""
        latencies = []
        for precision, found in self._found(candidate).items():
            share = self._share(candidate, precision)
            latencies.append(
                ProbedLatency(
                    precision=precision,
                    ms=share * found.ms,
                    measured=found.measured and share == 1,
                    fits=self._fits(found, share),
                )
            )
        return Considered(candidate, tuple(latencies))

    def _found(self, candidate: Candidate) -> dict[Precision, Prediction]:
        """Return what a candidate takes in the precisions that it can be run in."""
        found = {each: self.predict(candidate, each) for each in self.precisions}
        return {precision: each for precision, each in found.items() if each is not None}

    def _fits(self, found: Prediction, share: float) -> bool:
        """Say whether a share of the time that was found keeps the budget."""
        return not list(self.budget.excess(self._cost(found, share)))

    def _costs(self, candidate: Candidate) -> list[Cost]:
        """Return what a candidate costs in each precision."""
        return [
            self._cost(found, self._share(candidate, precision))
            for precision, found in self._found(candidate).items()
        ]

    def _cost(self, found: Prediction, share: float) -> Cost:
        """Return what a share of the time that was found costs, with room for errors."""
        return Cost(latency_ms=share * self._bounded(found) / _ROOM, size_mb=found.size_mb)

    def _share(self, candidate: Candidate, precision: Precision) -> float:
        """Return the share of its prediction that a candidate's bundle took."""
        return self.quicker.get((candidate.form, precision), 1.0)

    def _bounded(self, found: Prediction) -> float:
        """Return the latency that the budget is about, ms."""
        return found.ms * (found.tail if self.budget.percentile == "p99" else 1.0)

    def learn(self, candidate: Candidate, precision: Precision, ms: float) -> None:
        """Take over what a bundle took, if that is less than was predicted.

        Other work only adds time, so what was timed while there was some is too much at all sizes.

        Args:
            candidate: What was built.
            precision: That it computes in.
            ms: Its median from a decoded frame to the label.
        """
        if (found := self.predict(candidate, precision)) is not None:
            known = self.quicker.get((candidate.form, precision), 1.0)
            self.quicker[candidate.form, precision] = min(known, ms / found.ms)

    def larger(self, candidate: Candidate, precision: Precision) -> Candidate:
        """Return the candidate at the largest size that fits in a precision, or as it is."""
        for size in reversed(candidate.architecture.sizes):
            each = self.at(replace(candidate, image_size=size))
            if size > candidate.image_size and any(
                found.fits and found.precision == precision for found in each.latencies
            ):
                return each.candidate
        return candidate

    def smaller(self, candidate: Candidate) -> Considered | None:
        """Return the candidate at the next smaller size; None where there is none."""
        sizes = [s for s in candidate.architecture.sizes if s < candidate.image_size]
        if not sizes:
            return None
        return self.at(replace(candidate, image_size=sizes[-1]))

    def _largest(self, architecture: Architecture, keep_rate: float | None) -> Considered:
        smallest = None
        for precision in self.precisions:
            for size in reversed(architecture.sizes):
                each = self.at(Candidate(architecture, size, keep_rate))
                if any(found.fits and found.precision == precision for found in each.latencies):
                    return each
                smallest = each
        assert smallest is not None
        return smallest

    def _impossible(self, considered: Sequence[Considered]) -> InputError:
        possible = [each for each in considered if each.latencies]
        if not possible:
            return InputError(
                "no network can be run on this target", "one that it can", "see the lines above"
            )
        known = [
            (found, each, precision)
            for each in possible
            for precision, found in self._found(each.candidate).items()
        ]
        fastest, nearest, precision = min(known, key=lambda each: self._bounded(each[0]))
        ms, bound = self._bounded(fastest), self.budget.latency_ms
        remedy = f"the nearest budget that one keeps is --latency-ms {_up(ms / _ROOM):g}"
        if bound is None or ms / _ROOM <= bound:
            lightest = min(found.size_mb for found, _, _ in known)
            remedy = f"the nearest budget that one keeps is --size-mb {_up(lightest):g}"
        return InputError(
            f"no network keeps {self.budget.text}: the fastest, {nearest.candidate.name} in "
            f"{precision}, takes {ms:.2f} ms{self._tail}",
            "a wider budget",
            remedy,
        )


def _up(value: float) -> float:
    """Return the next larger number of two digits."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(value / step * (1 - 1e-9)) * step
