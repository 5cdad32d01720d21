"""Building an adapted transformer on its base, and its own few tensors."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from edge_fgir._errors import InputError
from edge_fgir.models.ila.base import Base, digest
from edge_fgir.models.ila.options import Adapters
from edge_fgir.models.ila.vit import AdaptedViT
from edge_fgir.models.weights import load_state, load_wrapped
from edge_fgir.models.wrapper import as_wrapper

_SHOWN = 12
"""Digits of a hash that tell two files apart."""


def make_adapted(
    backbone: nn.Module, adapters: Adapters, state: dict[str, Tensor] | None, source: str
) -> AdaptedViT:
    """Build an adapted transformer around ``backbone``.

    Args:
        backbone: A timm transformer or ViTFS.
        adapters: The settings.
        state: The base's weights; None: ``backbone`` keeps the random ones it has.
        source: ``timm``, or the path that they come from.

    Raises:
        InputError: The backbone cannot be adapted so, or the weights do not fit it.
    """
    model = AdaptedViT(backbone, adapters)
    if state is not None:
        load_state(backbone, state, source)
        place = source if source == "timm" else str(Path(source).resolve())
        model.base = Base(source=place, sha256=digest(state))
    return model


def check_base(base: Base | None, expected: Base, name: str) -> None:
    """Raise InputError unless a base is the one that the adapters of run ``name`` were trained on.

    Only the tensors count, not where they lie.
    """
    if base is None or base.sha256 != expected.sha256:
        have = f"{base.sha256[:_SHOWN]}..." if base else "no hash"
        raise InputError(
            f"the base weights {expected.source} have {have}",
            f"sha256 {expected.sha256[:_SHOWN]}..., on which the adapters of {name} were trained",
            "put those weights back, or name their place in model.json (base.source)",
        )


def check_there(base: Base, name: str) -> None:
    """Raise InputError if a base's file is gone."""
    if base.source != "timm" and not Path(base.source).is_file():
        raise InputError(
            f"the base weights {base.source} of {name} are not there",
            f"the state dict of sha256 {base.sha256[:_SHOWN]}...",
            "put it back, or name its place in model.json (base.source)",
        )


def learned_state(model: nn.Module) -> dict[str, Tensor]:
    """Return all that a run stores of a model: every tensor, or of an adapted one the learned."""
    state, learned = model.state_dict(), as_wrapper(model).learned_names()
    if learned is None:
        return state
    return {name: value for name, value in state.items() if name in learned}


def load_learned(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Give a model what :func:`learned_state` returned.

    Raises:
        RuntimeError: The tensors are not the model's.
    """
    learned = as_wrapper(model).learned_names()
    if learned is not None and (strange := sorted(learned ^ state.keys())):
        raise RuntimeError(f"{strange[0]} is missing, or not in the model")
    model.load_state_dict(state, strict=learned is None)


def load_whole(model: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Fill an adapted transformer and its base from one file, as an imported run stores them.

    Raises:
        InputError: The tensors are not the model's.
    """
    load_wrapped(model, state, source, what="run with adapters", expected="the run as saved")
