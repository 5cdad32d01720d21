"""Which settings are worth measuring: those that say most about all the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_fgir.profiling.features import Knots, Stiffness, design_of, prior_of
from edge_fgir.profiling.workload import Work, Workload

MOST_PROBES = 16
TRANSFER_PROBES = 4
"""Of a width whose relative was measured."""

_MOST_CANDIDATES = 600
_TYPICAL = Stiffness(stem=0.3, block=1.0)
_NOISE = 0.01
_FIXED = 0.2
"""Share of a typical latency that is taken to depend on nothing."""


def choose_probes(works: Sequence[Work], load: Workload, count: int = MOST_PROBES) -> list[int]:
    """Return the places of up to ``count`` works to measure.

    Each next probe is the one that, measured, leaves the least uncertainty in the predictions of
    all works together (A-optimal design, one at a time), under the prior of the latency model and
    in relative error; until then latencies are taken to follow multiply-accumulates.

    Args:
        works: All that may be asked for.
        load: Their model.
        count: How many.
    """
    indices = np.arange(len(works))
    if len(works) > _MOST_CANDIDATES:
        indices = np.random.default_rng(0).choice(indices, _MOST_CANDIDATES, replace=False)
    asked = [works[int(index)] for index in indices]
    macs = np.array([load.macs(work) for work in asked])
    guess = _FIXED + (1 - _FIXED) * macs / np.median(macs)
    knots = Knots.over(works)
    design = design_of(asked, knots, load.dim)
    prior = prior_of(design, knots, _TYPICAL)
    weak = np.diag(1 / np.maximum(design.max(axis=0), 1e-9) ** 2) * 1e-2
    rows = design / guess[:, None]
    doubt = rows @ np.linalg.inv(prior.T @ prior + weak) @ rows.T
    chosen: list[int] = []
    while len(chosen) < min(count, len(asked)):
        gains = np.square(doubt).sum(axis=0) / (_NOISE**2 + np.diag(doubt))
        gains[chosen] = -1.0
        best = int(gains.argmax())
        chosen.append(best)
        doubt = doubt - np.outer(doubt[:, best], doubt[best]) / (_NOISE**2 + doubt[best, best])
    return [int(indices[index]) for index in chosen]
