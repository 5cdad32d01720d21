"""A few more epochs for a run whose accuracy quantization takes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

from edge_fgir._errors import InputError
from edge_fgir._files import sha256
from edge_fgir.data import DataSet, labels_of, prepared_images, typical_images
from edge_fgir.evaluation import top_k
from edge_fgir.models.inference import logits_of
from edge_fgir.models.reduction import KeepRate
from edge_fgir.models.trained import TrainedModel, load_at, weights_file
from edge_fgir.training.loop import CONFIG, train
from edge_fgir.training.recipe import Recipe, read_recipe

FOLDER = "int8"
"""Inside the run's folder."""
_DIGITS = 12
_SLOWER = 0.1
"""Of the run's own learning rate: the weights are good already."""


class Rescued(NamedTuple):
    """A run that was trained on.

    Attributes:
        run: Its folder, inside of the old one's.
        lost: Points of top-1 on val that it is behind the old one in float; negative: ahead.
    """

    run: Path
    lost: float


def quantization_aware(
    run: Path,
    data: DataSet,
    epochs: int,
    *,
    image_size: int | None = None,
    keep_rate: KeepRate | None = None,
) -> Rescued:
    """Fine-tune a run by its own recipe, teacher included, while it computes as INT8 will.

    Args:
        run: A finished run folder; it stays as it is.
        data: Its data.
        epochs: So many; asked again for the same, the answer of the first time is found.
        image_size: Side of the input, pixels, for one setting alone; None: the run's own.
        keep_rate: Likewise, of token reduction.

    Raises:
        InputError: The run has adapters, or its recipe or teacher is gone.
    """
    described = TrainedModel.read(run)
    if described.network.adapters is not None:
        raise InputError(
            f"quantization-aware training of {run}, a run with adapters", "another run"
        )
    recipe = _recipe(run, epochs, image_size, keep_rate)
    # Of other weights, data or settings it is another run: the folder's name tells them apart.
    about = (sha256(weights_file(run).read_bytes()), data.info.hash, recipe.dump())
    out = run / FOLDER / sha256("".join(about).encode())[:_DIGITS]
    train(recipe, data, out, resume=True)
    before, after = (_top1(one, data, image_size, keep_rate) for one in (run, out))
    return Rescued(out, before - after)


def _top1(run: Path, data: DataSet, image_size: int | None, keep_rate: KeepRate | None) -> float:
    typical = partial(typical_images, data)
    trained, model = load_at(run, typical, image_size=image_size, keep_rate=keep_rate)
    samples = data.split("val")
    images = prepared_images(data, samples, trained.preprocess)
    return top_k(logits_of(model, images, trained.normalization, ""), labels_of(samples), 1)


def _recipe(run: Path, epochs: int, image_size: int | None, keep_rate: KeepRate | None) -> Recipe:
    if not (run / CONFIG).exists():
        raise InputError(f"{run} has no {CONFIG}", "a run folder as edge-fgir train leaves it")
    own = read_recipe(str(run / CONFIG))
    changes = [
        f"model.weights={weights_file(run)}",
        f"epochs={epochs}",
        f"eval.every_epochs={epochs}",
        f"optimizer.lr={_SLOWER * own.optimizer.lr}",
        "optimizer.warmup_steps=0",
        "optimizer.warmup_epochs=0",
        "optimizer.cooldown_epochs=0",
        "compile=false",
        "quantization_aware=true",
    ]
    if image_size is not None or keep_rate is not None:
        changes.append("elastic=null")
    if image_size is not None:
        changes.append(f"eval.image_size={image_size}")
    if keep_rate is not None:
        rate = list(keep_rate) if isinstance(keep_rate, tuple) else keep_rate
        changes.append(f"model.reduction.keep_rate={rate}")
    return read_recipe(str(run / CONFIG), changes)
