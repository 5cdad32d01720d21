from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from fake_machine import Clock

from edge_fgir import InputError
from edge_fgir.benchmarking import (
    Protocol,
    WarmUp,
    bundle_bench,
    fixed_rate,
    power,
    protocol,
    sustained,
    watch,
)
from edge_fgir.benchmarking.bundle_bench import Baseline
from edge_fgir.benchmarking.protocol import Runs

pytestmark = pytest.mark.unit

COUNTER = "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count"
RAPL = "sys/class/powercap/intel-rapl:0/"
INFO = {
    **{"bundle": "a.fgir", "name": "birds", "target": "openvino", "precision": "int8"},
    **{"engine": "OpenVINO on CPU", "image_size": 64, "classes": 3},
}


class Model:
    """Takes 2 ms for the network and 5 for a whole frame, and draws 10 W, at rest 4."""

    info = INFO
    bundle = SimpleNamespace(model_size=123)

    def __init__(self, machine, clock) -> None:
        self._machine, self._clock = machine, clock
        self.shapes = set()
        self.events = 5
        self._joules = 0.0
        self._write()  # once, so that there is something to be found
        machine.before_reading = self._write

    def prepare(self, frame):
        return np.zeros((64, 64, 3), np.uint8)

    def infer(self, batch):
        self.shapes.add(batch.shape)
        self.pass_time(0.002, watts=10)

    def __call__(self, frame):
        self.shapes.add(frame.shape)
        self.pass_time(0.005, watts=10)

    def pass_time(self, seconds: float, watts: float) -> None:
        self._clock.now += seconds
        self._joules += seconds * watts

    def _write(self) -> None:
        ticks = round(100 * self._clock.now)
        self._machine.work(busy=ticks, idle=ticks, own=ticks)
        self._machine.write(
            {
                COUNTER: self.events,
                RAPL + "name": "package-0",
                RAPL + "energy_uj": round(1e6 * self._joules),
                RAPL + "max_energy_range_uj": 10**12,
            }
        )


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock(100.0)
    for module in (protocol, fixed_rate, power, sustained):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(watch, "PERIOD_S", 600.0)
    return clock


@pytest.fixture
def model(machine, clock, monkeypatch) -> Model:
    model = Model(machine, clock)
    monkeypatch.setattr(clock, "sleep", lambda seconds: model.pass_time(seconds, watts=4))
    return model


SHORT = Protocol(runs=40, warm_up=WarmUp(least_s=0))


def bench(model, **options):
    return bundle_bench.bench(model, protocol=SHORT, **options).to_dict()


def test_a_quiet_run_is_certified(machine, model):
    body = bench(model, seconds=0.2, system=machine.system)
    assert (body["certified"], body["uncertified_because"]) == (True, [])
    assert (body["mode"], body["scope"]) == ("burst", "frame_to_decision")
    assert body["p50_ms"] == pytest.approx(5)
    assert body["scopes"]["network"]["p50_ms"] == pytest.approx(2)
    assert body["scopes"]["frame_to_decision"]["n"] == body["n"] >= 40
    assert body["repeats_p50_ms"] == {
        "network": pytest.approx((2, 2)),
        "frame_to_decision": pytest.approx((5, 5)),
    }
    assert body["energy"]["joules_per_frame"] is None
    assert "take turns" in body["energy"]["reason"]
    assert body["watch"]["other_work"] == 0
    assert body["watch"]["samples"] == 2
    assert model.shapes == {(480, 640, 3), (1, 64, 64, 3)}
    assert {key: body[key] for key in INFO} == INFO
    assert body["baseline"] is None


def test_both_repeats_count_and_both_must_have_settled(machine, model, monkeypatch):
    repeats = iter((Runs([0.002] * 9, True), Runs([0.004], False)))
    monkeypatch.setattr(
        bundle_bench, "time_runs", lambda calls, protocol: dict.fromkeys(calls, next(repeats))
    )
    body = bench(model, system=machine.system)
    assert (body["n"], body["steady"]) == (10, False)
    assert body["mean_ms"] == pytest.approx(2.2)
    assert "two repeats of network are 100.0 % apart (allowed: 3 %)" in body["uncertified_because"]


def test_frames_back_to_back(machine, model):
    body = bench(model, mode="sustained", seconds=60, system=machine.system)
    assert body["mode"] == "sustained"
    assert body["certified"]
    assert body["sustained"]["drift"] == pytest.approx(1)
    assert body["sustained"]["runs"] == pytest.approx(12_000, abs=60)
    assert body["n"] == pytest.approx(1200, abs=12)
    assert body["scopes"]["network"]["n"] == pytest.approx(5000, abs=50)
    assert body["repeats_p50_ms"]["sustained"] == pytest.approx((5, 5))
    # 10 W for 5 ms, without the 4 W that it draws at rest.
    assert body["energy"]["joules_per_frame"] == pytest.approx(0.03, rel=1e-3)
    assert body["energy"]["idle_watts"] == pytest.approx(4, rel=1e-3)
    assert body["energy"]["meter"] == "RAPL package-0"


def test_frames_on_a_clock(machine, model):
    body = bench(model, fps=25, seconds=4, system=machine.system)
    assert body["mode"] == "fixed_rate"
    assert body["certified"]
    assert (body["fixed_rate"]["frames"], body["fixed_rate"]["missed"]) == (100, 0)
    assert body["fixed_rate"]["duty"] == pytest.approx(0.125)
    assert body["n"] == 100
    assert body["repeats_p50_ms"]["fixed_rate"] == pytest.approx((5, 5))
    assert body["p50_ms"] == pytest.approx(5)
    assert body["energy"]["joules_per_frame"] == pytest.approx(0.03, rel=1e-3)


def test_scopes_take_the_time_that_is_asked_for(machine, model):
    body = bench(model, seconds=30, system=machine.system)
    assert body["scopes"]["network"]["n"] == pytest.approx(15_000, abs=100)


def test_a_quick_measurement_is_never_certified(machine, model):
    body = bench(model, mode="quick", system=machine.system)
    assert body["mode"] == "quick"
    assert body["uncertified_because"] == ["a quick measurement has few runs"]


def test_a_quick_measurement_can_settle(machine, model):
    latency = bundle_bench.bench(model, mode="quick", system=machine.system)
    assert latency.steady
    assert latency.scopes.network.steady
    assert latency.scopes.frame_to_decision.steady


def test_a_throttled_run_says_so(machine, model):
    call = model.infer
    model.infer = lambda batch: (setattr(model, "events", 6), call(batch))
    body = bench(model, seconds=0.2, system=machine.system)
    assert not body["certified"]
    assert "throttled: cpu0 core_throttle_count" in body["uncertified_because"][0]
    assert list(body["watch"]["throttling"]["events"]) == ["cpu0 core_throttle_count"]


def test_a_baseline_is_measured_beside_and_hides_the_memory(machine, model):
    baseline = Baseline("torch", lambda: model.pass_time(0.008, watts=10))
    machine.write({"proc/self/status": "VmHWM: 1024 kB"})
    body = bench(model, seconds=0.2, baseline=baseline, system=machine.system)
    assert body["baseline"]["times_slower"] == pytest.approx(4)
    assert set(body["repeats_p50_ms"]) == {"network", "frame_to_decision", "torch"}
    assert body["peak_memory_mb"] is None
    assert body["peak_memory_note"] == "torch is in the same process"
    alone = bench(model, seconds=0.2, system=machine.system)
    assert (alone["peak_memory_mb"], alone["peak_memory_note"]) == (1.0, "")


@pytest.mark.parametrize(
    ("compared", "note"),
    [
        ("runtimes", "its runtimes were compared in the same process; choose one with --runtime"),
        ("variants", "its variants were compared in the same process; choose one with --variant"),
    ],
)
def test_what_was_compared_in_the_same_process_hides_the_memory(machine, model, compared, note):
    machine.write({"proc/self/status": "VmHWM: 1024 kB"})
    for others, memory, why in (({"a": 1.0, "b": 2.0}, None, note), ({}, 1.0, "")):
        options = {f"{compared}_ms": others, "system": machine.system}
        body = bench(model, seconds=0.2, **options)
        assert (body["peak_memory_mb"], body["peak_memory_note"]) == (memory, why)


@pytest.mark.parametrize("options", [{}, {"mode": "sustained", "seconds": 6}, {"fps": 10.0}])
def test_the_result_is_plain_json(machine, model, options):
    body = bench(model, **{"seconds": 0.2, **options}, system=machine.system)
    assert json.loads(json.dumps(body, allow_nan=False)).keys() == body.keys()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "endless"}, "mode endless; expected one of burst, sustained"),
        ({"mode": "sustained", "fps": 30.0}, "frames a second in mode sustained; expected one of"),
        ({"fps": float("nan")}, "nan frames a second; expected a number above 0, at most 1000000"),
        ({"fps": float("inf")}, "inf frames a second; expected a number above 0"),
        ({"fps": 0.0}, "0 frames a second; expected a number above 0"),
        ({"seconds": float("nan")}, "nan seconds; expected a number above 0, at most 1000000"),
        ({"seconds": float("inf"), "fps": 30.0}, "inf seconds; expected a number above 0"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_measured(model, options, message):
    with pytest.raises(InputError, match=f"^{message}"):
        bench(model, **options)
    assert not model.shapes


@pytest.mark.parametrize("option", [("--fps", "inf"), ("--seconds", "inf")])
def test_the_command_refuses_it_before_a_bundle_is_opened(run_cli, tmp_path, option):
    done = run_cli("bench", tmp_path / "no.fgir", *option)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: {option[1]} ")
    assert done.err.count("\n") == 1
