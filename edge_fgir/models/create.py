"""Building a model by its timm name."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping
from typing import Any

import timm
import torch
from torch import nn

from edge_fgir._errors import InputError
from edge_fgir.models.cal import CAL
from edge_fgir.models.weights import load_weights


def create_model(
    name: str,
    num_classes: int,
    *,
    drop_path: float = 0.0,
    attention_maps: int = 0,
    weights: str = "random",
    image_size: int | None = None,
    options: Mapping[str, Any] | None = None,
    meta: bool = False,
) -> nn.Module:
    """Build a model by its timm name.

    Args:
        name: A timm name, ours included; ``name.tag`` chooses among timm's weights.
        num_classes: Number of classes.
        drop_path: Stochastic depth rate of the last block.
        attention_maps: Above 0, wrap the backbone in :class:`CAL` with that many maps.
        weights: ``random``, ``timm`` (timm downloads them), ``efficientnet-lite0`` or a file.
        image_size: Input side, pixels; only models of fixed size (ViTs) need it.
        options: More of the architecture's own options, such as ``token_select`` of a ViTFS.
        meta: Allocate nothing: for counting.

    Raises:
        InputError: The name or an option is unknown, or the weights are out of reach or do not fit.
    """
    cfg = _pretrained_cfg(name)
    built: dict[str, Any] = {"drop_path_rate": drop_path} if drop_path else {}
    if image_size and cfg is not None and cfg.fixed_input_size:
        built["img_size"] = image_size
    built |= options or {}
    download = weights == "timm" and not meta
    if download and not (cfg is not None and cfg.has_weights):
        raise InputError(
            f"timm has no weights for {name}", "weights random, or the path of a state dict"
        )
    with torch.device("meta" if meta else "cpu"):
        backbone = _build(name, download, num_classes if not attention_maps else 0, built)
    if weights not in ("random", "timm") and not meta:
        load_weights(backbone, weights)
    if not attention_maps:
        return backbone
    with torch.device("meta" if meta else "cpu"):
        return CAL(backbone, num_classes, attention_maps, built.get("img_size"))


def _pretrained_cfg(name: str) -> Any:
    """Return timm's description of a model; None if it has none."""
    if not timm.is_model(name.split(".")[0]):
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        raise InputError(
            f"unknown model {name!r}",
            f"a timm name{', such as ' + ', '.join(near) if near else ''}",
            "run: edge-fgir models list",
        )
    try:
        return timm.get_pretrained_cfg(name)
    except RuntimeError as error:
        tagged = timm.list_models(f"{name.split('.')[0]}.*", pretrained=True)
        raise InputError(
            f"unknown weights tag in {name!r}", f"one of {', '.join(tagged) or 'none'}"
        ) from error


def _build(name: str, download: bool, num_classes: int, built: Mapping[str, Any]) -> nn.Module:
    hub = logging.getLogger("huggingface_hub")
    level = hub.level
    hub.setLevel(logging.ERROR)  # it reports each retry
    try:
        model: nn.Module = timm.create_model(
            name, pretrained=download, num_classes=num_classes, **built
        )
    except InputError:
        raise
    except TypeError as error:
        raise InputError(
            f"{name} does not take these options: {error}", "options of this architecture"
        ) from error
    except Exception as error:
        # Several libraries may fetch; what they raise has no common base.
        if not download:
            raise
        raise InputError(
            f"timm could not fetch the weights of {name} ({type(error).__name__})",
            "network access",
            "or download them elsewhere and give the path of the file as weights",
        ) from error
    finally:
        hub.setLevel(level)
    return model
