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

EPOCHS, EPOCH_SECONDS, SECONDS = 20, 30.0, 100.0


def train(folder: Path, state: dict[str, float], killed_after: float) -> None:
    """Train on from a state as the loop does, until the time is over or a kill."""
    now = 0.0
    clock = Clock(3600, folder / "clock.json", lambda: now)
    deadline = _Deadline(clock, SECONDS)
    while state["epoch"] < EPOCHS:
        position = SimpleNamespace(seconds=EPOCH_SECONDS * state["epoch"])
        training: Any = SimpleNamespace(position=position, recipe=SimpleNamespace(epochs=EPOCHS))
        deadline.on_batch(training, ())
        now += EPOCH_SECONDS
        clock.save()
        state["epoch"] += 1
        position.seconds += EPOCH_SECONDS
        if state["epoch"] == killed_after:
            raise KeyboardInterrupt
        deadline.on_epoch(training, int(state["epoch"]))


@pytest.mark.parametrize("killed_after", [0, 1, 2])
def test_a_resumed_training_has_no_more_time(killed_after: int, tmp_path: Path) -> None:
    state = {"epoch": 0.0}
    if killed_after:
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, state, killed_after)
    with pytest.raises(Finish):
        train(tmp_path, state, 0)
    assert state["epoch"] == 3  # a fourth would end after 120 seconds
