"""A machine that is a folder, and a clock that only moves when told to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_fgir.runtime.machine import System


class Machine:
    """Files below a root, and what its commands print."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.commands: dict[tuple[str, ...], str] = {}
        self.before_reading: Callable[[], None] = lambda: None
        self.system: System = _Live(root, self.commands.get, lambda: self.before_reading())

    def write(self, files: dict[str, object]) -> Machine:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")
        return self

    def remove(self, *names: str) -> None:
        for name in names:
            (self.root / name).unlink()

    def work(self, *, busy: int, idle: int, own: int) -> None:
        """Set the ticks since boot: of all CPUs, and of this process and its ended children."""
        other = 9 * own  # what stands beside those fields
        ours = f"{own // 2} 2 3 {own - own // 2 - 5}"
        self.write(
            {
                "proc/stat": f"cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 2 3",
                "proc/self/stat": f"7 (a (b) c) R 1 7 7 0 -1 0 0 0 0 {other} {ours} {other} 0",
            }
        )


@dataclass(frozen=True)
class _Live(System):
    before_reading: Callable[[], None] = lambda: None

    def text(self, path: Path | str) -> str | None:
        self.before_reading()
        return super().text(path)


class Clock:
    """Time that passes while somebody sleeps, or calls."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self.wall = 1_000_000.0

    def perf_counter(self) -> float:
        return self.now

    monotonic = perf_counter

    def time(self) -> float:
        return self.wall + self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
