"""What the system tells in small files under /proc and /sys."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

_COMMAND_S = 5.0


def _run(command: tuple[str, ...]) -> str | None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_COMMAND_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


@dataclass(frozen=True)
class System:
    """A machine as its files and commands show it.

    Attributes:
        root: What stands before ``proc`` and ``sys``.
        run: Returns the output of a command, None where it fails or does not exist.
    """

    root: Path = Path("/")
    run: Callable[[tuple[str, ...]], str | None] = _run

    def files(self, pattern: str) -> list[Path]:
        """Return the files that match ``pattern``, which is relative to the root."""
        return sorted(self.root.glob(pattern))

    def text(self, path: Path | str) -> str | None:
        """Return what stands in a file; None where it cannot be read."""
        try:
            text = (self.root / path).read_text(errors="replace")
        except OSError:
            return None
        return text.strip().rstrip("\0")

    def number(self, path: Path | str) -> int | None:
        """Return the integer that stands in a file; None where there is none."""
        return to_int(self.text(path))

    def field(self, path: Path | str, name: str) -> str | None:
        """Return the rest of the first line ``name: rest`` of a file."""
        for line in (self.text(path) or "").splitlines():
            key, _, rest = line.partition(":")
            if key.strip() == name:
                return rest.strip()
        return None

    @property
    def is_virtual(self) -> bool:
        """Whether the processor says that it runs under a hypervisor (x86 alone does)."""
        return "hypervisor" in (self.field("proc/cpuinfo", "flags") or "").split()


HERE = System()
"""This machine."""


def to_int(text: str | None, base: int = 10) -> int | None:
    """Return ``text`` as an integer; None where it is none."""
    try:
        return int(text, base) if text else None
    except ValueError:
        return None


def kilobytes_to_mb(text: str | None) -> float | None:
    """Return ``"2048 kB"`` as 2.0 MiB."""
    number = to_int((text or "").partition(" ")[0])
    return None if number is None else round(number / 1024, 1)


def ranges(numbers: Iterable[int]) -> str:
    """Return numbers as the kernel writes lists of CPUs: ``0-3,6``."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
