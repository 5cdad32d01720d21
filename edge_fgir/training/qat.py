"""Quantization-aware training of a finished run: a few more epochs as INT8 computes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from edge_fgir._errors import InputError
from edge_fgir._files import sha256
from edge_fgir.data import DataSet
from edge_fgir.evaluation import answers, compare_answers
from edge_fgir.models import Setting
from edge_fgir.results import Verdict
from edge_fgir.runs import Recipe, Run
from edge_fgir.training.loop import train

_DIGITS = 12
_SLOWER = 0.1
"""Of the run's own learning rate: the weights are good already."""


class QATResult(NamedTuple):
    """A run that went on from another one.

    Attributes:
        run: Its folder, inside of the old one's.
        verdict: How far it is behind the old one in float, on val.
    """

    run: Path
    verdict: Verdict


def train_quantization_aware(
    path: Path,
    data: DataSet,
    epochs: int,
    setting: Setting | None = None,
    *,
    bound: float = 0.0,
) -> QATResult:
    """Fine-tune a run by its own recipe, teacher included, while it computes as INT8 will.

    Args:
        path: A finished run folder; it stays as it is.
        data: Its data.
        epochs: How many; if the same is asked for again, the run of the first time is returned.
        setting: Input size and keep rate, to train for one setting alone; None: as the run was
            trained.
        bound: Points of top-1 that the training may lose.

    Raises:
        InputError: The run has adapters, or its recipe or teacher is gone.
    """
    run = Run.open(path)
    if setting is not None:
        setting = setting._replace(method=None)  # of the export alone
    if run.description.network.adapters is not None:
        raise InputError(
            f"quantization-aware training of {path}, a run with adapters", "another run"
        )
    recipe = _recipe(run, epochs, setting)
    # With other weights, data or settings it is another run: the folder's name tells them apart.
    about = (run.weights_hash, data.info.hash, recipe.dump())
    out = run.quantization_aware / sha256("".join(about).encode())[:_DIGITS]
    train(recipe, data, out, resume=True)
    before, after = (
        answers(each.at(setting).predictor(data), data, "val") for each in (run, Run.open(out))
    )
    return QATResult(out, compare_answers(before, after, bound))


def _recipe(run: Run, epochs: int, setting: Setting | None) -> Recipe:
    changes = [
        f"model.weights={json.dumps(str(run.weights.resolve()))}",
        f"epochs={epochs}",
        f"eval.every_epochs={epochs}",
        f"optimizer.lr={_SLOWER * run.recipe.optimizer.lr}",
        f"optimizer.min_lr={_SLOWER * run.recipe.optimizer.min_lr}",
        "optimizer.warmup_steps=0",
        "optimizer.warmup_epochs=0",
        "optimizer.cooldown_epochs=0",
        "compile=false",
        "interpolation=false",
        "loss.deferred=0",
        "quantization_aware=true",
    ]
    if run.recipe.method == "probe":
        changes += ["method=ce", "frozen_norms=true"]
    if setting is not None:
        changes += ["elastic=null", f"eval.image_size={setting.image_size}"]
        if setting.keep_rate is not None:
            rate = setting.keep_rate
            rates = list(rate) if isinstance(rate, tuple) else rate
            changes.append(f"model.reduction.keep_rate={rates}")
    return run.changed_recipe(changes)
