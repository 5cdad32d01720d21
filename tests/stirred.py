"""Networks whose norms and scales do something, as after a training."""

from __future__ import annotations

import torch
from timm.layers import LayerScale
from torch import nn


def stir(model: nn.Module) -> None:
    """Give BatchNorms and LayerScales values that an error in folding them must show."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            assert isinstance(module.running_mean, torch.Tensor)
            assert isinstance(module.running_var, torch.Tensor)
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 1.5)
        elif isinstance(module, LayerScale):
            nn.init.uniform_(module.gamma, -0.5, 0.5)
