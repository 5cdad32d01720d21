"""Trainings of a fit: each in a folder that is named by its content, so that none is done twice."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_fgir._files import sha256
from edge_fgir.data import DataSet, labels_of, prepared_images
from edge_fgir.evaluation import Floats, Labels, macro, top_k, wilson_interval
from edge_fgir.fitting.clock import Clock
from edge_fgir.fitting.judging import Answers
from edge_fgir.fitting.networks import Candidate
from edge_fgir.results import FitStage, FitTraining, TopOne, Training
from edge_fgir.runs import Recipe, Run
from edge_fgir.training import Finish, Hook, train, train_fingerprint, training_key

if TYPE_CHECKING:
    from edge_fgir.training import Training as Loop

RUNS, VAL = "runs", "val.npy"
"""Folder of the run folders; in each of them: its logits on the validation split."""


@dataclass(frozen=True)
class Trained:
    """A finished training and what it says of the validation split.

    Attributes:
        candidate: What was trained.
        run: Its folder.
        record: For the result.
        logits: (N, K) on the validation split, in torch.
        labels: (N,).
        judged: Accuracy that choices are made by, percent.
        crossed: What heads say of training pictures that they have not seen; None where the body
            has learned from them.
    """

    candidate: Candidate
    run: Path
    record: FitTraining
    logits: Floats
    labels: Labels
    judged: float
    crossed: Answers | None = None

    @property
    def weights(self) -> Path:
        """What a further training starts from."""
        return Run(self.run).weights

    @property
    def step_seconds(self) -> float | None:
        """Of one step; None for a head alone."""
        return self.record.seconds / self.record.steps if self.record.steps else None


class _Deadline(Hook):
    """Ends a training early where another epoch would pass its time, earlier calls included."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock, self._ends = clock, clock.spent + seconds
        self._began = clock.spent

    def on_start(self, training: Loop) -> None:
        # The loop calls on_epoch before any batch where the last call ended with an epoch.
        done = training.position
        if done.step:
            steps = done.step_in_epoch or done.step / done.epoch
            self._began -= done.seconds * steps / done.step
        self._ends -= done.seconds

    def on_batch(self, training: Loop, pictures: object) -> None:
        self._clock.tick()

    def on_epoch(self, training: Loop, epoch: int) -> None:
        now = self._clock.spent
        last, self._began = now - self._began, now
        if epoch < training.recipe.epochs and now + 0.5 * last > self._ends:
            raise Finish


@dataclass(frozen=True)
class Trainings:
    """Trains candidates, or finds what an earlier call has trained.

    Attributes:
        data: The pictures.
        folder: The fit's work folder.
        clock: Is told of the progress, and ends what takes too long.
        by_macro: Choices are made by the macro accuracy.
    """

    data: DataSet
    folder: Path
    clock: Clock
    by_macro: bool

    def run(
        self,
        candidate: Candidate,
        recipe: Recipe,
        stage: FitStage,
        *,
        seconds: float | None = None,
        teacher: str = "",
    ) -> Trained:
        """Train by a recipe.

        Args:
            candidate: What is trained.
            recipe: How.
            stage: What for.
            seconds: The training is ended early where it would take much longer; None: never.
            teacher: Its name, for the result.
        """
        key = training_key(recipe, train_fingerprint(self.data, recipe), _digest)
        out = self.folder / RUNS / key
        hooks = [] if seconds is None else [_Deadline(self.clock, 1.1 * seconds)]
        summary = train(recipe, self.data, out, resume=True, hooks=hooks)
        return self._judged(candidate, out, summary, stage, teacher)

    def _judged(
        self, candidate: Candidate, out: Path, summary: Training, stage: FitStage, teacher: str
    ) -> Trained:
        logits, labels = self._logits(out), labels_of(self.data.split("val"))
        top1 = top_k(logits, labels, 1)
        low, high = wilson_interval(top1, len(labels))
        mean = macro(logits, labels)
        record = FitTraining(
            stage=stage,
            method=summary.method,
            teacher=teacher,
            image_size=candidate.image_size,
            epochs=summary.epochs,
            steps=summary.steps,
            seconds=summary.seconds,
            accuracy=TopOne(top1=top1, low=low, high=high),
            macro=mean,
            run=str(out),
        )
        judged = mean if self.by_macro else top1
        return Trained(candidate, out, record, logits, labels, judged, self._crossed(out))

    def _crossed(self, out: Path) -> Answers | None:
        file = Run(out).crossed
        if not file.exists():
            return None
        return Answers(np.load(file), labels_of(self.data.split("train")))

    def _logits(self, out: Path) -> Floats:
        file = out / VAL
        if not file.exists():
            predictor = Run.open(out).predictor(self.data)
            images = prepared_images(self.data, self.data.split("val"), predictor.preprocess)
            draft = file.with_suffix(".draft.npy")
            np.save(draft, predictor.logits(images, f"{predictor.run.description.name} on val"))
            draft.replace(file)
        logits: Floats = np.load(file)
        return logits


@cache
def _digest(path: Path) -> str:
    return sha256(path.read_bytes())
