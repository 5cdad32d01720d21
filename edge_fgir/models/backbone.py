"""Backbones: timm's networks, ours included, built by name."""

from __future__ import annotations

import difflib
import inspect
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import timm
from timm.models import build_model_with_cfg
from torch import nn

from edge_fgir._errors import InputError
from edge_fgir.models.timm_hub import check_hub

_BUILDER_OPTIONS = frozenset(
    {
        *inspect.signature(timm.create_model).parameters,
        *inspect.signature(build_model_with_cfg).parameters,
        # Read by timm's builder from its own keyword arguments.
        *("pruned", "features_only", "feature_cls", "out_indices"),
        # Where a network lies is said by who builds it.
        *("device", "dtype"),
    }
) - {"kwargs"}
"""Arguments of timm's builder, which are no options of an architecture."""


def check_options(name: str, options: Mapping[str, object]) -> None:
    """Raise InputError if one of ``options`` would steer timm instead of the architecture.

    Some of them name files that timm would open (``checkpoint_path``, a pickle), folders that it
    would write to, or weights that no description of the network tells of.
    """
    for option in options:
        if option in _BUILDER_OPTIONS:
            raise InputError(
                f"model option {option} of {name} is an argument of timm's builder",
                "options of the architecture alone",
                "name a file of weights as model.weights",
            )


def weights_tag(name: str) -> Any:
    """Return timm's description of a network and its weights; None if it has none.

    Raises:
        InputError: The name or its tag is unknown.
    """
    architecture = name.split(".")[0]
    if not timm.is_model(architecture):
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        raise InputError(
            f"unknown model {name!r}",
            f"a timm name{', such as ' + ', '.join(near) if near else ''}",
            "run: edge-fgir models list",
        )
    try:
        return timm.get_pretrained_cfg(name)
    except RuntimeError as error:
        tagged = timm.list_models(f"{architecture}.*", pretrained=True)
        raise InputError(
            f"unknown weights tag in {name!r}", f"one of {', '.join(tagged) or 'none'}"
        ) from error


def build_backbone(
    name: str, num_classes: int, options: Mapping[str, Any], *, download: bool
) -> nn.Module:
    """Build a timm network.

    Args:
        name: A timm name; ``name.tag`` chooses among timm's weights.
        num_classes: Number of classes; 0: without a head.
        options: Of the architecture.
        download: Fill it with the weights that timm fetches.

    Raises:
        InputError: The architecture does not take an option or the input size, or the weights are
            out of reach.
    """
    hub = logging.getLogger("huggingface_hub")
    level = hub.level
    hub.setLevel(logging.ERROR)  # it reports each retry
    try:
        if download:
            check_hub(name)
        model: nn.Module = timm.create_model(
            name, pretrained=download, num_classes=num_classes, **options
        )
    except InputError:
        raise
    except TypeError as error:
        raise InputError(
            f"{name} does not take these options: {error}", "options of this architecture"
        ) from error
    except Exception as error:
        # Architectures, and the libraries that fetch, raise what has no common base.
        if not download:
            raise InputError(
                f"timm does not build {name} as asked: {error or type(error).__name__}",
                "an image side and options that the architecture takes",
            ) from error
        raise InputError(
            f"timm could not fetch the weights of {name} ({type(error).__name__})",
            "network access",
            "or download them elsewhere and give the path of the file as weights",
        ) from error
    finally:
        hub.setLevel(level)
    _check_patches(model, name)
    return model


def usual_side(backbone: object) -> int | None:
    """Return the input side that timm names for a backbone, pixels; None if it names none."""
    described = getattr(backbone, "pretrained_cfg", None) or {}
    return int(described["input_size"][-1]) if "input_size" in described else None


def own_side(name: str) -> int:
    """Return the input side that a network is made for, pixels; 224 where timm names none.

    Args:
        name: As timm registers it, ours included; with or without a tag.
    """
    described = weights_tag(name)
    return 224 if described is None else int(described.input_size[-1])


def _check_patches(model: Any, name: str) -> None:
    """Raise InputError if patches do not fill the picture: timm would leave out its edge."""
    embed = getattr(model, "patch_embed", None)
    sides: Any = (getattr(embed, "img_size", None), getattr(embed, "patch_size", None))
    if None in sides or getattr(embed, "dynamic_img_pad", False):
        return
    side, patch = (max(each) if isinstance(each, Sequence) else each for each in sides)
    if side % patch == 0:
        return
    near = max(round(side / patch), 1) * patch
    raise InputError(
        f"an image side of {side} px for {name}", f"a multiple of {patch}, such as {near}"
    )
