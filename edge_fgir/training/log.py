"""The log of a run: one JSON object a line, and the same figures for TensorBoard."""

from __future__ import annotations

import json
import math

from pydantic import ValidationError
from torch.utils.tensorboard import SummaryWriter

from edge_fgir._files import read_utf8, write_atomic
from edge_fgir._run_files import RunFiles
from edge_fgir.results import HistoryLine


class Log:
    """Losses and validations in the order of the steps.

    Args:
        run: The run folder.
    """

    def __init__(self, run: RunFiles) -> None:
        self._run, self._path = run, run.metrics
        self._writer: SummaryWriter | None = None

    def forget_after(self, step: int) -> None:
        """Drop the lines that an interrupted run wrote after its last saved state."""
        if self._path.exists():
            lines = read_utf8(self._path, "the log of the run").splitlines()
            kept = [line for line in lines if _step_of(line) <= step]
            write_atomic(self._path, "".join(f"{line}\n" for line in kept))

    def write(self, values: dict[str, float]) -> None:
        """Add a line: ``step``, ``epoch`` and figures by name."""
        with self._path.open("a") as file:
            file.write(json.dumps(values) + "\n")
        step = int(values["step"])
        if self._writer is None:
            self._writer = SummaryWriter(str(self._run.path), purge_step=step)
        for name in values.keys() - {"step", "epoch"}:
            tag = name.replace("_", "/") if name != "loss" else "train/loss"
            self._writer.add_scalar(tag, values[name], step)

    def lines(self) -> tuple[HistoryLine, ...]:
        """Return every line."""
        lines = read_utf8(self._path, "the log of the run").splitlines()
        return tuple(HistoryLine.model_validate_json(line) for line in lines)

    def has_validation(self, step: int) -> bool:
        """Say whether the network was validated after so many steps."""
        if not self._path.exists():
            return False
        return any(each.step == step and each.val_top1 is not None for each in self.lines())

    def close(self) -> None:
        """Write out what TensorBoard has not got yet."""
        if self._writer is not None:
            self._writer.close()


def _step_of(line: str) -> float:
    """Return the step of a line; a line that is damaged or cut off comes after every step."""
    try:
        return HistoryLine.model_validate_json(line).step
    except ValidationError:
        return math.inf
