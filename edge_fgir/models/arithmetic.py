"""Parameters, multiply-accumulates and token counts of a model, without running it on data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from timm.layers import Attention, Mlp
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class BlockTokens:
    """Tokens that enter one transformer block's attention and its MLP."""

    attention_tokens: int
    mlp_tokens: int


@dataclass(frozen=True)
class ModelSummary:
    """What ``edge-fgir models show`` prints.

    ``gmacs`` counts convolutions, linear layers and attention's matrix products for one image, one
    multiply-add as one.
    """

    name: str
    params: int
    gmacs: float
    image_size: int
    num_classes: int
    blocks: list[BlockTokens]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def count_params(model: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def summarize(model: nn.Module, name: str, image_size: int, num_classes: int) -> ModelSummary:
    """Count ``model`` for one (1, 3, image_size, image_size) image.

    Build it under ``torch.device("meta")`` and nothing is computed or allocated.
    """
    attention: list[int] = []
    mlp: list[int] = []
    handles = []
    for module in model.modules():
        into = attention if isinstance(module, Attention) else mlp
        if isinstance(module, Attention | Mlp):
            handles.append(module.register_forward_pre_hook(_recorder(into)))
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(torch.zeros(1, 3, image_size, image_size, device=device))
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
    blocks = [BlockTokens(a, m) for a, m in zip(attention, mlp, strict=True)]
    macs = counter.get_total_flops() / 2
    return ModelSummary(name, count_params(model), macs / 1e9, image_size, num_classes, blocks)


def _recorder(counts: list[int]) -> Any:
    def record(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        counts.append(inputs[0].shape[1])

    return record
