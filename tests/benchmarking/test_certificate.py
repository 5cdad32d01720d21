from __future__ import annotations

import pytest

from edge_fgir.benchmarking import watch
from edge_fgir.benchmarking.certificate import objections
from edge_fgir.benchmarking.conditions import Conditions
from edge_fgir.benchmarking.watch import Watcher

pytestmark = pytest.mark.unit

COUNTER = "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count"
CLOSE = {"network": (2.0, 2.05)}


@pytest.fixture
def judge(machine, monkeypatch):
    """Watch a quiet machine while ``run`` is called, and return what speaks against that run."""
    monkeypatch.setattr(watch, "PERIOD_S", 600.0)

    def judged(run=lambda: None, repeats=CLOSE, *, others: int = 0, files=None) -> tuple[str, ...]:
        machine.write({COUNTER: 5} if files is None else files)
        machine.work(busy=1000, idle=1000, own=0)
        conditions = Conditions(machine.system)
        with Watcher(conditions.sample) as watcher:
            machine.work(busy=1100 + others, idle=1100 - others, own=100)
            run()
        return objections(conditions, watcher, repeats)

    return judged


def test_nothing_speaks_against_a_quiet_run(judge):
    assert judge() == ()


def test_a_throttle_counter_that_rises_mid_run(judge, machine):
    (reason,) = judge(lambda: machine.write({COUNTER: 6}))
    assert reason.startswith("throttled: cpu0 core_throttle_count, first ")


def test_many_signals_are_one_reason(judge, machine):
    other = COUNTER.replace("core_", "package_")
    (reason,) = judge(lambda: machine.write({COUNTER: 6, other: 1}), files={COUNTER: 5, other: 0})
    assert "and 1 more" in reason


def test_a_watcher_that_dies(judge, machine):
    reasons = judge(lambda: machine.remove(COUNTER))
    assert reasons == (
        "the watcher died: throttle signal cpu0 core_throttle_count cannot be read any more",
    )


def test_a_machine_without_a_throttle_counter(judge):
    assert judge(files={}) == ("throttling is unknown: no throttle counter can be read here",)


@pytest.mark.parametrize(("others", "allowed"), [(9, True), (10, False), (50, False)])
def test_work_of_other_processes(judge, others, allowed):
    reasons = judge(others=others)
    if allowed:
        assert reasons == ()
    else:
        assert reasons == (f"other work took {others / 2:.0f} % of the CPUs (allowed: below 5 %)",)


def test_work_that_cannot_be_told(judge, machine):
    machine.write({"proc/stat": "cpu"})
    machine.work = lambda **ticks: None
    assert judge() == ("other work is unknown: the CPUs' times cannot be read here",)


def test_a_run_too_short_for_the_ticks(judge, machine):
    machine.work(busy=1, idle=1, own=0)
    machine.work = lambda **ticks: None
    assert judge() == ("other work is unknown: the run was too short to tell",)


@pytest.mark.parametrize(
    ("medians", "agree"),
    [((2.0, 2.0), True), ((2.0, 2.059), True), ((2.0, 2.07), False), ((2.07, 2.0), False)],
)
def test_two_repeats_agree_within_three_percent(judge, medians, agree):
    reasons = judge(repeats={**CLOSE, "frame": medians})
    wanted = () if agree else ("two repeats of frame are 3.5 % apart (allowed: 3 %)",)
    assert reasons == wanted


def test_one_repeat_is_no_agreement(judge):
    assert judge(repeats={"fixed_rate": None}) == ("fixed_rate was not measured twice",)


def test_every_reason_is_given(judge, machine):
    reasons = judge(lambda: machine.write({COUNTER: 9}), repeats={"network": (1.0, 2.0)}, others=90)
    assert [reason.split()[0] for reason in reasons] == ["throttled:", "other", "two"]
