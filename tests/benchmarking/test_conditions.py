from __future__ import annotations

import json

import pytest
from fake_machine import Clock

from edge_fgir.benchmarking import conditions
from edge_fgir.benchmarking.conditions import Conditions

pytestmark = pytest.mark.unit

ZONE = "sys/class/thermal/thermal_zone0/"
OTHER_ZONE = "sys/class/thermal/thermal_zone1/"
CLOCKS = [f"sys/devices/system/cpu/cpu{i}/cpufreq/scaling_cur_freq" for i in (0, 1)]


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock(50.0)
    monkeypatch.setattr(conditions, "time", clock)
    return clock


def test_heat_rises_and_falls(machine):
    machine.write({ZONE + "type": "cpu-thermal", ZONE + "temp": 41000})
    found = Conditions(machine.system)
    for temperature in (41000, 83500, 60000):
        machine.write({ZONE + "temp": temperature})
        found.sample()
    assert found.watch().model_dump(mode="json")["temperatures_c"] == {
        "thermal_zone0 cpu-thermal": {"first": 41.0, "max": 83.5, "last": 60.0}
    }
    assert found.watch().model_dump(mode="json")["samples"] == 3


def test_sensors_that_vanish_are_named_and_what_they_said_is_kept(machine):
    machine.write({ZONE + "temp": 41000, OTHER_ZONE + "temp": 30000})
    machine.write(dict.fromkeys(CLOCKS, 1_800_000))
    found = Conditions(machine.system)
    found.sample()
    machine.remove(ZONE + "temp", CLOCKS[1])
    machine.write({CLOCKS[0]: 900_000, OTHER_ZONE + "temp": 31000})
    found.sample()
    body = found.watch().model_dump(mode="json")
    assert body["lost"] == ["cpu1 clock", "thermal_zone0"]
    assert body["temperatures_c"]["thermal_zone0"] == {"first": 41.0, "max": 41.0, "last": 41.0}
    assert body["temperatures_c"]["thermal_zone1"]["last"] == 31.0
    assert body["clock_mhz"] == {"min": 900.0, "mean": 1350.0, "max": 1800.0}


def test_a_zone_that_is_switched_off_is_no_sensor(machine):
    machine.write({ZONE + "type": "cv0-thermal", ZONE + "temp": ""})
    found = Conditions(machine.system)
    found.sample()
    assert (
        found.watch().model_dump(mode="json")["temperatures_c"],
        found.watch().model_dump(mode="json")["lost"],
    ) == ({}, [])


def test_the_clock_is_the_fastest_cpus(machine):
    machine.write({CLOCKS[0]: 600_000, CLOCKS[1]: 2_400_000})
    found = Conditions(machine.system)
    found.sample()
    machine.write({CLOCKS[0]: 2_200_000, CLOCKS[1]: 600_000})
    found.sample()
    assert found.watch().model_dump(mode="json")["clock_mhz"] == {
        "min": 2200.0,
        "mean": 2300.0,
        "max": 2400.0,
    }


def test_without_cpufreq_the_clock_is_in_cpuinfo(machine):
    machine.write({"proc/cpuinfo": "processor : 0\ncpu MHz\t: 2596.1\n\ncpu MHz\t: 2600.5"})
    found = Conditions(machine.system)
    found.sample()
    assert found.watch().model_dump(mode="json")["clock_mhz"] == {
        "min": 2600.5,
        "mean": 2600.5,
        "max": 2600.5,
    }


def test_other_work_is_what_neither_idles_nor_is_ours(machine):
    machine.work(busy=1000, idle=5000, own=100)
    found = Conditions(machine.system)
    found.sample()
    machine.work(busy=1150, idle=5050, own=220)
    found.sample()
    assert found.other_work.share == pytest.approx(30 / 200)
    assert found.watch().model_dump(mode="json")["other_work"] == found.other_work.share


def test_waiting_for_a_disk_is_idling_and_theft_is_work(machine):
    own = "7 (x) R" + " 0" * 10 + " 0 0 0 0 20"
    machine.write({"proc/stat": "cpu 0 0 0 0 0 0 0 0 0 0", "proc/self/stat": own})
    found = Conditions(machine.system)
    found.sample()
    machine.write({"proc/stat": "cpu 0 0 0 60 30 0 0 10 5 5"})
    found.sample()
    assert found.other_work.share == pytest.approx(0.1)


def test_rounded_ticks_never_make_work_negative(machine):
    machine.work(busy=1000, idle=5000, own=100)
    found = Conditions(machine.system)
    found.sample()
    machine.work(busy=1050, idle=5000, own=151)
    found.sample()
    assert found.other_work.share == 0


def test_times_that_vanish_mid_run_are_an_error(machine):
    machine.work(busy=1, idle=1, own=1)
    found = Conditions(machine.system)
    found.sample()
    machine.remove("proc/self/stat")
    with pytest.raises(OSError, match="times cannot be read any more"):
        found.sample()


def test_a_wall_clock_that_steps_back(machine, clock):
    found = Conditions(machine.system)
    for slew in (0.0, 0.001, 0.002):
        clock.now += 0.5
        clock.wall += slew
        found.sample()
    assert found.watch().model_dump(mode="json")["clock_steps"] == []
    clock.now += 0.5
    clock.wall -= 3600.0
    found.sample()
    clock.now += 0.5
    found.sample()
    assert found.watch().model_dump(mode="json")["clock_steps"] == [
        {"at_s": 2.0, "step_s": -3600.0}
    ]


def test_a_machine_that_tells_nothing(machine):
    found = Conditions(machine.system)
    found.sample()
    body = found.watch().model_dump(mode="json")
    assert (body["temperatures_c"], body["clock_mhz"], body["other_work"]) == ({}, None, None)
    assert body["throttling"]["unknown"]
    assert found.other_work.unknown
    assert json.loads(json.dumps(body)) == body
