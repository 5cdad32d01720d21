"""What a BatchNorm is in evaluation: a factor and a summand for each channel."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def affine_of(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return (C,) factor and (C,) summand."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    scale = norm.weight.detach() / torch.sqrt(variance + norm.eps)
    return scale, norm.bias.detach() - mean * scale


def fold_into_next(norm: nn.BatchNorm1d | nn.BatchNorm2d, layer: nn.Linear | nn.Conv2d) -> None:
    """Fold a norm into the linear layer, or 1 x 1 convolution, that reads it."""
    scale, shift = affine_of(norm)
    weight = layer.weight.detach()
    added = weight.flatten(1) @ shift
    layer.weight = nn.Parameter(weight * scale.view(1, -1, *[1] * (weight.dim() - 2)))
    layer.bias = nn.Parameter(added if layer.bias is None else layer.bias.detach() + added)
