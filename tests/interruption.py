"""Hooks that stop a training where a test wants it, as a user or a crash would."""

from __future__ import annotations

from edge_fgir.data.loaders import Pictures
from edge_fgir.training import Hook, Training


class StopBefore(Hook):
    """Interrupts a run before it learns from its batch number ``step``, counted from one."""

    def __init__(self, step: int, error: type[BaseException] = KeyboardInterrupt) -> None:
        self._step, self._error = step, error

    def on_batch(self, training: Training, pictures: Pictures) -> None:
        """Raise the error where it is time."""
        if training.position.step == self._step - 1:
            raise self._error


class StopBeforeValidation(Hook):
    """Interrupts a run when its first epoch is saved and not yet validated."""

    def on_epoch(self, training: Training, epoch: int) -> None:
        """Raise KeyboardInterrupt."""
        raise KeyboardInterrupt
