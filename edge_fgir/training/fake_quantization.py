"""Quantization-aware training: what learns computes as INT8 will.

Convolutions and linear layers see inputs rounded to 8 bits over the batch's range, and weights
rounded symmetrically for each output channel; gradients pass straight through (arXiv 1712.05877,
section 3). Rounding commutes with a BatchNorm that is folded into the weights later, which scales
whole channels, so the network stays as it is: there are no ranges to be stored and nothing to be
converted, and the weights are quantized for every target like those of any other run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

_LAYERS: tuple[Callable[..., Tensor], ...] = (F.conv2d, F.linear)
_WEIGHT_MAX, _INPUT_MAX = 127, 255
_TINY = 1e-8


class FakeQuantMode(TorchFunctionMode):
    """While it is entered, layers that gradients flow through compute with rounded numbers.

    A teacher, which answers without gradients, is not touched.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Round input and weight of a layer."""
        if func in _LAYERS and torch.is_grad_enabled():
            args = (rounded_input(args[0]), rounded_weight(args[1]), *args[2:])
        return func(*args, **(kwargs or {}))


def rounded_input(x: Tensor) -> Tensor:
    """Round to 256 levels over the tensor's own range, which always holds zero."""
    low, high = torch.aminmax(x.detach().float())
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = ((high - low) / _INPUT_MAX).clamp(min=_TINY)
    zero = (-low / scale).round().to(torch.int32)
    return torch.fake_quantize_per_tensor_affine(x.float(), scale, zero, 0, _INPUT_MAX)


def rounded_weight(weight: Tensor) -> Tensor:
    """Round each output channel, the first dimension, to 255 symmetric levels."""
    most = weight.detach().float().abs().flatten(1).amax(dim=1)
    scale = (most / _WEIGHT_MAX).clamp(min=_TINY)
    zero = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(
        weight.float(), scale, zero, 0, -_WEIGHT_MAX, _WEIGHT_MAX
    )
