from __future__ import annotations

import threading

import pytest

from edge_fgir.benchmarking import watch
from edge_fgir.benchmarking.watch import Watcher

pytestmark = pytest.mark.unit


@pytest.fixture
def seldom(monkeypatch) -> None:
    monkeypatch.setattr(watch, "PERIOD_S", 600.0)


def test_the_first_look_is_before_the_block_and_the_last_after_it(seldom):
    state, seen = ["before"], []
    with Watcher(lambda: seen.append(state[0])) as watcher:
        state[0] = "after"
    assert seen == ["before", "after"]
    assert watcher.died == ""


def test_it_looks_again_and_again(monkeypatch):
    monkeypatch.setattr(watch, "PERIOD_S", 0.0)
    seen, enough = [], threading.Event()

    def look() -> None:
        seen.append(1)
        if len(seen) >= 5:
            enough.set()

    with Watcher(look) as watcher:
        assert enough.wait(60)
    assert watcher.died == ""


@pytest.mark.parametrize("number", [1, 2])
def test_a_sensor_that_fails_ends_the_watching_and_not_the_block(seldom, number):
    seen = []

    def look() -> None:
        seen.append(1)
        if len(seen) == number:
            raise OSError("the sensor is gone")

    with Watcher(look) as watcher:
        done = True
    assert done
    assert watcher.died == "the sensor is gone"
    assert len(seen) == number


def test_an_error_without_a_text_has_its_name(seldom):
    def look() -> None:
        raise KeyError

    with Watcher(look) as watcher:
        pass
    assert watcher.died == "KeyError"


def test_a_sensor_that_hangs_is_a_dead_watcher(monkeypatch, seldom):
    monkeypatch.setattr(watch, "_END_S", 0.01)
    release, seen = threading.Event(), []

    def look() -> None:
        seen.append(1)
        if len(seen) == 2:
            release.wait(60)

    with Watcher(look) as watcher:
        pass
    assert watcher.died == "it did not come to its end"
    release.set()
    watcher._thread.join(60)


def test_while_it_watches_it_has_not_ended(seldom):
    with Watcher(lambda: None) as watcher:
        assert watcher.died == "it did not come to its end"


def test_an_error_of_the_block_comes_through(seldom):
    with pytest.raises(ZeroDivisionError), Watcher(lambda: None):
        _ = 1 / 0
