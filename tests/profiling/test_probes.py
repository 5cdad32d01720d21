"""Probes: few, and well chosen."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from synthetic import DIM, SIZES, settings, tiles, work_of

from edge_fgir.models.setting import Setting
from edge_fgir.profiling.features import Knots
from edge_fgir.profiling.latency_model import LatencyModel
from edge_fgir.profiling.probes import MOST_PROBES, choose_probes
from edge_fgir.profiling.workload import Work, block_macs

pytestmark = pytest.mark.unit


class Load:
    """A workload that is not asked for a network."""

    def __init__(self, dim=DIM):
        self.dim = dim

    def macs(self, work):
        return 100 * work.pixels + block_macs(work, self.dim)


def test_there_are_at_most_sixteen_and_they_differ():
    works = [work_of(one) for one in settings(1500)]
    chosen = choose_probes(works, Load())
    assert len(chosen) == len(set(chosen)) == MOST_PROBES
    assert chosen == choose_probes(works, Load())


def test_few_settings_are_all_probed():
    works = [Work(side**2) for side in (64, 96, 128)]
    assert sorted(choose_probes(works, Load(0))) == [0, 1, 2]


def test_they_span_all_sizes_and_token_counts():
    works = [work_of(one) for one in settings(1500)]
    chosen = [works[place] for place in choose_probes(works, Load())]
    assert {min(w.pixels for w in chosen), max(w.pixels for w in chosen)} == {96**2, 320**2}
    least = min(min(w.mlp) for w in works)
    assert min(min(w.mlp) for w in chosen) <= 2 * least


@pytest.mark.parametrize("size", [16, 32])
def test_they_beat_probes_drawn_at_random(size):
    rates = (1.0, 0.85, 0.7, 0.55, 0.4, 0.25)
    space = [work_of(Setting(side, each)) for side in SIZES for each in product(rates, repeat=3)]
    held_out = [work_of(one) for one in settings(200, seed=5)]
    knots, device = Knots.over(space), tiles(size)
    truth = [device(work) for work in held_out]

    def worst(places):
        probes = [space[place] for place in places]
        model = LatencyModel.fit(probes, [device(work) for work in probes], DIM, knots)
        found = np.array([one.ms for one in model.predict(held_out)])
        return np.quantile(np.abs(found / truth - 1), 0.99)

    random = np.random.default_rng(0)
    drawn = [worst(random.choice(len(space), MOST_PROBES, replace=False)) for _ in range(7)]
    assert worst(choose_probes(space, Load())) < np.median(drawn)
