"""Predictions: exact where they can be, honest where they cannot."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import DIM, settings, smooth, staircase, work_of

from edge_fgir.profiling.features import SMOOTH, Knots, attention_share, design_of, rise
from edge_fgir.profiling.latency_model import LatencyModel
from edge_fgir.profiling.workload import Work

pytestmark = pytest.mark.unit

ALL = [work_of(one) for one in settings(400, seed=1)]


def fitted(device, works, noise=0.0, seed=0):
    random = np.random.default_rng(seed)
    ms = [device(work) * random.normal(1, noise) for work in works]
    return LatencyModel.fit(works, ms, DIM, Knots.over(ALL))


def errors(model, device, works):
    found = np.array([one.ms for one in model.predict(works)])
    return np.abs(found / [device(work) for work in works] - 1)


def test_a_smooth_device_is_predicted_from_sixteen_probes():
    model = fitted(smooth, ALL[:16])
    wrong = errors(model, smooth, ALL[16:])
    assert np.median(wrong) < 0.005
    assert wrong.max() < 0.05


def test_a_staircase_is_found_and_predicted():
    model = fitted(staircase, ALL[:16])
    wrong = errors(model, staircase, ALL[16:])
    assert model.tile.size == 32
    assert np.median(wrong) < 0.01
    assert np.quantile(wrong, 0.95) < 0.03


def test_noise_is_not_taken_for_a_staircase():
    works = [[work_of(one) for one in settings(16, seed=seed)] for seed in range(12)]
    found = [fitted(smooth, own, 0.02, seed).tile for seed, own in enumerate(works)]
    assert found.count(SMOOTH) >= 11


def test_the_steps_of_a_staircase_are_seen_in_a_block():
    block = np.array(fitted(staircase, ALL[:16]).block_ms(range(1, 129)))
    steps = np.diff(block)
    assert set(np.argsort(steps)[-3:] + 1) == {32, 64, 96}


@pytest.mark.parametrize("device", [smooth, staircase])
@pytest.mark.parametrize("noise", [0.0, 0.01, 0.03])
def test_intervals_hold_what_they_promise(device, noise):
    inside = []
    for seed in range(6):
        works = [work_of(one) for one in settings(16, seed=seed)]
        model = fitted(device, works, noise, seed)
        for prediction, work in zip(model.predict(ALL), ALL, strict=True):
            assert prediction.low <= prediction.ms <= prediction.high
            inside.append(prediction.low <= device(work) <= prediction.high)
    assert np.mean(inside) >= 0.9


def test_noise_widens_the_interval():
    calm, noisy = (fitted(smooth, ALL[:16], noise).predict([ALL[50]])[0] for noise in (0.002, 0.05))
    assert (noisy.high - noisy.low) / noisy.ms > 2 * (calm.high - calm.low) / calm.ms


def test_nothing_gets_faster_by_more_tokens():
    random = np.random.default_rng(0)
    ms = [staircase(work) * random.normal(1, 0.1) for work in ALL[:16]]
    steps = np.diff(LatencyModel.fit(ALL[:16], ms, DIM, Knots.over(ALL)).block_ms(range(1, 500)))
    assert (steps >= 0).all()
    assert steps.sum() > 0


def test_a_cnn_is_a_curve_over_pixels():
    works = [Work(side**2) for side in range(64, 321, 32)]
    ms = [0.2 + 3e-5 * work.pixels**1.1 for work in works]
    model = LatencyModel.fit(works[::2], ms[::2], 0, Knots.over(works))
    found = [one.ms for one in model.predict(works)]
    assert found == pytest.approx(ms, rel=0.05)
    assert found == sorted(found)


def test_a_model_is_kept_as_json():
    model = fitted(smooth, ALL[:16])
    again = LatencyModel.model_validate_json(model.model_dump_json())
    assert again.predict(ALL) == model.predict(ALL)


def test_milliseconds_have_no_preferred_unit():
    ms = [smooth(work) for work in ALL[:16]]
    one = LatencyModel.fit(ALL[:16], ms, DIM, Knots.over(ALL)).predict(ALL[20:40])
    other = LatencyModel.fit(ALL[:16], [1e4 * t for t in ms], DIM, Knots.over(ALL))
    for small, large in zip(one, other.predict(ALL[20:40]), strict=True):
        assert large == pytest.approx([1e4 * value for value in small], rel=1e-6)


@given(st.lists(st.floats(1, 500), min_size=1, max_size=12, unique=True), st.floats(0, 600))
def test_a_curve_through_knots_is_the_identity_of_their_distances(knots, value):
    knots = sorted(knots)
    if min(np.diff([0, *knots])) < 1e-3:
        return
    heights = np.diff([0, *knots])
    assert float((rise(np.array([value]), knots) @ heights)[0]) == pytest.approx(value, abs=1e-6)


@given(st.integers(1, 2000), st.integers(8, 1024))
def test_attention_and_mlp_share_a_block_by_their_macs(tokens, dim):
    attention = 4 * tokens * dim**2 + 2 * tokens**2 * dim
    mlp = 8 * tokens * dim**2
    share = float(attention_share(np.array([float(tokens)]), dim)[0])
    assert share == pytest.approx(attention / (attention + mlp))


def test_knots_lie_where_the_works_do():
    knots = Knots.over(ALL)
    tokens = {n for work in ALL for n in (*work.attention, *work.mlp)}
    assert set(knots.tokens) <= tokens
    assert (knots.tokens[0], knots.tokens[-1]) == (min(tokens), max(tokens))
    assert len(knots.tokens) == 12
    assert design_of(ALL, knots, DIM).shape == (len(ALL), knots.parts)
