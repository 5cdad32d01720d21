"""ILA, as github.com/arkel23/DownSamplingInterLayerAdapter saves it.

Source: arXiv 2409.11051, docs/science/ila.md#published-weights.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edge_fgir._errors import InputError
from edge_fgir.importing.checkpoint import Checkpoint
from edge_fgir.importing.names import Names
from edge_fgir.importing.reading import Reading
from edge_fgir.importing.settings import Settings
from edge_fgir.importing.transformer import AUTHORS_EPS, authors_vit, numbered, shape_of
from edge_fgir.models import Network
from edge_fgir.models.ila import Adapters, Variant

_ADAPTER = (
    ("adapter_down.", "bottleneck.down."),
    ("norm1.1.", "bottleneck.norm_down."),
    ("adapter_cls.", "bottleneck.prefix."),
    ("adapter_conv.0.", "bottleneck.depthwise."),
    ("adapter_conv.1.0.", "bottleneck.norm_depthwise."),
    ("adapter_conv.2.", "bottleneck.pointwise."),
    ("norm3.1.", "bottleneck.norm_up."),
    ("adapter_up.", "bottleneck.up."),
    ("ds_conv.", "residual."),
)
"""Layers of an adapter between blocks."""

_IN_BLOCKS = tuple(
    (f"encoder.blocks.#.{theirs}.adapter_{layer}.", f"inside.#.{ours}.{layer}.")
    for theirs, ours in (("adapter_attn", "attention"), ("adapter_pwffn", "mlp"))
    for layer in ("down", "up")
)
_WIDTH = "adapter_down.weight"


class ILASettings(Settings):
    """Settings of a run of ILA; the names are the authors'."""

    ila_ds_locs: Annotated[
        tuple[int, ...], Field(description="blocks behind which the grid shrinks, from 0")
    ] = (3, 7)
    num_attention_heads: Annotated[int | None, Field(description="64 channels a head")] = None


def read(checkpoint: Checkpoint, settings: ILASettings) -> Reading:
    """Understand a checkpoint.

    Raises:
        InputError: It is of another design than the published ones.
    """
    tensors = checkpoint.tensors
    between = [f"encoder.{group}.0.{_WIDTH}" for group in ("ila_ds", "ila")]
    inside = f"encoder.blocks.0.adapter_attn.{_WIDTH}"
    for needed in (between[0], "patch_embedding.weight", "head.head.weight"):
        if needed not in tensors:
            raise InputError(
                f"{checkpoint.path} has no {needed}", "adapters in the ViT of ILA's authors"
            )
    plain = Names(authors_vit("")).renamed(
        {name: each for name, each in tensors.items() if "adapter" not in name}
    )
    shape = shape_of(plain, heads=settings.num_attention_heads, file=checkpoint.path)
    variant: Variant = "ila"
    if between[1] in tensors:
        variant = "ila+"
    elif inside in tensors:
        variant = "ila++"
    shrinking = settings.ila_ds_locs
    others = [block for block in range(shape.depth) if block not in shrinking]
    found = (numbered(tensors, "encoder.ila_ds."), numbered(tensors, "encoder.ila."))
    if found != (len(shrinking), len(others) if variant == "ila+" else 0):
        raise InputError(
            f"{checkpoint.path}: {found[0]} adapters that down-sample, {found[1]} that do not",
            f"{len(shrinking)} (behind blocks {', '.join(map(str, shrinking))}) and "
            f"{len(others)} or none",
            "add --set ila_ds_locs=[3,7]",
        )
    places = [*enumerate(shrinking)], [*enumerate(others)]
    adapters = [
        (f"encoder.{group}.{number}.{theirs}", f"between.{block}.{ours}")
        for group, blocks in zip(("ila_ds", "ila"), places, strict=True)
        for number, block in blocks
        for theirs, ours in _ADAPTER
    ]
    names = Names(
        (*adapters, *_IN_BLOCKS, *authors_vit("backbone."), ("head.head.", "backbone.head."))
    )
    network = Network(
        name=shape.name,
        options=shape.options,
        layer_norm_eps=AUTHORS_EPS,
        adapters=Adapters.checked(
            variant=variant,
            width=len(tensors[between[0]]),
            block_width=len(tensors[inside]) if inside in tensors else 8,
            locations=shrinking,
            residual="sum",
        ),
    )
    return Reading(
        network,
        len(tensors["head.head.weight"]),
        names,
        tensors,
        settings.preprocess(settings.side(shape.side, checkpoint.path)),
        settings.normalization(),
    )
