"""The search finds what brute force finds, with fewer questions."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic import smooth, work_of

pytest.importorskip("torch")

from edge_fgir.models.setting import Setting
from edge_fgir.profiling.search import Search
from edge_fgir.profiling.search_space import SearchSpace
from edge_fgir.results import TopOne

pytestmark = pytest.mark.unit


@pytest.fixture
def space(vitfs):
    return SearchSpace(vitfs, (64, 96, 128, 160))


def top1(setting: Setting) -> float:
    """An accuracy that grows with tokens, early ones most, and with a dent in it."""
    rates = setting.keep_rate if isinstance(setting.keep_rate, tuple) else (setting.keep_rate,) * 3
    worth = 60 + 10 * np.log2(setting.image_size / 64)
    for weight, rate in zip((4, 3, 1), rates, strict=True):
        worth -= weight * (1 - rate) ** 2 * 3
    return float(worth - (setting.method != "evit"))


class Asked:
    def __init__(self):
        self.count = 0

    def __call__(self, settings):
        self.count += len(settings)
        return [TopOne(top1=top1(setting), low=0, high=100) for setting in settings]


def ms(setting):
    return smooth(work_of(setting))


def search(space, budget, asked):
    found = Search(
        space,
        fits=lambda one: ms(one) <= budget,
        accuracy=asked,
        rank=lambda one, accuracy: (-accuracy.top1, ms(one)),
    )
    found.run()
    return found


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.6, 1.0])
def test_it_comes_within_half_a_point_of_brute_force(space, share):
    budget = float(np.quantile([ms(one) for one in space.whole()], share))
    asked = Asked()
    found = search(space, budget, asked).best(3)
    fitting = [one for one in space.whole() if ms(one) <= budget]
    best = max(top1(one) for one in fitting)
    assert all(ms(one) <= budget for one in found)
    assert top1(found[0]) >= best - 0.5
    assert asked.count < len(fitting) / 2 or len(fitting) < 60


def test_nothing_fits(space):
    asked = Asked()
    assert search(space, 0.0, asked).best(3) == []
    assert asked.count == 0


def test_no_accuracy_is_asked_for_twice(space):
    seen = []

    def accuracy(settings):
        seen.extend(settings)
        return [TopOne(top1=top1(setting), low=0, high=100) for setting in settings]

    search(space, 4.0, accuracy).best(5)
    assert len(seen) == len(set(seen))
