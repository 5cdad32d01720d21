"""A training's time is over when it is over, in however many calls it was spent."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")

from edge_fgir.fitting.clock import Clock
from edge_fgir.fitting.trainings import _Deadline
from edge_fgir.training import Finish

pytestmark = pytest.mark.unit

EPOCHS, STEPS, STEP_SECONDS, SECONDS = 20, 10, 3.0, 100.0


def train(folder: Path, state: dict[str, float], killed_after: int) -> None:
    """Train on from a state as the loop does, until the time is over or a kill after a step."""
    now = 0.0
    clock = Clock(3600, folder / "clock.json", lambda: now)
    position = SimpleNamespace(**state)
    training: Any = SimpleNamespace(position=position, recipe=SimpleNamespace(epochs=EPOCHS))
    deadline = _Deadline(clock, SECONDS)
    deadline.on_start(training)
    if position.epoch and not position.step_in_epoch:
        deadline.on_epoch(training, position.epoch)
    while position.epoch < EPOCHS:
        deadline.on_batch(training, ())
        now += STEP_SECONDS
        clock.save()
        position.step += 1
        position.seconds += STEP_SECONDS
        position.epoch, position.step_in_epoch = divmod(position.step, STEPS)
        state.update(vars(position))
        if position.step == killed_after:
            raise KeyboardInterrupt
        if not position.step_in_epoch:
            deadline.on_epoch(training, position.epoch)


@pytest.mark.parametrize("killed_after", [0, 4, 10, 17, 20, 21, 29, 30])
def test_a_resumed_training_has_no_more_time(killed_after: int, tmp_path: Path) -> None:
    """A kill after 30 steps is one after the deadline, before the training was summed up."""
    state: dict[str, float] = {"step": 0, "epoch": 0, "step_in_epoch": 0, "seconds": 0.0}
    if killed_after:
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, state, killed_after)
    with pytest.raises(Finish):
        train(tmp_path, state, 0)
    assert state["epoch"] == 3  # a fourth would end after 120 seconds
