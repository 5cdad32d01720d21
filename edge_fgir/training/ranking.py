"""Choosing a teacher before any student is trained: Ratio 1-2 (arXiv 2605.15689).

The metric, its use and what is reported beside it: docs/science/tgda.md#ratio-1-2. The paper
measures during a student's training; here every teacher looks once at the raw training pictures
under its own recipe's augmentation, in evaluation mode (running BatchNorm statistics, no stochastic
depth), so that the figure does not depend on the batches and a second call repeats it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from edge_fgir._progress import progress
from edge_fgir.benchmarking import environment
from edge_fgir.data import DataSet, Sample
from edge_fgir.data.loaders import TrainImages
from edge_fgir.evaluation import top1
from edge_fgir.models import normalized
from edge_fgir.results import RankedTeacher, Teachers
from edge_fgir.runs import Run, RunPredictor
from edge_fgir.training.student_size import to_student_size

EPSILON = 1e-6
"""A second logit up to this makes no ratio: the sample is skipped."""

SSP_CLASSES = 4
"""Classes that SSP needs: it is about the 2nd to the 4th largest output."""

_BATCH = 32


def ratio_1_2(logits: Tensor) -> tuple[float | None, float]:
    """Return Ratio 1-2: how far the largest logit stands above the second (lower: better teacher).

    The logits are taken as they are: no softmax, no temperature. Scaling all of them by a positive
    number changes nothing, adding a number does.

    Args:
        logits: (N, K) raw outputs, K at least 2.

    Returns:
        The mean of z(1) / z(2) over the samples whose z(2) is above :data:`EPSILON` (None where
        there is none), and the share of the other, skipped samples, percent.
    """
    top = logits.double().topk(2, dim=1).values
    usable = top[:, 1] > EPSILON
    kept = top[usable]
    skipped = 100 * (1 - len(kept) / len(top))
    return (float((kept[:, 0] / kept[:, 1]).mean()) if len(kept) else None), skipped


def secondary_soft_probability_spread(logits: Tensor) -> float | None:
    """Return SSP: unbiased deviation of the 2nd to 4th largest softmax output, mean over samples.

    Args:
        logits: (N, K) raw outputs.

    Returns:
        The mean; None below four classes, where there is no 4th largest.
    """
    if logits.shape[1] < SSP_CLASSES:
        return None
    top = logits.double().softmax(1).topk(SSP_CLASSES, dim=1).values
    return float(top[:, 1:].std(dim=1, correction=1).mean())


def rank_teachers(runs: Sequence[Path], data: DataSet, images: int | None = None) -> Teachers:
    """Measure candidate teachers and rank them, lowest Ratio 1-2 first.

    Args:
        runs: Run folders; one given twice counts once.
        data: What they were trained on: ratios on train, accuracy on val.
        images: Look at so many training pictures, drawn at random (seeded, the same for all);
            None: at all of them.

    Raises:
        InputError: One of them is no finished run, or knows other classes than the data.
    """
    opened = [_opened(path, data) for path in dict.fromkeys(runs)]
    samples = _draw(data.split("train"), images)
    measured = [_measure(run, data, samples) for run in opened]
    ordered = sorted(measured, key=lambda teacher: (teacher.r12 is None, teacher.r12 or 0.0))
    return Teachers(
        data=data.info,
        split="train",
        teachers=tuple(
            teacher.model_copy(update={"rank": rank}) for rank, teacher in enumerate(ordered, 1)
        ),
        environment=environment(),
    )


def _opened(path: Path, data: DataSet) -> Run:
    """Open a run and check, before anything is computed, that it can be measured on ``data``."""
    run = Run.open(path)
    run.check_classes(data)
    _ = run.weights, run.recipe
    return run


def _draw(samples: Sequence[Sample], count: int | None) -> list[Sample]:
    # Not class by class: the ratio is a mean over the split as it is.
    order = np.random.default_rng(0).permutation(len(samples))
    return [samples[place] for place in np.sort(order[:count]).tolist()]


def _measure(run: Run, data: DataSet, samples: Sequence[Sample]) -> RankedTeacher:
    predictor = RunPredictor(run, run.load())
    logits = training_logits(predictor, data, samples)
    r12, skipped = ratio_1_2(logits)
    return RankedTeacher(
        rank=0,  # until all are measured
        run=str(run.path),
        name=run.description.name,
        architecture=run.description.network.name,
        method=run.recipe.method,
        r12=r12,
        skipped=skipped,
        tac=None if run.learned_val else top1(predictor, data, "val"),
        ssp=secondary_soft_probability_spread(logits),
        images=len(samples),
    )


@torch.inference_mode()
def training_logits(predictor: RunPredictor, data: DataSet, samples: Sequence[Sample]) -> Tensor:
    """Return logits (N, K) of training pictures as the model met them in its own training.

    One draw of the recipe's augmentation; the raw view alone. A CAL teacher sees the view size,
    any other network its input size.

    Args:
        predictor: The loaded run.
        data: Where the pictures come from.
        samples: Which of them.
    """
    model, described, recipe = predictor.network, predictor.run.description, predictor.run.recipe
    pictures = recipe.data.augmented(data, samples, seed=0)
    device = next(model.parameters()).device
    logits = []
    with progress(f"{predictor.run.path} on train", len(samples)) as meter:
        for pixels in _batches(pictures, recipe.data.workers):
            images = normalized(pixels.to(device), described.normalization)
            if not described.network.attention_maps:
                images = to_student_size(images, described.preprocess)
            logits.append(model(images).float().cpu())
            meter.advance(len(pixels))
    return torch.cat(logits)


def _batches(pictures: TrainImages, workers: int) -> Iterator[Tensor]:
    keys = [(0, index) for index in range(len(pictures))]
    batches = [keys[start : start + _BATCH] for start in range(0, len(keys), _BATCH)]
    for pixels, *_ in DataLoader(pictures, batch_sampler=batches, num_workers=workers):
        yield pixels
