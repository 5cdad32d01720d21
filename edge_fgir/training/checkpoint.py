"""The state of a run: enough to go on bit-exactly, in one file that is whole or absent."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from edge_fgir._errors import InputError
from edge_fgir._files import write_atomic, write_json
from edge_fgir._run_files import RunFiles
from edge_fgir.models.ila import learned_state
from edge_fgir.runs import RESUMABLE, Recipe

_NAMED = 3
"""Changed keys that a message names."""


@dataclass(frozen=True)
class Position:
    """Where a run is.

    Attributes:
        step: Finished optimiser steps.
        total: Steps of the whole run.
        epoch: Epoch of the next step.
        step_in_epoch: Its place there.
        seconds: Time spent so far.
        best: Best validation top-1 so far, percent.
        epoch_loss: Sum of the losses of this epoch's steps so far.
    """

    step: int
    total: int
    epoch: int
    step_in_epoch: int
    seconds: float
    best: float
    epoch_loss: float = 0.0


def save_weights(path: Path, model: nn.Module) -> None:
    """Write a model's tensors; of an adapted one those that were trained."""
    write_atomic(path, save({k: v.contiguous() for k, v in learned_state(model).items()}))


def save_state(
    run: RunFiles,
    position: Position,
    parts: dict[str, dict[str, Tensor]],
    optimizer: torch.optim.Optimizer,
    recipe: str,
) -> None:
    """Write all tensors of a run. Random numbers depend on the step alone and need no state.

    Args:
        run: The run folder.
        position: Where the run is.
        parts: Named groups of tensors (the model, its average, the method's).
        optimizer: Its moments are stored by parameter number.
        recipe: The resolved recipe, which a resumed run must have in all that matters.
    """
    tensors = {f"{part}/{k}": v for part, group in parts.items() for k, v in group.items()}
    for number, moments in optimizer.state_dict()["state"].items():
        for key, value in moments.items():
            tensors[f"optimizer/{number}/{key}"] = torch.as_tensor(value)
    metadata = {"position": json.dumps(asdict(position)), "recipe": recipe}
    copies = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    write_atomic(run.state, save(copies, metadata))
    write_json(run.position, asdict(position))


def check_recipe(
    run: RunFiles, recipe: Recipe, before: str, may_change: frozenset[str] = frozenset()
) -> None:
    """Raise InputError if ``run``, started by the recipe ``before``, is not what ``recipe`` asks.

    Args:
        run: The run folder.
        recipe: What is asked for.
        before: What was, as YAML.
        may_change: Keys that may differ.
    """
    changed = [key for key in recipe.changes(before) if key not in may_change]
    if changed:
        raise InputError(
            f"{run.path} was started with another recipe ({', '.join(changed[:_NAMED])})",
            f"the recipe in {run.config}",
            "use the same recipe and --set, or another --out",
        )


def load_state(
    run: RunFiles,
    parts: dict[str, dict[str, Tensor]],
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
) -> tuple[Position, dict[str, dict[str, Tensor]]]:
    """Read what :func:`save_state` wrote and set the optimiser.

    Returns:
        The position, and the tensors of each named part.

    Raises:
        InputError: The state is damaged or belongs to another recipe.
    """
    path = run.state
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path} cannot be read ({error})", "the state as saved", "start anew: another --out"
        ) from error
    check_recipe(run, recipe, metadata.get("recipe", "{}"), RESUMABLE)
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer/"):
            _, number, name = key.split("/")
            moments.setdefault(int(number), {})[name] = value
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for number, values in moments.items():
        for name, value in values.items():
            if value.shape == parameters[number].shape:
                # Fused kernels walk memory: a moment must lie as its parameter does.
                values[name] = torch.empty_like(parameters[number]).copy_(value).detach()
    optimizer.load_state_dict(
        {"state": moments, "param_groups": optimizer.state_dict()["param_groups"]}
    )
    by_part = {
        part: {
            k.removeprefix(f"{part}/"): v for k, v in tensors.items() if k.startswith(f"{part}/")
        }
        for part in parts
    }
    return Position(**json.loads(metadata["position"])), by_part
