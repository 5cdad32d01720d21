"""The last features of any timm backbone as maps (B, C, h, w)."""

from __future__ import annotations

from math import isqrt

from torch import Tensor, nn

from edge_fgir._errors import InputError


def spatial_maps(backbone: nn.Module, features: object) -> Tensor:
    """Turn what ``backbone.forward_features`` returned into maps (B, C, h, w).

    Maps pass, channels last in shape (``output_fmt`` NHWC) are moved first, and tokens (B, N, C)
    lose their prefix (class, distillation and register tokens) and become a square grid.

    Raises:
        InputError: There are no maps and no square grid of tokens.
    """
    if isinstance(features, Tensor) and features.ndim == 4:
        channels_last = getattr(backbone, "output_fmt", "NCHW") == "NHWC"
        return features.permute(0, 3, 1, 2) if channels_last else features
    given = type(features).__name__
    if isinstance(features, Tensor):
        prefix = int(getattr(backbone, "num_prefix_tokens", 0))
        given = f"shape {tuple(features.shape)} with {prefix} prefix tokens"
        if features.ndim == 3:
            tokens = features[:, prefix:]
            side = isqrt(tokens.shape[1])
            if side > 1 and side * side == tokens.shape[1]:
                grid: Tensor = tokens.transpose(1, 2).unflatten(2, (side, side))
                return grid
    raise InputError(
        f"{type(backbone).__name__} gives features of {given}",
        "spatial maps (B, C, h, w) or a square grid of tokens (B, N, C)",
        "choose another backbone",
    )
