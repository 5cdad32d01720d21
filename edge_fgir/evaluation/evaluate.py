"""The one way in which a model is evaluated on a split, be it a run in torch or a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edge_fgir._errors import InputError
from edge_fgir.benchmarking import environment
from edge_fgir.data import DataSet, Split, labels_of, prepared_images
from edge_fgir.evaluation.accuracy import Floats, Labels, top_k
from edge_fgir.evaluation.metric import Metric, SingleLabel
from edge_fgir.evaluation.shots import Shots
from edge_fgir.evaluation.visits import Visits, visit_accuracy
from edge_fgir.results import EvaluatedModel, Evaluation
from edge_fgir.runtime import Pixels, Preprocess


class Predictor(Protocol):
    """A model that answers: a run at a setting, or an open bundle."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the outputs."""

    @property
    def preprocess(self) -> Preprocess:
        """What makes a picture an input."""

    @property
    def subject(self) -> EvaluatedModel:
        """What answers, as results describe it."""

    def train_counts(self, data: DataSet) -> tuple[int, ...]:
        """Return the training pictures of each class; nothing where they are not known."""

    def probabilities(self, images: Pixels, title: str = "classifying") -> Floats:
        """Return (N, K) for prepared pictures (N, S, S, 3); ``title`` is of the progress."""


@dataclass(frozen=True)
class Answers:
    """What a predictor said of a split.

    Attributes:
        probabilities: (N, K).
        labels: (N,) the right classes.
        classes: K names.
    """

    probabilities: Floats
    labels: Labels
    classes: tuple[str, ...]


def answers(predictor: Predictor, data: DataSet, split: Split) -> Answers:
    """Ask a predictor about every picture of a split.

    Raises:
        InputError: It knows other classes, or there is no such split.
    """
    check_classes(predictor.subject.bundle, predictor.labels, data)
    samples = data.split(split)
    images = prepared_images(data, samples, predictor.preprocess)
    asked = predictor.probabilities(images, f"{predictor.subject.bundle} on {split}")
    lost = len(asked) - int(np.isfinite(asked).all(axis=1).sum())
    if lost:
        raise InputError(
            f"{predictor.subject.bundle} answers no numbers on {lost} of {len(asked)} pictures",
            "probabilities",
            "train or export it again",
        )
    return Answers(asked, labels_of(samples), data.classes)


def top1(predictor: Predictor, data: DataSet, split: Split) -> float:
    """Return the top-1 accuracy on a split, percent.

    Raises:
        InputError: As for :func:`answers`.
    """
    given = answers(predictor, data, split)
    return top_k(given.probabilities, given.labels, 1)


def evaluate(
    predictor: Predictor,
    data: DataSet,
    split: Split = "test",
    *,
    shot_bounds: tuple[int, int] = (100, 20),
    metric: Metric | None = None,
    visits: Visits | None = None,
) -> Evaluation:
    """Evaluate a model on a split.

    Args:
        predictor: A run at a setting (``run.predictor(data)``), or an open bundle
            (``BundlePredictor(classifier)``).
        data: The pictures.
        split: Which of them.
        shot_bounds: Classes with more training pictures than the first number are ``many``, with
            fewer than the second ``few``.
        metric: What is computed from the answers; None: :class:`SingleLabel`.
        visits: Which pictures belong to one visit, for the accuracy a visit.

    Raises:
        InputError: As for :func:`answers`; or the pictures do not tell their visits.
    """
    grouped = None if visits is None else (visits.word, visits.numbers(data, data.split(split)))
    counts = predictor.train_counts(data)
    shots = Shots(counts, *shot_bounds) if counts else None
    given = answers(predictor, data, split)
    figures = (metric or SingleLabel()).figures(
        given.probabilities, given.labels, given.classes, shots
    )
    return Evaluation(
        **dict(predictor.subject),
        **dict(figures),
        split=split,
        data=data.info,
        environment=environment(),
        visits=None
        if grouped is None
        else visit_accuracy(*grouped, given.probabilities, given.labels),
    )


def check_classes(
    name: str,
    known: tuple[str, ...],
    data: DataSet,
    expected: str = "the data it was trained on",
) -> None:
    """Raise InputError if a model knows other classes than ``data``, or in another order.

    Args:
        name: Of the model, for the error.
        known: Its classes, in the order of its outputs.
        data: What it is to be used on.
        expected: The data that it needs.
    """
    if known != data.classes:
        raise InputError(
            f"{name} knows other classes than data {data.name}",
            expected,
            class_difference(known, data.classes),
        )


def class_difference(known: tuple[str, ...], classes: tuple[str, ...]) -> str:
    """Say how the classes that a model knows differ from those of data."""
    if sorted(known) == sorted(classes):
        return "they are the same in another order"
    stranger = next((name for name in classes if name not in known), None)
    lacking = next((name for name in known if name not in classes), None)
    parts = [f"it knows {len(known)}, the data has {len(classes)}"]
    if stranger is not None:
        parts.append(f"{stranger!r} is new to it")
    if lacking is not None:
        parts.append(f"the data has no {lacking!r}")
    return ", ".join(parts)
