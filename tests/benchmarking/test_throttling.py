from __future__ import annotations

import pytest
from fake_machine import Clock

from edge_fgir.runtime.machine import Throttling, throttling

pytestmark = pytest.mark.unit

CORE = "sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count"
PACKAGE = "sys/devices/system/cpu/cpu1/thermal_throttle/package_throttle_count"
OVER_CURRENT = "sys/class/hwmon/hwmon3/oc2_event_cnt"
COOLER = "sys/class/thermal/cooling_device0/"
PI_FILE = "sys/devices/platform/soc/soc:firmware/get_throttled"
PI_COMMAND = ("vcgencmd", "get_throttled")


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock(50.0)
    monkeypatch.setattr(throttling, "time", clock)
    return clock


def test_a_counter_that_rises_mid_run(machine, clock):
    machine.write({CORE: 7, PACKAGE: 3})
    found = Throttling(machine.system)
    found.sample()
    assert (found.signals, found.events, found.unknown) == (2, {}, "")
    clock.now += 12.34
    machine.write({CORE: 8})
    found.sample()
    clock.now += 5
    machine.write({CORE: 9, PACKAGE: 4})
    found.sample()
    assert found.events == {"cpu1 core_throttle_count": 12.3, "cpu1 package_throttle_count": 17.3}


def test_an_over_current_event_of_a_jetson(machine, clock):
    machine.write({OVER_CURRENT: 0})
    found = Throttling(machine.system)
    machine.write({OVER_CURRENT: 1})
    found.sample()
    assert list(found.events) == ["hwmon3 oc2_event_cnt"]


@pytest.mark.parametrize(
    "kind", ["cpufreq-cpu0", "thermal-cpufreq-0", "gpu-throttle-alert", "Processor"]
)
def test_a_cooler_that_slows_down(machine, clock, kind):
    machine.write({COOLER + "type": kind, COOLER + "cur_state": 0})
    found = Throttling(machine.system)
    found.sample()
    assert found.events == {}
    machine.write({COOLER + "cur_state": 2})
    found.sample()
    machine.write({COOLER + "cur_state": 0})
    found.sample()
    assert found.events == {f"cooling_device0 {kind}": 0.0}


def test_a_cooler_that_slowed_down_before_the_run_still_does(machine, clock):
    machine.write({COOLER + "type": "cpufreq-cpu0", COOLER + "cur_state": 2})
    found = Throttling(machine.system)
    found.sample()
    assert found.events


@pytest.mark.parametrize("kind", ["Fan", "pwm-fan", "intel_powerclamp"])
def test_other_coolers_say_nothing(machine, clock, kind):
    machine.write({COOLER + "type": kind, COOLER + "cur_state": 3})
    assert Throttling(machine.system).unknown == "no throttle counter can be read here"


@pytest.mark.parametrize(
    ("before", "now", "throttled"),
    [
        (0x0, 0x0, False),
        (0x50000, 0x50000, False),  # since boot, before the run
        (0x50000, 0x70000, True),  # a new one, over between two looks
        (0x0, 0x4, True),
        (0x50005, 0x50005, True),  # before the run, and still
    ],
)
@pytest.mark.parametrize("source", ["file", "command"])
def test_a_raspberry_pi(machine, clock, source, before, now, throttled):
    def set_to(bits: int) -> None:
        if source == "file":
            machine.write({PI_FILE: f"{bits:x}"})
        else:
            machine.commands[PI_COMMAND] = f"throttled=0x{bits:x}\n"

    machine.write({"proc/device-tree/model": "Raspberry Pi 5 Model B\0"})
    set_to(before)
    found = Throttling(machine.system)
    set_to(now)
    found.sample()
    assert list(found.events) == ["get_throttled"] * throttled


def test_a_signal_that_vanishes_is_an_error(machine, clock):
    machine.write({CORE: 0, PACKAGE: 0})
    found = Throttling(machine.system)
    machine.remove(PACKAGE)
    with pytest.raises(OSError, match="cpu1 package_throttle_count cannot be read any more"):
        found.sample()


def test_signals_that_cannot_be_read_are_none(machine, clock):
    machine.write({CORE: "what?"})
    machine.write({"proc/device-tree/model": "Raspberry Pi 4"})
    found = Throttling(machine.system)
    found.sample()
    assert (found.signals, found.unknown) == (0, "no throttle counter can be read here")


def test_a_virtual_machine_does_not_know(machine, clock):
    machine.write({CORE: 0, "proc/cpuinfo": "flags\t\t: fpu hypervisor avx2"})
    found = Throttling(machine.system)
    machine.write({CORE: 1})
    found.sample()
    assert (found.signals, found.events) == (0, {})
    assert found.unknown == "a virtual machine does not see its host's throttling"


def test_what_is_on_now_is_told_once_for_a_counter_and_as_long_as_it_is_on_for_a_cooler(machine):
    cooler = {COOLER + "type": "thermal-cpufreq-0", COOLER + "cur_state": 0}
    machine.write({CORE: 7, PACKAGE: 3, **cooler})
    found = Throttling(machine.system)
    assert found.now() is None
    machine.write({PACKAGE: 4})
    assert [found.now(), found.now()] == ["cpu1 package_throttle_count", None]
    machine.write({COOLER + "cur_state": 1})
    assert [found.now(), found.now()] == ["cooling_device0 thermal-cpufreq-0"] * 2
    machine.write({COOLER + "cur_state": 0})
    assert found.now() is None
    machine.remove(CORE, PACKAGE, COOLER + "cur_state")
    assert found.now() is None
