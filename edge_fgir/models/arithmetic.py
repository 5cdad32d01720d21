"""Parameters, multiply-accumulates and token counts of a model, without running it on data."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from timm.layers import Attention, Mlp
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from edge_fgir._errors import InputError
from edge_fgir.models.backbone import usual_side
from edge_fgir.models.wrapper import as_wrapper

CONVENTION = (
    "convolutions, linear layers and attention's matrix products; one multiply-add is one; "
    "normalisation and activations are not counted"
)
"""What a multiply-accumulate is here."""


@dataclass(frozen=True)
class BlockTokens:
    """Tokens that enter one transformer block's attention and its MLP."""

    attention_tokens: int
    mlp_tokens: int


@dataclass(frozen=True)
class ModelSummary:
    """What ``edge-fgir models show`` prints.

    ``trainable_params`` leaves out what is frozen; ``gmacs`` is counted for one image as
    :data:`CONVENTION` says; ``blocks`` lists transformer blocks whose tokens can be read off, in
    the order they run.
    """

    name: str
    params: int
    trainable_params: int
    gmacs: float
    image_size: int
    num_classes: int
    blocks: list[BlockTokens]


def count_params(model: nn.Module, *, trainable: bool = False) -> int:
    """Return the number of parameters, all or those that training changes."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trainable)


def summarize(model: nn.Module, name: str, image_size: int, num_classes: int) -> ModelSummary:
    """Count ``model`` for one (1, 3, image_size, image_size) image.

    Build it under ``torch.device("meta")`` and nothing is computed or allocated.

    Raises:
        InputError: The model does not take images of that size.
    """
    calls: list[tuple[type[nn.Module], int]] = []
    handles = [
        # Token reduction calls an attention's layers and not itself.
        (module.qkv if kind is Attention else module).register_forward_pre_hook(
            _recorder(kind, calls)
        )
        for module in model.modules()
        for kind in (Attention, Mlp)
        if isinstance(module, kind)
    ]
    device = next(model.parameters()).device
    training = model.training
    trainable = [each for each in model.parameters() if each.requires_grad]
    params = count_params(model), count_params(model, trainable=True)
    model.eval().requires_grad_(requires_grad=False)  # the counter fails on a layer that gets one
    try:
        # As its two products: the counter does not know every fused form of attention.
        plain = sdpa_kernel(SDPBackend.MATH)
        with torch.no_grad(), plain, FlopCounterMode(display=False) as counter:
            model(torch.zeros(1, 3, image_size, image_size, device=device))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{name} does not take {image_size} px: {error}",
            f"another side, such as {usual_side(as_wrapper(model).backbone) or 224}",
        ) from error
    finally:
        model.train(training)
        for parameter in trainable:
            parameter.requires_grad = True
        for handle in handles:
            handle.remove()
    # An MLP without attention before it, as in a ConvNeXt, is no transformer block.
    blocks = [
        BlockTokens(attention, mlp)
        for (first, attention), (second, mlp) in pairwise(calls)
        if (first, second) == (Attention, Mlp)
    ]
    macs = counter.get_total_flops() / 2
    return ModelSummary(
        name,
        *params,
        macs / 1e9,
        image_size,
        num_classes,
        blocks,
    )


def _recorder(kind: type[nn.Module], calls: list[tuple[type[nn.Module], int]]) -> Any:
    def record(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        calls.append((kind, inputs[0].shape[1]))

    return record
