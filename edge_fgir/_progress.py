"""Progress of long work: a live bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from edge_fgir._text import printable, printable_lines

_LINE_INTERVAL_S = 10.0
_shown: ContextVar[bool] = ContextVar("shown", default=False)


class Meter:
    """Counts finished steps of one piece of work."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Report ``steps`` more as done; ``note`` (a loss, say) is shown behind the bar."""


class _BarMeter(Meter):
    def __init__(self, progress: Progress, title: str, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=total, note="")

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._progress.update(self._task, advance=steps, note=note)


class _LineMeter(Meter):
    def __init__(self, title: str, total: int) -> None:
        self._title, self._total, self._done = title, total, 0
        self._start = self._last = time.monotonic()

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._done += steps
        now = time.monotonic()
        if now - self._last < _LINE_INTERVAL_S and self._done < self._total:
            return
        self._last = now
        elapsed = now - self._start
        left = elapsed / self._done * (self._total - self._done) if self._done else 0.0
        sys.stderr.write(
            f"{self._title}: {self._done}/{self._total}, {_clock(elapsed)} elapsed, "
            f"{_clock(left)} left{', ' + note if note else ''}\n"
        )
        sys.stderr.flush()


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def first_process() -> bool:
    """Tell whether this is the process of a distributed run that speaks to the user."""
    return os.environ.get("RANK", "0") == "0"


def say(lines: Iterable[str]) -> None:
    """Write lines for the user on stderr, unless another process of a distributed run does."""
    if first_process():
        for line in lines:
            sys.stderr.write(f"{printable_lines(line)}\n")


@contextmanager
def progress(title: str, total: int) -> Iterator[Meter]:
    """Show the progress of ``total`` steps on stderr, with the time left, while the block runs.

    Work that is a step of other work that is shown stays quiet.
    """
    if _shown.get() or not first_process():
        yield Meter()
        return
    token = _shown.set(True)
    try:
        with _shown_meter(printable(title), total) as meter:
            yield meter
    finally:
        _shown.reset(token)


@contextmanager
def _shown_meter(title: str, total: int) -> Iterator[Meter]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _LineMeter(title, total)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=console) as bars:
        yield _BarMeter(bars, title, total)
