"""The settings that a run's weights may be deployed at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from edge_fgir._errors import InputError
from edge_fgir.models import Setting
from edge_fgir.models.reduction import METHODS, Reduction
from edge_fgir.runs import TrainedModel

RATES = (1.0, 0.85, 0.7, 0.55, 0.4, 0.25)
"""Keep rates that a stage may have."""

_SCALES = (0.5, 0.625, 0.75, 0.875, 1.0, 1.25)
"""Sides that are tried where training did not say, over the trained one."""
_STEP, _LEAST = 16, 32


class SearchSpace:
    """All settings.

    Args:
        trained: The model.
        sizes: Input sides, pixels; empty: those it was trained for, else some about its own.

    Attributes:
        sizes: Input sides, ascending.
        methods: Reduction methods that the weights serve, their own first; none of a CNN.
        stages: Reductions on the way.

    Raises:
        InputError: A size is not one that the model takes.
    """

    def __init__(self, trained: TrainedModel, sizes: Sequence[int] = ()) -> None:
        reduction = trained.network.reduction
        self.methods = _methods(reduction)
        self.stages = len(reduction.blocks) if reduction is not None else 0
        self._fixed: tuple[float, ...] = ()
        if reduction is not None and METHODS[reduction.method].fixed:
            self._fixed = reduction.rates
        for size in sizes:
            _check(trained, size)
        self.sizes = tuple(sorted(sizes or trained.elastic_sizes or _sizes(trained)))

    def coarse(self) -> Iterator[Setting]:
        """Yield every size with every keep rate, the same in all stages."""
        for setting in self.whole():
            if self._fixed or len(set(self.rates_of(setting))) < 2:
                yield setting

    def whole(self) -> Iterator[Setting]:
        """Yield every size with every keep rate in every stage."""
        for size in self.sizes:
            if not self.methods:
                yield Setting(size)
            for index, method in enumerate(self.methods):
                for rates in self._rates(method):
                    # Where nothing is dropped, methods do not differ.
                    if index == 0 or min(rates) < 1:
                        rate = rates[0] if len(set(rates)) == 1 else rates
                        yield Setting(size, rate, method)

    def rates_of(self, setting: Setting) -> tuple[float, ...]:
        """Return the keep rate of each stage; none of a CNN."""
        rate = setting.keep_rate
        if rate is None:
            return ()
        return rate if isinstance(rate, tuple) else (rate,) * self.stages

    def _rates(self, method: str) -> Iterator[tuple[float, ...]]:
        if self._fixed:
            yield self._fixed
        else:
            yield from product(_legal(method), repeat=self.stages)


def _check(trained: TrainedModel, size: int) -> None:
    """Raise InputError if the model does not take pictures of a size."""
    trained.at(Setting(size)).build(meta=True)


def _sizes(trained: TrainedModel) -> set[int]:
    own = trained.preprocess.size
    sizes = {own}
    for scale in _SCALES:
        size = max(round(own * scale / _STEP) * _STEP, _LEAST)
        try:
            _check(trained, size)
        except InputError:
            continue
        sizes.add(size)
    return sizes


def _methods(reduction: Reduction | None) -> tuple[str, ...]:
    """Return the methods that the weights serve, their own first."""
    if reduction is None:
        return ()
    names = (reduction.method, *sorted(reduction.interchangeable - {reduction.method}))
    # A cost that every picture decides for itself cannot be predicted.
    return tuple(name for name in names if METHODS[name].drops and not METHODS[name].adaptive)


def _legal(method: str) -> list[float]:
    """Return the keep rates that a method takes."""
    rates = []
    for rate in RATES:
        try:
            Reduction(method=method, keep_rate=rate)
        except ValueError:
            continue
        rates.append(rate)
    return rates
