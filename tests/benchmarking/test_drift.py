"""Times of calls on a machine that gets slower and faster."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_fgir.benchmarking.drift import without_drift

pytestmark = pytest.mark.unit


@given(
    own=st.lists(st.floats(1e-4, 10), min_size=1, max_size=12),
    slowness=st.lists(st.floats(0.5, 3), min_size=1, max_size=30),
)
def test_a_common_slowness_drops_out(own, slowness):
    found = without_drift(np.outer(own, slowness))
    usual = np.exp(np.median(np.log(slowness)))
    assert found == pytest.approx(np.array(own) * usual, rel=1e-6)


def test_a_drift_that_medians_see_is_taken_off():
    random = np.random.default_rng(0)
    own = np.linspace(5, 50, 16)
    slowness = np.exp(np.cumsum(random.normal(0, 0.08, 40)))
    times = np.outer(own, slowness) * random.normal(1, 0.02, (16, 40))
    apart = [found / own for found in (without_drift(times), np.median(times, axis=1))]
    polished, plain = (np.std(ratio / ratio.mean()) for ratio in apart)
    assert polished < 0.01
    assert polished <= plain


def test_a_hiccup_of_one_call_is_its_own():
    times = np.tile([[1.0], [2.0], [3.0]], (1, 9))
    times[1, 4] = 50
    assert without_drift(times) == pytest.approx([1, 2, 3])


def test_a_call_that_left_out_rounds_has_its_own_time():
    slowness = np.exp(np.random.default_rng(0).normal(0, 0.2, 40))
    times = np.outer([1.0, 2.0, 3.0, 4.0], slowness)
    whole = without_drift(times)
    times[1, 10:] = times[3, :25] = np.nan
    assert without_drift(times) == pytest.approx(whole)
