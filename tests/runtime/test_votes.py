from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_fgir.runtime.decisions import EventOptions, Votes

pytestmark = pytest.mark.unit


def options(**values) -> EventOptions:
    return EventOptions(moment_s=0.5, memory_s=1e9, **values)


def together(frames, correlation=0.5, step=1.0):
    votes = Votes(options(correlation=correlation))
    for index, frame in enumerate(frames):
        votes.add(np.asarray(frame), index * step)
    return votes.probabilities


@st.composite
def distributions(draw, least=1, most=6):
    """Frames of one visit, each a distribution over four classes."""
    values = st.lists(st.floats(0.01, 1), min_size=4, max_size=4)
    return [np.array(v) / sum(v) for v in draw(st.lists(values, min_size=least, max_size=most))]


correlations = st.floats(0, 1)


@given(distributions(most=1), correlations)
def test_one_frame_is_the_models_own_answer(frames, correlation):
    assert together(frames, correlation) == pytest.approx(frames[0], abs=1e-9)


@given(distributions(), correlations)
def test_it_is_a_distribution(frames, correlation):
    assert together(frames, correlation).sum() == pytest.approx(1)


@given(distributions(least=2), correlations)
def test_the_order_of_moments_does_not_matter(frames, correlation):
    assert together(frames[::-1], correlation) == pytest.approx(together(frames, correlation))


@given(distributions(), correlations)
def test_the_order_of_classes_does_not_matter(frames, correlation):
    turned = together([frame[::-1] for frame in frames], correlation)
    assert turned[::-1] == pytest.approx(together(frames, correlation))


@given(distributions())
def test_independent_votes_multiply(frames):
    product = np.prod(frames, axis=0)
    assert together(frames, 0) == pytest.approx(product / product.sum(), rel=1e-6)


@given(distributions(most=1), st.integers(1, 50))
def test_one_opinion_repeated_is_one_opinion_if_votes_are_fully_correlated(frames, times):
    assert together(frames * times, 1) == pytest.approx(frames[0], rel=1e-6)


@given(distributions(most=1), st.integers(2, 50), correlations)
def test_frames_of_one_moment_are_one_vote(frames, times, correlation):
    assert together(frames * times, correlation, step=0.5 / 50) == pytest.approx(frames[0])


@given(distributions(most=1), st.integers(1, 20), correlations)
def test_agreement_never_lowers_the_score(frames, times, correlation):
    fewer, more = (together(frames * n, correlation).max() for n in (times, times + 1))
    assert more >= fewer - 1e-9


@given(distributions(least=2), st.floats(0, 0.9))
def test_the_more_correlated_the_less_sure(frames, correlation):
    assert together(frames, correlation).max() >= together(frames, correlation + 0.1).max() - 1e-9


def test_no_frame_rules_a_class_out():
    found = together([[0, 1.0], [1.0, 0], [1.0, 0]], 0)
    assert found[0] > 0.99
    assert np.isfinite(found).all()


def test_old_votes_fade():
    votes = Votes(EventOptions(moment_s=0.5, memory_s=10, correlation=0.5))
    for second in range(10):
        votes.add(np.array([0.9, 0.1]), second)
    for second in range(100, 103):
        votes.add(np.array([0.2, 0.8]), second)
    assert votes.probabilities.argmax() == 1
    assert (votes.frames, votes.moments) == (13, 13)


def test_ctrl_c_at_any_line_leaves_votes_that_can_be_read():
    frames = [np.array([0.7, 0.3]), np.array([0.6, 0.4])]

    def interrupted(at: int) -> bool:
        """Raise KeyboardInterrupt at line number ``at`` of those run; whether there was one."""
        lines = 0

        def trace(frame, event, _):
            nonlocal lines
            if not frame.f_code.co_filename.endswith("votes.py"):
                return None
            if event == "line":
                lines += 1
                if lines == at:
                    raise KeyboardInterrupt
            return trace

        votes = Votes(options(correlation=0.5))
        votes.add(frames[0], 0.0)
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            votes.add(frames[1], 1.0)
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(before)
            counted = frames[: votes.frames]
            assert votes.moments == len(counted)
            assert votes.probabilities == pytest.approx(together(counted))
        return False

    at = 1
    while interrupted(at):
        at += 1
    assert at > 5
