"""CAL, Counterfactual Attention Learning: the fine-grained-aware teacher (spec TGDA section 2).

Attention maps pool the backbone's features part by part; a counterfactual branch with random
attention measures what the learned attention adds. The same maps tell where the object is, which is
what TGDA crops and drops.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_fgir._errors import InputError

_SCALE = 100.0
_EPS = 1e-6


class CALOutput(NamedTuple):
    """One forward of the teacher.

    Attributes:
        logits: (B, K).
        attention: (B, M, h, w), non-negative.
        embedding: (B, M * C), unit length.
        effect: (B, K), logits minus the counterfactual branch's; None unless asked for.
    """

    logits: Tensor
    attention: Tensor
    embedding: Tensor
    effect: Tensor | None


def bilinear_attention_pool(features: Tensor, attention: Tensor) -> Tensor:
    """Pool (B, C, h, w) features by (B, M, h, w) maps into (B, M * C) unit vectors, m-major.

    Mean over positions, signed square root, L2 norm (spec TGDA section 2.1); in float32.
    """
    height, width = features.shape[2:]
    pooled = torch.einsum("bmhw,bchw->bmc", attention.float(), features.float())
    pooled = pooled.flatten(1) / (height * width)
    return F.normalize(pooled.sign() * (pooled.abs() + _EPS).sqrt(), dim=1)


class CAL(nn.Module):
    """A backbone with attention pooling instead of average pooling.

    Args:
        backbone: A timm model whose ``forward_features`` returns (B, C, h, w).
        num_classes: Number of classes K.
        attention_maps: Number of maps M.

    Raises:
        InputError: The backbone gives no feature maps.
    """

    def __init__(self, backbone: nn.Module, num_classes: int, attention_maps: int = 32) -> None:
        super().__init__()
        self.backbone = backbone
        channels = _feature_channels(backbone)
        self.num_classes = num_classes
        self.attention = nn.Sequential(
            nn.Conv2d(channels, attention_maps, 1, bias=False),
            nn.BatchNorm2d(attention_maps, eps=1e-3),
            nn.ReLU(inplace=True),
        )
        self.head = nn.Linear(attention_maps * channels, num_classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, K) of (B, 3, S, S) pixels: one forward, no crops."""
        return self.look(x).logits

    def look(self, x: Tensor, *, counterfactual: bool = False) -> CALOutput:
        """Classify and localise.

        Args:
            x: (B, 3, S, S) normalised pixels.
            counterfactual: Also compute ``effect``. Its attention is U(0, 2) in training mode and
                one in evaluation mode.
        """
        features = self.backbone.forward_features(x)  # type: ignore[operator]
        with torch.autocast(x.device.type, enabled=False):
            features = features.float()
            attention = self.attention(features)
            embedding = bilinear_attention_pool(features, attention)
            logits = self.head(_SCALE * embedding)
            effect = None
            if counterfactual:
                random = torch.rand_like(attention) * 2
                fake = random if self.training else torch.ones_like(attention)
                pooled = bilinear_attention_pool(features, fake)
                effect = logits - self.head(_SCALE * pooled)
        return CALOutput(logits, attention, embedding, effect)


def _feature_channels(backbone: nn.Module) -> int:
    """Return C of ``forward_features``; timm's ``num_features`` may be another layer's."""
    training = backbone.training
    backbone.eval()
    with torch.no_grad():
        probe = torch.zeros(1, 3, 64, 64, device=next(backbone.parameters()).device)
        features = backbone.forward_features(probe)  # type: ignore[operator]
    backbone.train(training)
    if features.ndim != 4:
        raise InputError(
            f"{type(backbone).__name__} gives features of shape {tuple(features.shape)}",
            "spatial maps (B, C, h, w) for CAL",
            "choose a convolutional backbone",
        )
    return int(features.shape[1])
