"""A classifier on frozen features: minutes of work, a model of its own, and a good start.

Fine-tuning that starts from a trained head distorts pretrained features less (LP-FT, arXiv
2202.10054). Every picture is looked at once, and its mirror image, so the cost is that of two
forwards a picture.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from edge_fgir import results
from edge_fgir._files import write_atomic
from edge_fgir._progress import progress
from edge_fgir.benchmarking import environment
from edge_fgir.data import DataSet, Split, labels_of, prepared_images
from edge_fgir.evaluation import macro, top_k
from edge_fgir.models import logits_of, on_gpu
from edge_fgir.runs import DataRecord, Recipe, Run, TrainedModel
from edge_fgir.runtime import Pixels
from edge_fgir.training.checkpoint import save_weights
from edge_fgir.training.classification import Criterion, make_criterion
from edge_fgir.training.classifier import linear_classifier
from edge_fgir.training.setup import describe

_DECAYS = (3.0, 1.0, 3e-1, 1e-1, 3e-2, 1e-2, 3e-3, 1e-3)
"""Weights of the squared norm that are tried, on features of unit size."""
_ITERATIONS = 40
"""Of L-BFGS for each decay; it goes on from the head of the one before."""
_FOLDS = 5
"""Of the training pictures: each is judged by a head that was trained on the others."""


class Head(NamedTuple):
    """A linear classifier.

    Attributes:
        weight: (K, F).
        bias: (K,).
        decay: At which it was trained.
    """

    weight: Tensor
    bias: Tensor
    decay: float

    def __call__(self, features: Tensor) -> Tensor:
        """Return logits (N, K) of features (N, F)."""
        return features @ self.weight.T + self.bias


def train_linear_probe(
    recipe: Recipe, data: DataSet, record: DataRecord, out: Run
) -> results.Training:
    """Fill a run folder with the recipe's pretrained network and a head that is trained alone.

    How strongly the head is held back is chosen by the loss on the validation split. What heads say
    of the fifth of the training pictures that they were not trained on is kept as well
    (``Run.crossed``): that tells networks apart by many more pictures than the split has.

    Args:
        recipe: Of method ``probe``.
        data: The pictures.
        record: Which pictures lie where, for the run folder.
        out: The run folder.

    Raises:
        InputError: The network has no linear classifier.
    """
    began = time.monotonic()
    torch.manual_seed(recipe.seed)
    trained = describe(recipe, data, None)
    model = on_gpu(recipe.model.build(len(data.classes), recipe.eval.image_size)).eval()
    wish = f"method {recipe.method} for {recipe.model.name}"
    classifier = linear_classifier(model, wish, "use method ce")
    train, val = (_features(model, data, split, trained) for split in ("train", "val"))
    labels, val_labels = (_labels(data, split) for split in ("train", "val"))
    criterion = make_criterion(recipe.loss, data.counts("train"))
    classes = len(data.classes)
    head = fit_head(train, labels.repeat(2), val, val_labels, criterion, classes)
    crossed = cross_validated(train, labels, criterion, classes, head.decay)
    with torch.no_grad():
        classifier.weight.copy_(head.weight)
        classifier.bias.copy_(head.bias)
    samples = len(val_labels)
    logits = head(val[:samples])  # as the device sees them, not mirrored
    probabilities = logits.softmax(1).numpy()
    metrics: dict[str, Any] = {
        "val_top1": top_k(probabilities, val_labels.numpy(), 1),
        "val_macro": macro(probabilities, val_labels.numpy()),
    }
    result = results.Training(
        name=recipe.name,
        method=recipe.method,
        architecture=recipe.model.name,
        data=trained.data,
        steps=0,
        epochs=0,
        seconds=round(time.monotonic() - began, 1),
        device=str(next(model.parameters()).device),
        precision="fp32",
        views=(),
        environment=environment(),
        **metrics,
    )
    write_atomic(out.config, recipe.dump())
    out.write(trained, data.classes, record)
    kept = io.BytesIO()
    np.save(kept, crossed.numpy())
    write_atomic(out.crossed, kept.getvalue())
    save_weights(out.last_weights, model)
    result.write(out.summary)
    return result


def fit_head(
    features: Tensor,
    labels: Tensor,
    val_features: Tensor,
    val_labels: Tensor,
    criterion: Criterion,
    classes: int,
) -> Head:
    """Return the head that minimises the criterion, at the decay with the least loss on val.

    Args:
        features: (N, F).
        labels: (N,).
        val_features: (M, F), of which the first are one a picture.
        val_labels: The labels of those.
        criterion: The loss of hard labels.
        classes: K.
    """
    best, least = None, float("inf")
    with progress("training the head", len(_DECAYS)) as meter:
        for head in _heads(features, labels, criterion, classes, _DECAYS):
            value = float(criterion(head(val_features[: len(val_labels)]), val_labels))
            meter.advance(note=f"loss on val {value:.3f}")
            if best is None or value < least:
                best, least = head, value
    assert best is not None  # there are decays
    return best


def cross_validated(
    features: Tensor, labels: Tensor, criterion: Criterion, classes: int, decay: float
) -> Tensor:
    """Return what heads say of the training pictures that they have not seen, (N, K).

    Args:
        features: (2 N, F) of the pictures, and then of their mirror images.
        labels: (N,).
        criterion: The loss of hard labels.
        classes: K.
        decay: Of the squared norm.
    """
    count = len(labels)
    logits = torch.zeros(count, classes)
    folds = torch.empty(count, dtype=torch.long)
    for label in range(classes):  # each fold has its share of every class
        places = (labels == label).nonzero()[:, 0]
        folds[places] = (torch.arange(len(places)) + label) % _FOLDS
    with progress("heads of four fifths of the pictures", _FOLDS) as meter:
        for fold in range(_FOLDS):
            seen = folds != fold
            of_those = features[seen.repeat(2)], labels[seen].repeat(2)
            for head in _heads(*of_those, criterion, classes, (decay,)):
                logits[~seen] = head(features[:count][~seen])
            meter.advance()
    return logits


def _heads(
    features: Tensor,
    labels: Tensor,
    criterion: Criterion,
    classes: int,
    decays: Sequence[float],
) -> Iterator[Head]:
    """Yield the head that minimises the criterion at each decay."""
    mean, scale = features.mean(dim=0), features.std().clamp(min=1e-6)
    unit = (features - mean) / scale
    weight = torch.zeros(classes, features.shape[1], requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    for decay in decays:
        _minimize(partial(_loss, unit, labels, weight, bias, criterion, decay), [weight, bias])
        inner = weight.detach() / scale
        yield Head(inner, bias.detach() - inner @ mean, decay)


def _loss(
    unit: Tensor, labels: Tensor, weight: Tensor, bias: Tensor, criterion: Criterion, decay: float
) -> Tensor:
    penalty = 0.5 * decay * weight.square().sum() / len(bias)
    return criterion(unit @ weight.T + bias, labels) + penalty


def _minimize(loss: Any, parameters: list[Tensor]) -> None:
    optimizer = torch.optim.LBFGS(
        parameters, max_iter=_ITERATIONS, history_size=10, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        value: Tensor = loss()
        value.backward()
        return value

    optimizer.step(closure)


def _features(model: Any, data: DataSet, split: Split, trained: TrainedModel) -> Tensor:
    """Return what the classifier sees of pictures, and then of their mirror images, (2 N, F)."""

    def forward(images: Tensor) -> Tensor:
        features: Tensor = model.forward_head(model.forward_features(images), pre_logits=True)
        return features

    pictures: Pixels = prepared_images(data, data.split(split), trained.preprocess)
    mirrored: Pixels = np.ascontiguousarray(pictures[:, :, ::-1])
    title = f"features of {trained.network.name} at {trained.preprocess.size} px, {split}"
    seen = [
        logits_of(model, images, trained.normalization, title, forward)
        for images in (pictures, mirrored)
    ]
    return torch.from_numpy(np.concatenate(seen))


def _labels(data: DataSet, split: Split) -> Tensor:
    return torch.from_numpy(labels_of(data.split(split)))
