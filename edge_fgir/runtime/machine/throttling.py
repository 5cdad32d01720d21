"""Whether heat, current or voltage slows the processor down."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edge_fgir.runtime.machine.sysfs import System, to_int

# Events since boot, by CPU (Intel) and by over-current channel (Jetson).
_COUNTERS = (
    "sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/*_throttle_count",
    "sys/class/hwmon/hwmon*/oc*_event_cnt",
)
_COOLERS = "sys/class/thermal/cooling_device*/type"
# Coolers that work by slowing down; fans are none, and intel_powerclamp is -1 at rest.
_SLOWING = ("cpufreq-", "thermal-cpufreq-", "devfreq-", "thermal-devfreq-", "Processor")
_ALERT = "throttle-alert"
_PI_FILE = "sys/devices/platform/soc*/soc*:firmware/get_throttled"
_PI_COMMAND = ("vcgencmd", "get_throttled")
_PI_BOARD = "proc/device-tree/model"
# Raspberry Pi: bits 0-3 are now, bits 16-19 since boot.
_PI_NOW, _PI_SINCE_BOOT = 0xF, 0xF0000


@dataclass(frozen=True)
class _Signal:
    name: str
    read: Callable[[], int | None]
    happened: Callable[[int, int], bool]
    first: int


class Throttling:
    """Throttle signals of a machine, and which of them were seen.

    Attributes:
        signals: How many there are.
        unknown: Why nothing can be told here; '' where there are signals.
        events: Signals that were seen, with the seconds from the start to the first sight.
    """

    def __init__(self, system: System) -> None:
        self._signals = _find(system)
        self._last = {signal.name: signal.first for signal in self._signals}
        self._start = time.monotonic()
        self.events: dict[str, float] = {}
        self.unknown = ""
        if system.is_virtual:
            # Its counters, where it shows any, are not those of the processor it runs on.
            self._signals = []
            self.unknown = "a virtual machine does not see its host's throttling"
        elif not self._signals:
            self.unknown = "no throttle counter can be read here"

    @property
    def signals(self) -> int:
        """How many signals are looked at."""
        return len(self._signals)

    def now(self) -> str | None:
        """Return a signal that is on, or was seen since this was last asked; None: there is none.

        One that cannot be read any more says nothing.
        """
        found = None
        for signal in self._signals:
            value = signal.read()
            if value is None:
                continue
            if signal.happened(self._last[signal.name], value):
                found = found or signal.name
            self._last[signal.name] = value
        return found

    def sample(self) -> None:
        """Look at all signals.

        Raises:
            OSError: One that was there cannot be read any more.
        """
        now = time.monotonic() - self._start
        for signal in self._signals:
            value = signal.read()
            if value is None:
                raise OSError(f"throttle signal {signal.name} cannot be read any more")
            if signal.happened(signal.first, value):
                self.events.setdefault(signal.name, round(now, 1))


def _find(system: System) -> list[_Signal]:
    signals = []

    def add(
        name: str, read: Callable[[], int | None], happened: Callable[[int, int], bool]
    ) -> None:
        first = read()
        if first is not None:
            signals.append(_Signal(name, read, happened, first))

    for pattern in _COUNTERS:
        for path in system.files(pattern):
            owner = next(part for part in reversed(path.parts) if part[-1].isdigit())
            add(f"{owner} {path.name}", partial(system.number, path), _rose)
    for path in system.files(_COOLERS):
        kind = system.text(path) or ""
        if kind.startswith(_SLOWING) or kind.endswith(_ALERT):
            state = path.with_name("cur_state")
            add(f"{path.parent.name} {kind}", partial(system.number, state), _is_on)
    pi = _raspberry(system)
    if pi is not None:
        add("get_throttled", pi, _pi_throttled)
    return signals


def _raspberry(system: System) -> Callable[[], int | None] | None:
    for path in system.files(_PI_FILE):
        return partial(_hexadecimal_file, system, path)
    if "Raspberry Pi" in (system.text(_PI_BOARD) or ""):
        return lambda: to_int((system.run(_PI_COMMAND) or "").partition("=")[2].strip(), 16)
    return None


def _hexadecimal_file(system: System, path: Path) -> int | None:
    return to_int(system.text(path), 16)


def _rose(first: int, now: int) -> bool:
    return now > first


def _is_on(first: int, now: int) -> bool:
    return now > 0


def _pi_throttled(first: int, now: int) -> bool:
    return bool(now & _PI_NOW or now & ~first & _PI_SINCE_BOOT)
