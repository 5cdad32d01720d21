"""Networks and their arithmetic. Importing this registers ours with timm."""

from __future__ import annotations

import difflib

import timm
import torch
from torch import nn

from edge_fgir._errors import InputError
from edge_fgir.models import lrnet
from edge_fgir.models.arithmetic import BlockTokens, ModelSummary, count_params, summarize
from edge_fgir.models.cal import CAL, CALOutput, bilinear_attention_pool
from edge_fgir.models.lrnet import LRNet
from edge_fgir.models.weights import LITE0, load_weights

OWN_MODELS = tuple(lrnet.CONFIGS)
"""Names that this project registers with timm."""


def create_model(
    name: str,
    num_classes: int,
    *,
    drop_path: float = 0.0,
    attention_maps: int = 0,
    weights: str = "random",
    image_size: int | None = None,
    meta: bool = False,
) -> nn.Module:
    """Build a model by its timm name.

    Args:
        name: A timm name, ours included.
        num_classes: Number of classes.
        drop_path: Stochastic depth rate of the last block.
        attention_maps: Above 0, wrap the backbone in :class:`CAL` with that many maps.
        image_size: Input side, pixels; only models of fixed size (ViTs) need it.
        weights: ``random``, ``timm`` (timm downloads them), ``efficientnet-lite0`` or a file.
        meta: Allocate nothing: for counting.

    Raises:
        InputError: The name is unknown, or the weights do not fit.
    """
    if not timm.is_model(name.split(".")[0]):
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        raise InputError(
            f"unknown model {name!r}",
            f"a timm name{', such as ' + ', '.join(near) if near else ''}",
            "run: edge-fgir models list",
        )
    options: dict[str, float | int] = {"drop_path_rate": drop_path} if drop_path else {}
    pretrained_cfg = timm.get_pretrained_cfg(name)
    if image_size and pretrained_cfg is not None and pretrained_cfg.fixed_input_size:
        options["img_size"] = image_size
    with torch.device("meta" if meta else "cpu"):
        backbone: nn.Module = timm.create_model(
            name,
            pretrained=weights == "timm" and not meta,
            num_classes=num_classes if not attention_maps else 0,
            **options,
        )
    if weights not in ("random", "timm") and not meta:
        load_weights(backbone, weights)
    if not attention_maps:
        return backbone
    with torch.device("meta" if meta else "cpu"):
        return CAL(backbone, num_classes, attention_maps)


__all__ = [
    "CAL",
    "LITE0",
    "OWN_MODELS",
    "BlockTokens",
    "CALOutput",
    "LRNet",
    "ModelSummary",
    "bilinear_attention_pool",
    "count_params",
    "create_model",
    "load_weights",
    "summarize",
]
