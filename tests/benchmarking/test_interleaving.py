"""Short measurements: noise of all calls drops out, that of one is noticed, and time is bounded."""

from __future__ import annotations

from itertools import chain, count, repeat

import numpy as np
import pytest

from edge_fgir.benchmarking import interleaving
from edge_fgir.benchmarking.interleaving import interleave
from edge_fgir.benchmarking.protocol import PROBES, Runs, StoppingRule

pytestmark = pytest.mark.unit

CALM, SLOW = [0.010] * 20, [0.013] * 20
FEWEST, LEAST, MOST = PROBES.stop.fewest, PROBES.stop.brief, PROBES.stop.most


class Script:
    """What timing finds of each call, block by block, on a clock of its own."""

    def __init__(self, monkeypatch):
        self.asked, self.warm_ups, self.now = [], [], 0.0
        monkeypatch.setattr(interleaving, "time_runs", self._time_runs)
        monkeypatch.setattr(interleaving.time, "monotonic", lambda: self.now)  # type: ignore[attr-defined]

    def play(self, script, *, brief=(), block_s=0.1, protocol=PROBES):
        self._script = {name: iter(blockes) for name, blockes in script.items()}
        self._block_s = block_s
        return interleave(dict.fromkeys(script, lambda: None), protocol, brief)

    def _time_runs(self, calls, protocol):
        self.asked.append(list(calls))
        self.warm_ups.append(protocol.warm_up.most_s)
        self.now += self._block_s
        return {name: Runs(next(self._script[name]), steady=True) for name in calls}


@pytest.fixture
def script(monkeypatch):
    return Script(monkeypatch)


def noisy(seconds, spread=0.06):
    rng = np.random.default_rng(int(1e7 * seconds))
    while True:
        yield list(seconds * np.exp(rng.normal(0, spread, 20)))


def test_calm_calls_are_timed_briefly(script):
    found = script.play({"a": repeat(CALM), "b": repeat([0.020] * 20)})
    assert len(script.asked) == LEAST
    assert found["a"].seconds == pytest.approx(0.010)
    assert found["b"].seconds == pytest.approx(0.020)
    assert not found["a"].disturbed


def test_what_slows_all_alike_disturbs_none(script):
    found = script.play({name: chain([SLOW, SLOW], repeat(CALM)) for name in "abc"})
    assert len(script.asked) == LEAST
    assert not any(one.disturbed for one in found.values())


def test_what_is_disturbed_for_a_while_is_timed_for_longer(script):
    calm = {name: repeat(CALM) for name in "bcd"}
    found = script.play({"a": chain([CALM] * 2, [SLOW] * 2, repeat(CALM)), **calm})
    assert LEAST < len(script.asked) < MOST
    assert not found["a"].disturbed
    assert found["a"].seconds == pytest.approx(0.010)


def test_calls_are_warmed_up_once(script):
    script.play({"a": repeat(CALM)})
    assert [seconds > 0 for seconds in script.warm_ups] == [True] + [False] * (LEAST - 1)


def test_what_never_settles_is_flagged_and_nothing_else(script):
    calm = {name: repeat(CALM) for name in "bcd"}
    found = script.play({"a": ([0.010 * 1.1**step] * 20 for step in count()), **calm})
    assert len(script.asked) == MOST
    assert {name for name, one in found.items() if one.disturbed} == {"a"}


def test_noise_is_averaged_until_the_times_are_exact(script):
    truth = {str(place): 0.010 + 0.001 * place for place in range(30)}
    found = script.play({name: noisy(seconds) for name, seconds in truth.items()})
    assert LEAST < len(script.asked) < MOST
    wrong = np.log([found[name].seconds / seconds for name, seconds in truth.items()])
    assert np.std(wrong) < 0.008
    assert not any(one.disturbed for one in found.values())


def test_no_more_time_is_taken_than_allowed(script):
    short = PROBES.model_copy(update={"stop": StoppingRule(seconds=2.5)})
    calls = {str(place): noisy(0.010 + 0.001 * place, 0.2) for place in range(30)}
    script.play(calls, block_s=10.0, protocol=short)
    assert len(script.asked) == 7


def test_what_is_very_slow_is_still_compared_with_itself(script):
    calm = {name: repeat(CALM) for name in "bcd"}
    found = script.play({"a": chain([CALM], repeat(SLOW)), **calm}, block_s=1000.0)
    assert len(script.asked) == FEWEST
    assert {name for name, one in found.items() if one.disturbed} == {"a"}


def test_brief_calls_drop_out_and_keep_their_times(script):
    networks = {f"{place} network": noisy(0.010 + place / 1e3) for place in range(9)}
    frames = {f"{place} frame": noisy(0.020 + place / 1e3) for place in range(9)}
    found = script.play({**networks, **frames}, brief=list(frames))
    assert [len(asked) for asked in script.asked[: LEAST + 1]] == [18] * LEAST + [9]
    assert not any("frame" in name for asked in script.asked[LEAST:] for name in asked)
    assert len(found["0 frame"].all) == 20 * LEAST
    assert len(found["0 network"].all) == 20 * len(script.asked)
    assert found["0 frame"].seconds == pytest.approx(0.020, rel=0.05)
