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
from edge_fgir.models.glsim import GLSimOptions, make_glsim
from edge_fgir.models.ila import Adapters, make_adapted
from edge_fgir.models.reduction import Reduction, make_reduced
from edge_fgir.models.weights import load_weights, read_state


def create_model(
    name: str,
    num_classes: int,
    *,
    drop_path: float = 0.0,
    attention_maps: int = 0,
    weights: str = "random",
    image_size: int | None = None,
    options: Mapping[str, Any] | None = None,
    reduction: Reduction | None = None,
    glsim: GLSimOptions | None = None,
    adapters: Adapters | None = None,
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
        reduction: Token reduction and CLCA of a vision transformer.
        glsim: A second look of a vision transformer at a part of the picture.
        adapters: Of a vision transformer that stays as ``weights`` say (ILA).
        meta: Allocate nothing: for counting.

    Raises:
        InputError: The name or an option is unknown, the weights are out of reach or do not fit, or
            the model cannot be reduced so.
    """
    if reduction is not None and attention_maps:
        raise InputError("a CAL teacher with token reduction", "one or the other")
    if glsim is not None and (reduction is not None or attention_maps):
        other = "token reduction" if reduction is not None else "a CAL teacher"
        raise InputError(f"GLSim with {other}", "one or the other: GLSim compares all patches")
    if adapters is not None and (reduction is not None or attention_maps or glsim is not None):
        other = "a CAL teacher" if attention_maps else "GLSim" if glsim else "token reduction"
        raise InputError(f"adapters with {other}", "one or the other")
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
    # A base is told by its hash, which input size and classes must not change.
    base = _build(name, True, cfg.num_classes, {}) if adapters is not None and download else None
    download = download and base is None
    with torch.device("meta" if meta else "cpu"):
        backbone = _build(name, download, num_classes if not attention_maps else 0, built)
    _check_patches(backbone, name)
    given = None if meta or weights in ("random", "timm") else weights
    if adapters is not None:
        state = read_state(given) if given else None
        if base is not None:
            state = base.state_dict()
        with torch.device("meta" if meta else "cpu"):
            return make_adapted(backbone, adapters, state, weights)
    if reduction is not None:
        state = read_state(given) if given else None
        with torch.device("meta" if meta else "cpu"):
            return make_reduced(backbone, reduction, num_classes, state, weights)
    if glsim is not None:
        state = read_state(given) if given else None
        with torch.device("meta" if meta else "cpu"):
            return make_glsim(backbone, glsim, num_classes, state, weights)
    if given:
        load_weights(backbone, given)
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


def _check_patches(model: Any, name: str) -> None:
    """Raise InputError if patches do not fill the picture: timm would leave out its edge."""
    embed = getattr(model, "patch_embed", None)
    side, patch = (getattr(embed, key, None) for key in ("img_size", "patch_size"))
    if not side or not patch or getattr(embed, "dynamic_img_pad", False) or side[0] % patch[0] == 0:
        return
    near = max(round(side[0] / patch[0]), 1) * patch[0]
    raise InputError(
        f"an image side of {side[0]} px for {name}", f"a multiple of {patch[0]}, such as {near}"
    )


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
