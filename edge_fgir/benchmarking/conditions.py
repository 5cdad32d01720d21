"""What happened on the machine during a run: heat, clocks, throttling, other work, clock steps."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from edge_fgir.results import ClockRange, ClockStep, ThrottlingSeen, Watch, ZoneTemperature
from edge_fgir.runtime.machine import System, Throttling, to_int

_ZONES = "sys/class/thermal/thermal_zone*/temp"
_FREQUENCIES = "sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq"
# /proc/stat: user nice system idle iowait irq softirq steal; guests' time is in user's already.
_STAT_FIELDS, _IDLE, _IOWAIT = 8, 3, 4
# /proc/self/stat, behind the name: user, system, and the same of ended children.
_OWN_FIELDS = slice(11, 15)
# NTP slews by at most half a thousandth: more than this between two looks is a step.
_STEP_S = 0.05


class Conditions:
    """Sensors that can be read on a machine, and what they said since the first look.

    A temperature or a clock that vanishes is named in ``lost``; what a certificate needs
    (throttling, other work) must not vanish.
    """

    def __init__(self, system: System) -> None:
        self.throttling = Throttling(system)
        self.other_work = _OtherWork(system)
        self._heat = _Heat(system)
        self._clocks = _Clocks(system)
        self._steps = _ClockSteps()
        self._samples = 0

    def sample(self) -> None:
        """Look at everything once.

        Raises:
            OSError: Throttling or other work cannot be told any more.
        """
        self._heat.sample()
        self._clocks.sample()
        self._steps.sample()
        self.other_work.sample()
        self.throttling.sample()
        self._samples += 1

    def watch(self, died: str = "") -> Watch:
        """Return what was seen; ``died`` is why the watching ended early, if it did."""
        return Watch(
            samples=self._samples,
            temperatures_c=self._heat.result,
            clock_mhz=self._clocks.result,
            throttling=ThrottlingSeen(
                signals=self.throttling.signals,
                events=self.throttling.events,
                unknown=self.throttling.unknown,
            ),
            other_work=self.other_work.share,
            clock_steps=tuple(self._steps.steps),
            lost=tuple(sorted(self._heat.lost | self._clocks.lost)),
            died=died,
        )


class _Heat:
    def __init__(self, system: System) -> None:
        self._system = system
        # Zones of parts that are switched off exist and cannot be read.
        self._zones = {
            f"{path.parent.name} {system.text(path.with_name('type')) or ''}".strip(): path
            for path in system.files(_ZONES)
            if system.number(path) is not None
        }
        self._readings: dict[str, list[float]] = {}
        self.lost: set[str] = set()

    def sample(self) -> None:
        for name, path in self._zones.items():
            value = self._system.number(path)
            if value is None:
                self.lost.add(name)
                continue
            now = value / 1e3
            first, most, _ = self._readings.get(name, (now, now, now))
            self._readings[name] = [first, max(most, now), now]

    @property
    def result(self) -> dict[str, ZoneTemperature]:
        return {
            name: ZoneTemperature(first=first, max=most, last=last)
            for name, (first, most, last) in self._readings.items()
        }


class _Clocks:
    def __init__(self, system: System) -> None:
        self._system = system
        self._files = [p for p in system.files(_FREQUENCIES) if system.number(p)]
        self._readings: list[float] = []
        self.lost: set[str] = set()

    def sample(self) -> None:
        clocks = self._from_sysfs() if self._files else self._from_cpuinfo()
        if clocks:
            self._readings.append(max(clocks))

    def _from_sysfs(self) -> list[float]:
        values = {path: self._system.number(path) for path in self._files}
        self.lost |= {f"{_cpu(path)} clock" for path, value in values.items() if not value}
        return [value / 1e3 for value in values.values() if value]

    def _from_cpuinfo(self) -> list[float]:
        lines = (self._system.text("proc/cpuinfo") or "").splitlines()
        return [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]

    @property
    def result(self) -> ClockRange | None:
        if not self._readings:
            return None
        mean = round(float(np.mean(self._readings)), 1)
        return ClockRange(min=min(self._readings), mean=mean, max=max(self._readings))


def _cpu(path: Path) -> str:
    return path.parent.parent.name


class _OtherWork:
    """Time of the CPUs that neither idled nor was this process's; a hypervisor's theft counts."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._first: tuple[int, int, int] | None = None
        self._now: tuple[int, int, int] | None = None
        self.unknown = "" if self._read() else "the CPUs' times cannot be read here"

    @property
    def share(self) -> float | None:
        """Share of all CPUs' time since the first look, 0 to 1; None where nothing is known."""
        if self._first is None or self._now is None:
            return None
        total, busy, own = (b - a for a, b in zip(self._first, self._now, strict=True))
        # The counters are rounded apart from each other, so a still machine may come out below 0.
        return round(max(busy - own, 0) / total, 4) if total > 0 else None

    def sample(self) -> None:
        if self.unknown:
            return
        self._now = self._read()
        if self._now is None:
            raise OSError("the CPUs' times cannot be read any more")
        self._first = self._first or self._now

    def _read(self) -> tuple[int, int, int] | None:
        """Return ticks since boot: of all CPUs, those not idle, those of this process."""
        head = (self._system.text("proc/stat") or "").partition("\n")[0].split()
        own = (self._system.text("proc/self/stat") or "").rpartition(")")[2].split()
        times = [to_int(text) for text in head[1 : 1 + _STAT_FIELDS]]
        ours = [to_int(text) for text in own[_OWN_FIELDS]]
        if len(times) <= _IOWAIT or len(ours) < _OWN_FIELDS.stop - _OWN_FIELDS.start:
            return None
        known, mine = [t or 0 for t in times], [t or 0 for t in ours]
        total = sum(known)
        return total, total - known[_IDLE] - known[_IOWAIT], sum(mine)


class _ClockSteps:
    def __init__(self) -> None:
        self._offset: float | None = None
        self._start = time.monotonic()
        self.steps: list[ClockStep] = []

    def sample(self) -> None:
        now = time.monotonic()
        offset = time.time() - now
        if self._offset is not None and abs(step := offset - self._offset) > _STEP_S:
            self.steps.append(ClockStep(at_s=round(now - self._start, 1), step_s=round(step, 3)))
        self._offset = offset
