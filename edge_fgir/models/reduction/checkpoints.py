"""Weights for a reduced transformer: our own run's, the authors', or the bare backbone's."""

from __future__ import annotations

import re

from torch import Tensor, nn

from edge_fgir.models.reduction.options import Reduction
from edge_fgir.models.reduction.vit import ReducedViT
from edge_fgir.models.weights import BACKBONE, load_state, load_wrapped

_AUTHORS = ("ifa_head.", "clr", "score_predictor.", "cluster_layers.")
_CLA = {"0": "norm_in", "1": "depthwise", "2": "norm_out", "4": "pointwise"}
_STAGE = re.compile(r"(?:score_predictor|cluster_layers)\.(\d+)\.(.+)")
_PREDICTOR = {"in_conv": "project", "out_conv": "decide"}


def make_reduced(
    backbone: nn.Module,
    reduction: Reduction,
    num_classes: int,
    state: dict[str, Tensor] | None,
    source: str,
) -> ReducedViT:
    """Build a reduced transformer around ``backbone`` and fill it.

    Args:
        backbone: A timm transformer or ViTFS.
        reduction: The settings.
        num_classes: Size of the output.
        state: Weights of a :class:`ReducedViT`, of the authors' code (github.com/arkel23/CLCA), or
            of the bare backbone; None: keep what ``backbone`` has.
        source: Where they come from, for messages.

    Raises:
        InputError: The weights do not fit.
    """
    if state is None:
        return ReducedViT(backbone, reduction, num_classes)
    if not _has(state, BACKBONE) and _has(state, _AUTHORS):
        covers_prefix = not getattr(backbone, "no_embed_class", True)
        state = from_authors(state, reduction, covers_prefix=covers_prefix)
    if not _has(state, BACKBONE):
        load_state(backbone, state, source)
        return ReducedViT(backbone, reduction, num_classes)
    model = ReducedViT(backbone, reduction, num_classes)
    load_wrapped(
        model,
        state,
        source,
        what="token reduction",
        expected="weights trained with the same method, CLA and CLC"
        " (those of sit and patchmerger fit one keep rate and input size)",
    )
    return model


def _has(state: dict[str, Tensor], prefixes: str | tuple[str, ...]) -> bool:
    return any(key.startswith(prefixes) for key in state)


def from_authors(
    state: dict[str, Tensor], reduction: Reduction, *, covers_prefix: bool
) -> dict[str, Tensor]:
    """Rename a state dict of the authors' code to ours (github.com/arkel23/CLCA).

    Their dead 1000-way ``head`` is left out where there is a CLA head; the last rows of the
    position table, which belong to the cache's tokens, become a parameter of their own. A table
    that does not cover the prefix (``covers_prefix``) has no such rows.
    """
    renamed: dict[str, Tensor] = {}
    cla = _has(state, "ifa_head.")
    for key, value in state.items():
        stage = _STAGE.fullmatch(key)
        if key.startswith("ifa_head.0."):
            layer, name = key.removeprefix("ifa_head.0.").split(".", 1)
            flat = layer == "4" and name == "weight"
            renamed[f"cla.{_CLA[layer]}.{name}"] = value.squeeze(-1) if flat else value
        elif stage is not None:
            first, _, rest = stage[2].partition(".")
            name = f"{_PREDICTOR.get(first, first)}.{rest}" if rest else first
            renamed[f"reducers.{reduction.blocks[int(stage[1])]}.{name}"] = value
        elif key == "clr":
            renamed["clr"] = value
        elif not (cla and key.startswith(("head.", "norm."))):
            renamed[f"{BACKBONE}{key}"] = value
    if covers_prefix and "clr" in state:
        table, rows = state["pos_embed"].tensor_split((-state["clr"].shape[1],), dim=1)
        renamed[f"{BACKBONE}pos_embed"], renamed["clr_positions"] = table, rows
    return renamed
