"""Energy, where a meter can be read: Intel RAPL, or the INA3221 monitors of a Jetson."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from edge_fgir.benchmarking.watch import Watcher
from edge_fgir.results import Energy
from edge_fgir.runtime.machine import System

_RAPL = "sys/class/powercap/intel-rapl:*/name"
_INA = ("sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*", "sys/class/hwmon/hwmon*")
_INA_NAME = "ina3221"
# JetPack 4 and early 5 show the monitors through the iio drivers instead.
_IIO = ("sys/bus/i2c/drivers/ina3221x/*/iio:device*/rail_name_*",)
# Rails that together are the whole module; boards have one of these sets.
_TOTALS = (("VDD_IN",), ("POM_5V_IN",), ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"))
_ROOT_ONLY = (
    "the RAPL counters are readable by root alone: run as root, or let this user read "
    "/sys/class/powercap/*/energy_uj"
)
_IDLE_S = 3.0

T = TypeVar("T")


class Meter(ABC):
    """A power meter; energies are of what ``name`` says, not of the process alone."""

    name: str

    @abstractmethod
    def read(self) -> list[int]:
        """Read the sensors.

        Raises:
            OSError: One cannot be read any more.
        """

    @abstractmethod
    def joules(self, before: Sequence[int], now: Sequence[int], seconds: float) -> float:
        """Return the energy between two readings that are ``seconds`` apart."""


class Rapl(Meter):
    """Energy counters of the processor's packages and memory, which start again at their range."""

    def __init__(self, system: System, zones: Sequence[Path]) -> None:
        self._system, self._zones = system, zones
        self.name = "RAPL " + ", ".join(system.text(zone / "name") or "" for zone in zones)
        self._ranges = [system.number(zone / "max_energy_range_uj") or 0 for zone in zones]

    def read(self) -> list[int]:
        """Read the counters, microjoules."""
        return [_must(self._system, zone / "energy_uj") for zone in self._zones]

    def joules(self, before: Sequence[int], now: Sequence[int], seconds: float) -> float:
        """Return the sum over the counters, each of which may have wrapped once."""
        spans = zip(before, now, self._ranges, strict=True)
        return sum(b - a if b >= a else b - a + most for a, b, most in spans) / 1e6


class Rails(Meter):
    """Voltage and current of the rails that together are the whole module."""

    def __init__(self, system: System, rails: dict[str, tuple[Path, ...]]) -> None:
        self._system, self._rails = system, rails
        self.name = "INA3221 " + " + ".join(rails)

    def read(self) -> list[int]:
        """Read the power of every rail, microwatts."""
        powers = []
        for factors in self._rails.values():
            power = 1 if len(factors) > 1 else 1000  # mV times mA, or mW at once
            for path in factors:
                power *= _must(self._system, path)
            powers.append(power)
        return powers

    def joules(self, before: Sequence[int], now: Sequence[int], seconds: float) -> float:
        """Return the area under a straight line between the two readings."""
        return (sum(before) + sum(now)) / 2 * seconds / 1e6


def find_meter(system: System) -> Meter | str:
    """Return the machine's power meter, or why there is none."""
    zones = _rapl_zones(system)
    if zones:
        if any(system.number(zone / "energy_uj") is None for zone in zones):
            return _ROOT_ONLY
        return Rapl(system, zones)
    rails = _rails(system)
    for names in _TOTALS:
        if all(name in rails for name in names):
            return Rails(system, {name: rails[name] for name in names})
    if rails:
        return f"none of the rails {', '.join(rails)} is known to be the whole module"
    return "no power meter here (neither RAPL nor INA3221)"


def _rapl_zones(system: System) -> list[Path]:
    names = {path.parent: system.text(path) or "" for path in system.files(_RAPL)}
    return [zone for zone, name in names.items() if name.startswith("package") or name == "dram"]


def _rails(system: System) -> dict[str, tuple[Path, ...]]:
    rails: dict[str, tuple[Path, ...]] = {}
    for pattern in _INA:
        for folder in system.files(pattern):
            if system.text(folder / "name") == _INA_NAME:
                for label in sorted(folder.glob("in*_label")):
                    number = label.name[2:].partition("_")[0]
                    paths = folder / f"in{number}_input", folder / f"curr{number}_input"
                    _add_rail(system, rails, label, paths)
    for pattern in _IIO:
        for label in system.files(pattern):
            number = label.name.rpartition("_")[2]
            _add_rail(system, rails, label, (label.with_name(f"in_power{number}_input"),))
    return rails


def _add_rail(
    system: System, rails: dict[str, tuple[Path, ...]], label: Path, paths: tuple[Path, ...]
) -> None:
    name = system.text(label)
    if name and all(system.number(path) is not None for path in paths):
        rails.setdefault(name, paths)


def _must(system: System, path: Path) -> int:
    value = system.number(path)
    if value is None:
        raise OSError(f"{path.parent.name}/{path.name} cannot be read any more")
    return value


@dataclass
class Spent:
    """Energy of a stretch of time.

    Attributes:
        joules: Of everything behind the meter.
        seconds: How long the meter was read.
        lost: Why the joules are not to be used; '' where they are.
    """

    joules: float = 0.0
    seconds: float = 0.0
    lost: str = ""

    @property
    def watts(self) -> float:
        """Mean power."""
        return self.joules / self.seconds if self.seconds else 0.0


class Account:
    """Adds up what a meter says from look to look."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._last: tuple[float, list[int]] | None = None
        self.spent = Spent()

    def sample(self) -> None:
        """Read the meter once.

        Raises:
            OSError: It cannot be read any more.
        """
        now, reading = time.monotonic(), self._meter.read()
        if self._last is not None:
            at, before = self._last
            self.spent.joules += self._meter.joules(before, reading, now - at)
            self.spent.seconds += now - at
        self._last = now, reading


def metered(meter: Meter | str, work: Callable[[], T]) -> tuple[T, Spent]:
    """Run ``work`` and return its result and what it spent; without a meter, why it is unknown."""
    if isinstance(meter, str):
        return work(), Spent(lost=meter)
    account = Account(meter)
    with Watcher(account.sample) as watcher:
        result = work()
    if watcher.died:
        account.spent.lost = f"the meter was lost during the run: {watcher.died}"
    return result, account.spent


def idle(meter: Meter | str) -> Spent:
    """Return what the machine spends in three seconds of rest."""
    if isinstance(meter, str):
        return Spent(lost=meter)
    return metered(meter, lambda: time.sleep(_IDLE_S))[1]


def energy(meter: Meter | str, rest: Spent, busy: Spent, frames: int) -> Energy:
    """Return the energy of a frame.

    Args:
        meter: What was read.
        rest: Before the run.
        busy: During the run.
        frames: How many were answered in it.
    """
    reason = busy.lost or rest.lost
    if isinstance(meter, str) or reason:
        return Energy(reason=reason)
    return Energy(
        joules_per_frame=(busy.joules - rest.watts * busy.seconds) / frames,
        watts=busy.watts,
        idle_watts=rest.watts,
        meter=meter.name,
    )
