"""Time that is counted over calls, and decisions that are taken once."""

from __future__ import annotations

import pytest

from edge_fgir.fitting.clock import Clock
from edge_fgir.fitting.journal import Journal

pytestmark = pytest.mark.unit


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_resumed_clock_goes_on_and_pauses_do_not_count(tmp_path) -> None:
    time = Time()
    clock = Clock(100, tmp_path / "clock.json", time)
    with clock.step("probes", planned=20):
        time.now += 30
    assert (clock.spent, clock.left) == (30, 70)
    time.now += 5000  # killed here: what came after the last step is not known
    again = Clock(100, tmp_path / "clock.json", time)
    assert again.spent == 30
    with again.step("training"):
        time.now += 90
    assert again.left == 0
    assert [(each.name, each.seconds) for each in again.steps] == [("probes", 30), ("training", 90)]


def test_an_interrupted_step_is_counted_and_goes_on_under_its_name(tmp_path) -> None:
    time = Time()
    clock = Clock(100, tmp_path / "clock.json", time)

    def interrupted() -> None:
        with clock.step("training"):
            time.now += 10
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    again = Clock(100, tmp_path / "clock.json", time)
    with again.step("training"):
        time.now += 5
    assert [(each.name, each.seconds) for each in again.steps] == [("training", 15)]


def test_a_tick_writes_now_and_then(tmp_path) -> None:
    time = Time()
    clock = Clock(100, tmp_path / "clock.json", time)
    time.now += 1
    clock.tick()
    assert not (tmp_path / "clock.json").exists()
    time.now += 10
    clock.tick()
    assert Clock(100, tmp_path / "clock.json", time).spent == 11


def test_a_decision_is_taken_once(tmp_path) -> None:
    first = Journal(tmp_path / "journal.json")
    assert first.number("epochs", lambda: 7) == 7
    assert Journal(tmp_path / "journal.json").number("epochs", lambda: 9) == 7
    assert Journal(tmp_path / "journal.json").number("other", lambda: 9) == 9
