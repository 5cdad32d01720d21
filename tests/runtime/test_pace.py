"""The controller of several models, on simulated clocks and devices."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_fgir import InputError
from edge_fgir.runtime.pace import Pace, PaceOptions

pytestmark = pytest.mark.unit

OPTIONS = PaceOptions(target_fps=30)
SETTLE_S, HOLD_S = OPTIONS.settle_s, OPTIONS.hold_s
FRAME_S = 1 / 30

Cost = Callable[[float, int], float]
"""Seconds that a frame takes at a time and a level."""


def run(
    cost: Cost,
    seconds: float,
    levels: int = 2,
    throttled: Callable[[float], str | None] = lambda now: None,
    period: float = FRAME_S,
) -> tuple[list[tuple[float, int]], int]:
    """Return the changes (when, to which level) and how many frames were late."""
    now, late, changes = 0.0, 0, []
    names = tuple(f"model {level}" for level in range(levels))
    pace = Pace(names, OPTIONS, lambda: throttled(now))
    while now < seconds:
        level = pace.level
        busy = cost(now, level)
        late += busy > FRAME_S
        now += max(busy, period)
        if pace.update(now, busy) != level:
            changes.append((now, pace.level))
    return changes, late


def test_a_model_that_keeps_up_is_left_alone():
    assert run(lambda now, level: 0.030, 100) == ([], 0)


def test_too_slow_a_model_is_left_within_two_seconds_and_after_a_second_trial_for_good():
    changes, late = run(lambda now, level: (0.040, 0.010)[level], 3600)
    (left, first), (tried, second), (left_again, third) = changes
    assert (first, second, third) == (1, 0, 1)
    assert left < 2
    assert tried > left + OPTIONS.longest_hold_s
    assert left_again < tried + 2
    assert late < 60


def test_single_late_frames_change_nothing():
    slow = iter(range(10**6))
    changes, late = run(lambda now, level: 0.1 if next(slow) % 10 == 0 else 0.01, 60)
    assert changes == []
    assert late > 100


def test_a_throttled_device_goes_down_and_a_cool_one_up():
    def cost(now: float, level: int) -> float:
        return (0.025, 0.010)[level] * (2 if 20 <= now < 60 else 1)

    (down, _), (up, level) = run(cost, 120)[0]
    assert 20 < down < 20 + SETTLE_S + 0.5
    assert 60 < up < 60 + SETTLE_S + 0.5  # the hold is long over by then
    assert level == 0


def test_a_device_that_says_it_throttles_steps_down_before_frames_are_late_and_up_when_it_cools(
    caplog: pytest.LogCaptureFixture,
):
    """Frames take 29 of 33 ms from 20 s to 60 s: in time, but with nothing to spare."""

    def cost(now: float, level: int) -> float:
        return (0.025, 0.010)[level] * (1.16 if 20 <= now < 60 else 1)

    def throttled(now: float) -> str | None:
        return "cooling_device0" if 20 <= now < 60 else None

    assert run(cost, 120) == ([], 0)
    changes, late = run(cost, 120, throttled=throttled)
    (down, first), (up, second) = changes
    assert (first, second, late) == (1, 0, 0)
    assert 20 < down < 20 + OPTIONS.look_s + SETTLE_S
    assert 60 < up < 60 + OPTIONS.look_s + SETTLE_S
    assert "the device throttles (cooling_device0): model 1 answers from now on" in caplog.text


def test_a_throttled_device_with_time_to_spare_is_left_alone():
    assert run(lambda now, level: 0.015, 60, throttled=lambda now: "hot") == ([], 0)


def test_it_does_not_go_up_while_the_device_throttles():
    def cost(now: float, level: int) -> float:
        return (0.020, 0.010)[level] * (2 if now < 5 else 1)

    cool, _ = run(cost, 300)
    hot, _ = run(cost, 300, throttled=lambda now: "hot")
    assert [level for _, level in cool] == [1, 0]
    assert [level for _, level in hot] == [1]


@pytest.mark.parametrize("levels", [2, 3])
@pytest.mark.parametrize("camera_fps", [5, 12, 30])
@pytest.mark.parametrize("slower", [2, 6])
@pytest.mark.parametrize("lasts", [0.3, 0.5, 0.8, 1.2])
def test_a_burst_of_other_work_costs_a_minute_of_the_larger_model(
    lasts: float, slower: float, camera_fps: float, levels: int
):
    """Where it ends as the larger one is left, its last figure is of another time."""
    for begin in (0.1, 20, 20.4):

        def cost(now: float, level: int, begin: float = begin) -> float:
            return 0.020 / 2**level * (slower if begin <= now < begin + lasts else 1)

        changes, _ = run(cost, begin + 200, levels, period=1 / camera_fps)
        if changes:
            *_, (last, level) = changes
            assert level == 0
            assert last < begin + lasts + (levels - 1) * (OPTIONS.believed_s + 5)


@pytest.mark.parametrize("slower", [2, 6])
@pytest.mark.parametrize("lasts", [0.8, 1.2])
def test_a_burst_that_begins_with_the_first_frame_costs_ten_minutes(lasts: float, slower: float):
    """Until then it looks as if the larger one were always late."""
    changes, _ = run(lambda now, level: (0.020, 0.010)[level] * (slower if now < lasts else 1), 900)
    (_, first), (back, second) = changes
    assert (first, second) == (1, 0)
    assert back < OPTIONS.longest_hold_s + 5


def test_work_that_stays_is_tried_against_ever_more_rarely():
    """A model that was in time for twenty seconds, and is late from then on."""

    def cost(now: float, level: int) -> float:
        return (0.020, 0.010)[level] * (1 if now < 20 else 2)

    changes, late = run(cost, 3600)
    ups = [when for when, level in changes if level == 0]
    assert 1 <= len(ups) <= 24
    assert late < 800
    assert ups[-1] - ups[-2] > OPTIONS.longest_hold_s


def test_it_goes_down_step_by_step_as_far_as_there_are_models():
    changes, _ = run(lambda now, level: (0.2, 0.1, 0.05)[level], 30, levels=3)
    assert [level for _, level in changes] == [1, 2]


def test_a_larger_model_is_not_tried_where_it_would_be_late():
    # 32 ms would be in time, but leave nothing to spare.
    changes, _ = run(lambda now, level: (0.040 if now < 5 else 0.032, 0.010)[level], 600)
    assert [level for _, level in changes] == [1]


def test_failed_trials_become_rare():
    """A device that keeps up with the large model for five seconds, until it is too warm."""
    heat, throttled = 0.0, False

    def cost(now: float, level: int) -> float:
        nonlocal heat, throttled
        heat = max(0.0, heat + (FRAME_S if level == 0 else -FRAME_S))
        throttled = heat > (2 if throttled else 5)
        return (0.025, 0.005)[level] * (1.6 if throttled else 1)

    changes, late = run(cost, 3600)
    assert 4 <= len(changes) <= 24  # without doubling: about 400
    assert late < 1000
    ups = [when for when, level in changes if level == 0]
    gaps = [after - before for before, after in pairwise(ups)]
    assert all(after > before - FRAME_S for before, after in pairwise(gaps))


phases = st.lists(
    st.tuples(st.floats(0.2, 20), st.floats(0.1, 6), st.floats(0.5, 4)), min_size=1, max_size=8
)


@given(phases, st.integers(2, 4))
def test_it_never_flaps_faster_than_the_hysteresis(drawn, levels):
    """Whatever load comes and goes: settling before every change, the hold before each way up."""
    ends, total = [], 0.0
    for seconds, load, ratio in drawn:
        total += seconds
        ends.append((total, load, ratio))

    def cost(now: float, level: int) -> float:
        load, ratio = next(((load, ratio) for end, load, ratio in ends if now < end), (1, 2))
        return 0.02 * load / ratio**level

    changes, _ = run(cost, total, levels)
    level = 0
    for (before, _), (when, now) in pairwise([(0.0, 0), *changes]):
        assert abs(now - level) == 1
        assert 0 <= now < levels
        assert when - before >= (SETTLE_S if now > level else HOLD_S) - FRAME_S
        level = now


@pytest.mark.parametrize("fps", [0, -1, float("nan"), 1e9])
def test_rates_that_are_none_are_refused(fps):
    with pytest.raises(InputError, match="target_fps"):
        PaceOptions(target_fps=fps)
