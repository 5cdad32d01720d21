"""What others may watch or stop in a training: hooks that the loop calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_fgir.data.loaders import Pictures
    from edge_fgir.training.loop import Training


class Finish(Exception):  # noqa: N818
    """Raised by a hook's ``on_epoch`` to end a training early and well: the run is finished there.

    What has been learned so far is validated and kept, as after the last epoch.
    """


class Hook:
    """Called by the loop at fixed points; a subclass overrides the methods that it needs.

    An exception that a hook raises ends the training there, as an interruption would: the run can
    be resumed from its last checkpoint. After :class:`Finish` it is finished.
    """

    def on_start(self, training: Training) -> None:
        """Everything is built and, in a resumed run, restored; nothing has been learned yet."""

    def on_batch(self, training: Training, pictures: Pictures) -> None:
        """A batch is about to be learned from; ``training.position.step`` steps are done."""

    def on_epoch(self, training: Training, epoch: int) -> None:
        """An epoch's steps are done and saved; its validation, if it has one, follows.

        Args:
            training: The training.
            epoch: How many epochs are done.
        """

    def on_end(self, training: Training) -> None:
        """The run folder is complete."""
