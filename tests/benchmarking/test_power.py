from __future__ import annotations

import threading

import pytest
from fake_machine import Clock

from edge_fgir.benchmarking import power, watch
from edge_fgir.benchmarking.power import (
    Account,
    Meter,
    Spent,
    energy,
    find_meter,
    idle,
    metered,
)
from edge_fgir.results import Energy

pytestmark = pytest.mark.unit

RAPL = "sys/class/powercap/intel-rapl:"
INA = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1/"


def rapl(number: str, name: str, joules: float, most: int = 262_143_328_850) -> dict[str, object]:
    zone = f"{RAPL}{number}/"
    return {
        zone + "name": name,
        zone + "energy_uj": round(joules * 1e6),
        zone + "max_energy_range_uj": most,
    }


def rail(number: int, name: str, millivolts: int, milliamperes: int) -> dict[str, object]:
    return {
        INA + "name": "ina3221",
        f"{INA}in{number}_label": name,
        f"{INA}in{number}_input": millivolts,
        f"{INA}curr{number}_input": milliamperes,
    }


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock(50.0)
    monkeypatch.setattr(power, "time", clock)
    return clock


def account(machine) -> Account:
    meter = find_meter(machine.system)
    assert isinstance(meter, Meter)
    return Account(meter)


def test_rapl_counts_packages_and_memory(machine, clock):
    machine.write(rapl("0", "package-0", 100) | rapl("0:0", "core", 60) | rapl("1", "psys", 500))
    machine.write(rapl("0:1", "dram", 10))
    found = account(machine)
    assert find_meter(machine.system).name == "RAPL package-0, dram"
    found.sample()
    clock.now += 2
    machine.write(rapl("0", "package-0", 130) | rapl("0:0", "core", 99) | rapl("1", "psys", 999))
    machine.write(rapl("0:1", "dram", 14))
    found.sample()
    assert found.spent.joules == pytest.approx(34)
    assert found.spent.watts == pytest.approx(17)


def test_a_rapl_counter_that_wraps(machine, clock):
    machine.write(rapl("0", "package-0", 990, most=1_000_000_000))
    found = account(machine)
    for joules in (995, 3, 8):
        found.sample()
        clock.now += 1
        machine.write(rapl("0", "package-0", joules, most=1_000_000_000))
    found.sample()
    assert found.spent.joules == pytest.approx(5 + 8 + 5)


def test_rapl_that_root_alone_may_read(machine):
    machine.write(rapl("0", "package-0", 1))
    machine.remove(RAPL + "0/energy_uj")
    (machine.root / f"{RAPL}0/energy_uj").mkdir()  # reading it is an OSError, for root too
    why = find_meter(machine.system)
    assert isinstance(why, str)
    assert why.startswith("the RAPL counters are readable by root alone: run as root")


def test_a_jetson_whose_board_has_one_rail_for_all(machine, clock):
    machine.write(rail(1, "VDD_IN", 5000, 1000) | rail(2, "VDD_CPU_GPU_CV", 5000, 600))
    found = account(machine)
    assert find_meter(machine.system).name == "INA3221 VDD_IN"
    found.sample()
    clock.now += 2
    machine.write(rail(1, "VDD_IN", 5000, 3000))
    found.sample()
    # From 5 to 15 W in two seconds.
    assert found.spent.joules == pytest.approx(20)


def test_a_jetson_whose_rails_must_be_added(machine, clock):
    for number, name in enumerate(("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"), 1):
        machine.write(rail(number, name, 10_000, 100 * number))
    found = account(machine)
    found.sample()
    clock.now += 1
    found.sample()
    assert found.spent.joules == pytest.approx(1 + 2 + 3)


def test_an_older_jetson(machine, clock):
    device = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/"
    machine.write({device + "rail_name_0": "POM_5V_IN", device + "in_power0_input": 4200})
    found = account(machine)
    found.sample()
    clock.now += 10
    found.sample()
    assert found.spent.joules == pytest.approx(42)


def test_rails_that_are_not_all_are_no_meter(machine):
    machine.write(rail(1, "VDD_CPU_CV", 5000, 600) | rail(2, "VDD_GPU_SOC", 5000, 600))
    why = find_meter(machine.system)
    assert why == "none of the rails VDD_CPU_CV, VDD_GPU_SOC is known to be the whole module"


def test_no_meter(machine):
    machine.write({"sys/class/hwmon/hwmon0/name": "coretemp"})
    assert find_meter(machine.system) == "no power meter here (neither RAPL nor INA3221)"


def test_work_is_metered_from_its_beginning_to_its_end(machine, clock, monkeypatch):
    monkeypatch.setattr(watch, "PERIOD_S", 600.0)
    machine.write(rapl("0", "package-0", 100))

    def work() -> str:
        clock.now += 4
        machine.write(rapl("0", "package-0", 160))
        return "done"

    result, spent = metered(find_meter(machine.system), work)
    assert result == "done"
    assert (spent.seconds, spent.joules, spent.lost) == (4, pytest.approx(60), "")


def test_a_meter_that_vanishes_mid_run(machine, clock, monkeypatch):
    monkeypatch.setattr(watch, "PERIOD_S", 600.0)
    machine.write(rapl("0", "package-0", 100))
    meter = find_meter(machine.system)
    _, spent = metered(meter, lambda: machine.remove(f"{RAPL}0/energy_uj"))
    assert "meter was lost during the run: intel-rapl:0/energy_uj cannot be read" in spent.lost
    found = energy(meter, Spent(3, 3), spent, 100)
    assert found == Energy(reason=spent.lost)


def test_rest_is_metered_for_three_seconds(machine, clock, monkeypatch):
    monkeypatch.setattr(watch, "PERIOD_S", 600.0)
    machine.write(rail(1, "VDD_IN", 5000, 1000))
    assert idle(find_meter(machine.system)).watts == pytest.approx(5)
    assert clock.now == pytest.approx(53)


def test_idling_is_subtracted_and_stated(machine):
    machine.write(rapl("0", "package-0", 1))
    meter = find_meter(machine.system)
    found = energy(meter, Spent(15, 3), Spent(200, 10), frames=300)
    assert found.model_dump() == {
        "joules_per_frame": pytest.approx((200 - 50) / 300),
        "watts": pytest.approx(20),
        "idle_watts": pytest.approx(5),
        "meter": "RAPL package-0",
        "reason": "",
    }


def test_without_a_meter_nothing_is_waited_for_and_the_reason_is_kept(monkeypatch):
    monkeypatch.setattr(power.time, "sleep", lambda seconds: pytest.fail("slept"))  # type: ignore[attr-defined]
    monkeypatch.setattr(threading.Thread, "start", lambda self: pytest.fail("watched"))
    result, busy = metered("no meter", lambda: 7)
    assert result == 7
    found = energy("no meter", idle("no meter"), busy, 0)
    assert found == Energy(reason="no meter")
