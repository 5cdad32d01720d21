"""What a training is made of, built from its recipe and data."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from edge_fgir._errors import InputError
from edge_fgir.data import DataSet, labels_of
from edge_fgir.data.loaders import Schedule
from edge_fgir.models import CAL, freeze_norms
from edge_fgir.runs import Recipe, TrainedModel
from edge_fgir.runtime import Normalization
from edge_fgir.training.elastic import Elastic, check_sizes
from edge_fgir.training.methods import TGDA, CALTraining, CrossEntropy, Method
from edge_fgir.training.processes import Processes
from edge_fgir.training.soft_targets import SoftTargetSource
from edge_fgir.training.teachers import Teacher


def make_schedule(recipe: Recipe, data: DataSet, processes: Processes) -> Schedule:
    """Return which pictures each step sees, and which of them are this process's.

    Raises:
        InputError: The processes cannot share a batch.
    """
    if recipe.batch_size % processes.count:
        raise InputError(
            f"batch_size {recipe.batch_size} on {processes.count} processes",
            f"a multiple of {processes.count}",
        )
    samples = data.split("train")
    by_class = recipe.data.sampler != "instance"
    return Schedule(
        images=len(samples),
        batch=recipe.batch_size,
        seed=recipe.seed,
        variants=recipe.teacher.cache_variants if recipe.teacher else 0,
        rank=processes.rank,
        processes=processes.count,
        shards=data.shard_sizes.get("train", ()),
        sampler=recipe.data.sampler,
        labels=tuple(labels_of(samples).tolist()) if by_class else (),
    )


def check_batch(recipe: Recipe, trained: TrainedModel) -> None:
    """Try a batch of one picture on the network as it learns; nothing is computed.

    Raises:
        InputError: A BatchNorm would see one value of each channel, which has no deviation.
    """
    if recipe.batch_size > 1:
        return
    side = min(trained.elastic_sizes, default=trained.preprocess.size)
    model = trained.build(meta=True).train()
    if recipe.frozen_norms:
        freeze_norms(model)
    try:
        with torch.no_grad():
            model(torch.zeros(1, 3, side, side, device="meta"))
    except NotImplementedError:
        return  # an operation that cannot run without numbers says nothing about sizes
    except ValueError as error:
        raise InputError(
            f"batch_size 1 for {recipe.model.name} at {side} px: {error}",
            "2 or more pictures in a batch, or larger ones",
        ) from error


def check_compile(device: torch.device) -> None:
    """Compile a sum, as torch misses what it needs only when it compiles first.

    Raises:
        InputError: It cannot compile here.
    """
    compiled = torch.compile(torch.add, options={"fx_graph_cache": False})
    try:
        compiled(*torch.ones(2, 1, device=device))
    except Exception as error:  # those of torch's compiler have no base of their own
        reason = next((line for line in str(error).splitlines() if line), repr(error))
        raise InputError(
            f"compile is true, and torch cannot compile here: {reason}",
            "a C++ compiler, such as g++",
            "install one, or leave compile out",
        ) from error


def describe(recipe: Recipe, data: DataSet, teacher: Teacher | None) -> TrainedModel:
    """Return the description of the model that the training leaves behind."""
    normalization = Normalization(mean=recipe.data.mean, std=recipe.data.std)
    if teacher is not None:  # both see the same pixels
        normalization = teacher.run.description.normalization
    return TrainedModel(
        name=recipe.name,
        network=recipe.model.trained,
        num_classes=len(data.classes),
        normalization=normalization,
        preprocess=recipe.preprocess,
        elastic_sizes=recipe.elastic.image_sizes if recipe.elastic else (),
        elastic_keep_rates=recipe.elastic.keep_rates if recipe.elastic else (),
        frozen_norms=recipe.frozen_norms or recipe.method == "probe",
        train_counts=tuple(data.counts("train")),
        data=data.info,
    )


def make_method(
    recipe: Recipe, model: nn.Module, target_source: SoftTargetSource | None, counts: Sequence[int]
) -> Method:
    """Return what the steps minimise.

    Args:
        recipe: The recipe.
        model: The network that learns.
        target_source: Its teacher, if it has one.
        counts: (K,) training pictures of each class.
    """
    if isinstance(model, CAL):
        return CALTraining(model, recipe.views)
    seen = recipe.preprocess
    student: CrossEntropy | TGDA = CrossEntropy(recipe.loss, seen, counts)
    if target_source is not None and recipe.teacher is not None:
        joint = recipe.teacher.joint_forward
        student = TGDA(target_source, recipe.loss, seen, joint_forward=joint, counts=counts)
    if recipe.elastic is None:
        return student
    check_sizes(model, recipe.elastic)
    return Elastic(student, recipe.elastic, recipe.loss, seen)
