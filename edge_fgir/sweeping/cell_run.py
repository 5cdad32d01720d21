"""One cell on one worker: train, evaluate, write the result; go on where an earlier try stopped."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from edge_fgir._errors import EdgeFgirError, InputError
from edge_fgir._files import alone, write_atomic, write_json
from edge_fgir.data import DataSet, open_data
from edge_fgir.evaluation import evaluate
from edge_fgir.models import summarize
from edge_fgir.results import CellFile, Training
from edge_fgir.runs import Run
from edge_fgir.sweeping.cells import Cell
from edge_fgir.training import train

RESULT = "result.json"
ERROR = "error.txt"
"""In a failed cell's run folder: the traceback."""

_ACCURACIES = {"top1", "top5", "macro", "ece", "images"}
_TRAINING = {"seconds", "device", "precision"}


@dataclass(frozen=True)
class Outcome:
    """How a cell ended.

    Attributes:
        cell: Which.
        result: What its ``result.json`` says; None if it failed.
        reason: Why it failed, one line.
    """

    cell: Cell
    result: CellFile | None
    reason: str = ""


def finished(cell: Cell, out: Path) -> CellFile | None:
    """Return the result of a cell that has been trained and evaluated on its split, or None."""
    try:
        result = CellFile.model_validate_json((cell.run(out) / RESULT).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None  # evaluated again, as the run itself is there
    return result if result.split == cell.split else None


def attempt(cell: Cell, out: Path) -> Outcome:
    """Run a cell; an error of its own is its outcome and leaves the others alone."""
    error_file = cell.run(out) / ERROR
    try:
        result = run_cell(cell, out)
    except Exception as error:
        write_atomic(error_file, traceback.format_exc())
        return Outcome(cell, None, reason_of(error))
    error_file.unlink(missing_ok=True)
    return Outcome(cell, result)


def reason_of(error: BaseException) -> str:
    """Return an error as one line."""
    if isinstance(error, EdgeFgirError):
        return str(error)
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def run_cell(cell: Cell, out: Path) -> CellFile:
    """Train a cell and evaluate it, unless that is done, and return its result.

    Raises:
        EdgeFgirError: The training cannot begin or lost its numbers.
    """
    run = cell.run(out)
    run.mkdir(parents=True, exist_ok=True)
    # A worker may outlive the sweep that began it.
    with alone(run.with_suffix(".lock")):
        done = finished(cell, out)
        if done is not None:
            return done
        data = open_data(cell.source)
        if data.info.hash != cell.data.hash:
            raise InputError(
                f"{cell.source} holds other pictures than when the sweep began",
                "the same folder for all machines, unchanged",
            )
        training = train(cell.recipe, data, run, resume=True)
        result = _evaluated(run, data, cell, training)
        write_json(run / RESULT, result.model_dump(mode="json"))
        return result


def _evaluated(run: Path, data: DataSet, cell: Cell, training: Training) -> CellFile:
    opened = Run.open(run)
    evaluation = evaluate(opened.predictor(data), data, cell.split)
    described, size = opened.description, opened.description.preprocess.size
    counted = summarize(
        described.build(meta=True), described.network.name, size, described.num_classes
    )
    return CellFile(
        split=cell.split,
        **evaluation.model_dump(include=_ACCURACIES),
        params=counted.params,
        gmacs=counted.gmacs,
        architecture=described.network.name,
        image_size=size,
        **training.model_dump(include=_TRAINING),
    )
