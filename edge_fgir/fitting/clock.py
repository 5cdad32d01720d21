"""The minutes that were asked for: what is spent, over all calls, and what is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from edge_fgir._files import to_json, write_atomic
from edge_fgir._refusal import stored
from edge_fgir.results import FitStep

_SAVE_EVERY_S = 5.0


class _Spent(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    seconds: float
    steps: tuple[FitStep, ...]


_STORED = TypeAdapter(_Spent)


class Clock:
    """Counts the seconds of a fit, in a file, so that a resumed one goes on counting.

    Args:
        seconds: That were asked for.
        file: Where the count is kept.
        now: Tells the time, seconds.
    """

    def __init__(
        self, seconds: float, file: Path, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.seconds, self._file, self._now = seconds, file, now
        before = stored(_STORED, file, _Spent(seconds=0.0, steps=()))
        self._before, self._steps = before.seconds, list(before.steps)
        self._began = self._saved = now()

    @property
    def spent(self) -> float:
        """Seconds since the first call began, without the pauses between calls."""
        return self._before + self._now() - self._began

    @property
    def left(self) -> float:
        """Seconds until the time is over; 0 when it is."""
        return max(self.seconds - self.spent, 0.0)

    @property
    def steps(self) -> tuple[FitStep, ...]:
        """What was done, and how long it took."""
        return tuple(self._steps)

    @property
    def text(self) -> str:
        """The time left, for people: ``12:03 left``."""
        left = int(self.left)
        return f"{left // 60}:{left % 60:02d} left"

    def tick(self) -> None:
        """Write down what is spent, at most every few seconds."""
        if self._now() - self._saved >= _SAVE_EVERY_S:
            self.save()

    def save(self) -> None:
        """Write down what is spent."""
        self._saved = self._now()
        spent = _Spent(seconds=self.spent, steps=self.steps)
        write_atomic(self._file, to_json(spent.model_dump(mode="json")))

    @contextmanager
    def step(self, name: str, planned: float | None = None) -> Iterator[None]:
        """Count the block as one step, also when it is interrupted.

        Args:
            name: For people. Parts of one name that follow each other are one step.
            planned: Seconds that it was given.
        """
        began = self._now()
        try:
            yield
        finally:
            self._add(FitStep(name=name, seconds=self._now() - began, planned_seconds=planned))
            self.save()

    def _add(self, step: FitStep) -> None:
        if self._steps and self._steps[-1].name == step.name:
            last = self._steps.pop()
            step = step.model_copy(update={"seconds": last.seconds + step.seconds})
        self._steps.append(step)
