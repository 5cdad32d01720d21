"""How long an inference takes, predicted from few measured ones.

All curves are found at once, as a least squares problem in relative error without negative parts,
so that nothing gets faster by more tokens, and pulled towards the smooth. How strongly is chosen by
leaving out one probe after another; that also tells how wide the interval of a prediction is.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy.optimize import nnls
from scipy.stats import t as student

from edge_fgir.profiling.features import (
    SMOOTH,
    Array,
    Knots,
    Stiffness,
    Tile,
    design_of,
    prior_of,
    tiled,
)
from edge_fgir.profiling.workload import Work

STIFFNESS = [Stiffness(stem, block) for stem in (0.1, 0.5) for block in (0.2, 1.0, 5.0)]
TILES = (SMOOTH, *(Tile(size, share) for size in (8, 16, 32) for share in (0.5, 1.0)))
"""What is tried."""

_NOISE = 0.01
"""Relative error of one probe that is taken for granted."""
_CLEARLY = 1 / 3
"""A tile must divide the error by so much: among so many, chance finds one that halves it."""
_SPENT = 0.5
"""Share of the probes that goes into the choice of stiffness and the curves' bends."""
_COVERED = 0.95
_LEAST_PROBES, _UNKNOWN = 3, 0.05
"""With fewer probes none can be left out, and the error is taken to be this."""
_TRUST = 0.5
"""How far a factor of another width may be from what arithmetic says."""


class Prediction(NamedTuple):
    """Milliseconds, and the interval that shall hold 95 % of measurements."""

    ms: float
    low: float
    high: float


class LatencyModel(BaseModel):
    """Predicts the latency of one architecture on one device, runtime and precision."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dim: Annotated[int, Field(ge=0, description="channels of a token; 0: a CNN")]
    knots: Knots
    tile: Tile = SMOOTH
    parts: Annotated[tuple[float, ...], Field(description="milliseconds of each part")]
    spread: Annotated[
        tuple[tuple[float, ...], ...],
        Field(description="covariance of the parts where the error is one"),
    ]
    error: Annotated[float, Field(ge=0, description="relative, of one left out probe")]
    probes: Annotated[int, Field(ge=1, description="measurements that it was fitted to")]

    @classmethod
    def fit(
        cls, works: Sequence[Work], ms: Sequence[float], dim: int, knots: Knots
    ) -> LatencyModel:
        """Fit measured latencies.

        Args:
            works: What was measured.
            ms: Its medians.
            dim: Channels of a token.
            knots: Where the curves may bend.
        """
        unit = float(np.median(ms))
        times = np.asarray(ms, float) / unit
        trials = []
        for tile in TILES if dim else TILES[:1]:
            design = design_of(works, knots, dim, tile)
            priors = [prior_of(design, knots, stiffness) for stiffness in STIFFNESS]
            fits = [(_left_out(design, times, prior), tile, design, prior) for prior in priors]
            trials.append(min(fits, key=itemgetter(0)))
        smooth, best = trials[0], min(trials, key=itemgetter(0))
        error, tile, design, prior = best if best[0] < _CLEARLY * smooth[0] else smooth
        return cls(
            dim=dim,
            knots=knots,
            tile=tile,
            parts=tuple((unit * _solve(design, times, prior)).tolist()),
            spread=tuple(map(tuple, (unit**2 * _spread_of(design, times, prior)).tolist())),
            error=error,
            probes=len(times),
        )

    def transferred(self, works: Sequence[Work], ms: Sequence[float], dim: int) -> LatencyModel:
        """Return the model of another width from a few measurements of it.

        Stem and blocks keep their shape over pixels and tokens; blocks follow their
        multiply-accumulates. What is fitted is one factor for the constant, the stem, the blocks
        and the reducers each, pulled towards what arithmetic says.

        Args:
            works: What was measured of the other width.
            ms: Its medians.
            dim: Its channels of a token.
        """
        knots, parts = self.knots, np.asarray(self.parts)
        tokens = np.asarray(knots.tokens)
        heights = np.cumsum(parts[knots.block]) * _block_macs(tokens, dim)
        heights = heights / _block_macs(tokens, self.dim)
        expected = parts.copy()
        expected[knots.block] = np.maximum(np.diff(heights, prepend=0.0), 0.0)
        groups = np.zeros((4, knots.parts))
        groups[0, 0] = groups[1, knots.stem] = groups[2, knots.block] = 1
        groups[3, -2:] = 1
        design = design_of(works, knots, dim, self.tile)
        times = np.asarray(ms, float)
        columns = design @ (groups * expected).T
        start = np.ones(4)
        start[1] = dim / self.dim
        rows = np.vstack((columns / times[:, None] / _NOISE, np.eye(4) / _TRUST))
        factors, _ = nnls(rows, np.hstack((np.full(len(times), 1 / _NOISE), start / _TRUST)))
        wrong = columns @ factors / times - 1
        return self.model_copy(
            update={
                "dim": dim,
                "parts": tuple((factors @ (groups * expected)).tolist()),
                "error": max(_rms(wrong) * 2, self.error),
            }
        )

    def predict(self, works: Sequence[Work]) -> list[Prediction]:
        """Return the latencies of works."""
        design = design_of(works, self.knots, self.dim, self.tile)
        ms = design @ np.asarray(self.parts)
        doubt = np.einsum("ij,jk,ik->i", design, np.asarray(self.spread), design)
        quantile = student.ppf((1 + _COVERED) / 2, max(_SPENT * self.probes, 1))
        half = quantile * self.error * np.sqrt(ms**2 + doubt)
        return [
            Prediction(float(m), max(float(m - h), 0.0), float(m + h))
            for m, h in zip(ms, half, strict=True)
        ]

    def block_ms(self, tokens: Sequence[int]) -> list[float]:
        """Return what one block takes, by its tokens: the staircase."""
        steps = np.asarray(self.parts)[self.knots.block]
        counts = np.asarray(tokens, float)
        block_ms: list[float] = (tiled(counts, self.knots, self.tile) @ steps).tolist()
        return block_ms


def _block_macs(tokens: Array, dim: int) -> Array:
    macs: Array = 12 * tokens * dim**2 + 2 * tokens**2 * dim
    return macs


def _solve(design: Array, times: Array, prior: Array) -> Array:
    rows = np.vstack((design / times[:, None] / _NOISE, prior))
    observed = np.hstack((np.full(len(times), 1 / _NOISE), np.zeros(len(prior))))
    scale = _scale(rows)
    scaled, _ = nnls(rows / scale, observed, maxiter=100 * rows.shape[1])
    parts: Array = scaled / scale
    return parts


def _spread_of(design: Array, times: Array, prior: Array) -> Array:
    """Return the covariance of the parts, for probes with a relative error of one."""
    rows = np.vstack((design / times[:, None], prior * _NOISE))
    scale = _scale(rows)
    precision = (rows / scale).T @ (rows / scale) + 1e-9 * np.eye(rows.shape[1])
    spread: Array = np.linalg.inv(precision) / np.outer(scale, scale)
    return spread


def _left_out(design: Array, times: Array, prior: Array) -> float:
    """Return the root mean square of the relative errors at probes that were left out."""
    if len(times) < _LEAST_PROBES:
        return _UNKNOWN
    errors = []
    for index in range(len(times)):
        kept = np.arange(len(times)) != index
        parts = _solve(design[kept], times[kept], prior)
        errors.append(design[index] @ parts / times[index] - 1)
    return _rms(np.asarray(errors))


def _rms(errors: Array) -> float:
    return float(np.sqrt(np.mean(np.square(errors))))


def _scale(rows: Array) -> Array:
    scale: Array = np.abs(rows).max(axis=0)
    scale[scale == 0] = 1.0
    return scale
