"""BatchNorm over the whole batch when several processes share it, on any device.

Torch's own SyncBatchNorm computes on GPUs only and takes the place of a layer, so that what a
subclass adds is lost: the activation of timm's BatchNormAct2d, the token axis of a ViTFS's norm.
Here the layers stay as they are; the function that all of them call is another one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, distributed
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

from edge_fgir.training.losses import of_all_processes


class SyncBatchNormMode(TorchFunctionMode):
    """While it is entered, BatchNorms in training see the pictures of every process.

    Every process must hold as many pictures and call the same layers in the same order.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Compute a BatchNorm in training here, everything else as it is."""
        done = _batch_norm if func is F.batch_norm else func
        return done(*args, **(kwargs or {}))


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Do what ``torch.nn.functional.batch_norm`` does, whose signature this is."""
    if not training:
        return F.batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    mean, var = _moments(input.detach())
    if running_mean is not None and running_var is not None:
        count = input.numel() // input.shape[1] * distributed.get_world_size()
        running_mean.lerp_(mean, momentum)
        running_var.lerp_(var * (count / (count - 1)), momentum)
    result: Tensor = _Normalised.apply(input, mean, var, weight, bias, eps)
    return result


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance (C,) of every process's (B, C, ...), in float32."""
    own = torch.var_mean(x.float(), dim=_all_but_channels(x), correction=0)
    var, mean = of_all_processes(torch.stack(own)[None]).unbind(dim=1)
    whole = mean.mean(dim=0)
    return whole, (var + (mean - whole).square()).mean(dim=0)


class _Normalised(Function):
    """(x - mean) / sqrt(var + eps) * weight + bias, where ``x`` decides mean and variance."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        mean: Tensor,
        var: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        eps: float,
    ) -> Tensor:
        ctx.save_for_backward(x, mean, var, weight)
        ctx.eps = eps
        return F.batch_norm(x, mean, var, weight, bias, training=False, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, var, weight = ctx.saved_tensors
        dims, shape = _all_but_channels(x), (1, -1, *[1] * (x.dim() - 2))
        scale = (var + ctx.eps).rsqrt()
        normal = (x.float() - mean.view(shape)) * scale.view(shape)
        given = gradient.float()
        own = torch.stack([given.mean(dim=dims), (given * normal).mean(dim=dims)])
        shift, tilt = of_all_processes(own[None]).mean(dim=0)
        if weight is not None:
            scale = scale * weight.float()
        back = (given - shift.view(shape) - normal * tilt.view(shape)) * scale.view(shape)
        count = x.numel() // x.shape[1]
        # Of weight and bias a process knows its own part: those are averaged like all gradients.
        of_weight = own[1] * count if ctx.needs_input_grad[3] else None
        of_bias = own[0] * count if ctx.needs_input_grad[4] else None
        return back.to(x.dtype), None, None, of_weight, of_bias, None


def _all_but_channels(x: Tensor) -> tuple[int, ...]:
    return (0, *range(2, x.dim()))
