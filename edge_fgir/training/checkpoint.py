"""The state of a run: enough to go on bit-exactly, in one file that is whole or absent."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field, FiniteFloat, TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from edge_fgir._errors import InputError
from edge_fgir._files import regular, write_atomic, write_json
from edge_fgir._run_files import RunFiles
from edge_fgir.models.ila import learned_state
from edge_fgir.runs import RESUMABLE, Recipe

_Count = Annotated[int, Field(ge=0, lt=1 << 53)]
_NAMED = 3
"""Changed keys that a message names."""
_MOMENT = re.compile(r"optimizer/([0-9]{1,9})/([^/]+)")


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
        waited: Of the seconds, those that pictures were waited for.
    """

    step: _Count
    total: _Count
    epoch: _Count
    step_in_epoch: _Count
    seconds: FiniteFloat
    best: FiniteFloat
    epoch_loss: FiniteFloat = 0.0
    waited: FiniteFloat = 0.0


_POSITION = TypeAdapter(Position)


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
        with safe_open(regular(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        position = _POSITION.validate_json(metadata.get("position", ""))
    except (SafetensorError, OSError, ValidationError) as error:
        raise damaged_state(run, str(error).splitlines()[0]) from error
    check_recipe(run, recipe, metadata.get("recipe", "{}"), RESUMABLE)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if not key.startswith("optimizer/"):
            continue
        match = _MOMENT.fullmatch(key)
        if match is None or int(match[1]) >= len(parameters):
            raise damaged_state(run, f"{key} is of no parameter")
        parameter = parameters[int(match[1])]
        if value.shape == parameter.shape:
            # Fused kernels walk memory: a moment must lie as its parameter does.
            value = torch.empty_like(parameter).copy_(value).detach()
        elif value.numel() != 1:
            raise damaged_state(run, f"{key} is {tuple(value.shape)}")
        moments.setdefault(int(match[1]), {})[match[2]] = value
    optimizer.load_state_dict(
        {"state": moments, "param_groups": optimizer.state_dict()["param_groups"]}
    )
    by_part = {
        part: {
            k.removeprefix(f"{part}/"): v for k, v in tensors.items() if k.startswith(f"{part}/")
        }
        for part in parts
    }
    return position, by_part


def damaged_state(run: RunFiles, reason: str) -> InputError:
    """Return what to tell of a state that cannot be gone on with."""
    return InputError(
        f"{run.state} cannot be read ({reason})", "the state as saved", "start anew: another --out"
    )
