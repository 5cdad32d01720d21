"""Making a family of networks known to timm, so that every timm tool works with it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from timm.models import build_model_with_cfg, register_model
from torch import nn

_COMMON = {
    "url": "",
    "num_classes": 1000,
    "crop_pct": 1.0,
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
    "first_conv": "stem.0",
    "classifier": "head",
}


def register_family(family: type[nn.Module], configs: Mapping[str, Any], **cfg: Any) -> None:
    """Register ``family(config, ...)`` under the name of each config.

    Args:
        family: The network; its first argument is the config.
        configs: By timm name.
        cfg: timm's default description, beside what all ours share: input size, interpolation.
    """
    module = sys.modules[family.__module__]
    # timm looks the descriptions up in the module that a function says it comes from.
    module.default_cfgs = {name: {**_COMMON, **cfg} for name in configs}  # type: ignore[attr-defined]
    for name, config in configs.items():
        register_model(_creator(family, name, config))


def _creator(family: type[nn.Module], name: str, config: Any) -> Any:
    def create(pretrained: bool = False, **options: Any) -> nn.Module:
        model: nn.Module = build_model_with_cfg(family, name, pretrained, config=config, **options)
        return model

    create.__name__ = name
    create.__module__ = family.__module__
    return create
