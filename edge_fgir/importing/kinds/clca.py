"""Token reduction and CLCA, as github.com/arkel23/CLCA saves them.

Source: arXiv 2501.00243, docs/science/clca.md#published-weights.
"""

from __future__ import annotations

from math import floor
from typing import Annotated

from pydantic import Field
from torch import Tensor

from edge_fgir._errors import InputError
from edge_fgir.importing.checkpoint import Checkpoint
from edge_fgir.importing.names import Names
from edge_fgir.importing.reading import Reading
from edge_fgir.importing.settings import Settings
from edge_fgir.importing.transformer import shape_of
from edge_fgir.models import Network
from edge_fgir.models.reduction import METHODS, Reduction

_METHODS = {
    "evit": "evit",
    "topk": "topk",
    "tome": "tome",
    "ats": "ats",
    "dyvit": "dynamicvit",
    "dpcknn": "dpcknn",
    "sit": "sit",
    "patchmerger": "patchmerger",
}
"""How their model names begin, and ours of the method."""

_TELLING = {
    "score_predictor.0.in_conv.1.weight": "dynamicvit",
    "cluster_layers.0.queries": "patchmerger",
    "cluster_layers.0.scale": "sit",
    "cluster_layers.0.score.weight": "dpcknn",
}
"""Tensors that only one method has."""

_RATES = (0.1, 0.25, 0.5, 0.7, 0.9)
"""The published keep rates."""

_CLIP_EPS = 1e-5
_HEAD = {
    "depthwise": {"0": "norm_in", "1": "depthwise", "2": "norm_out", "4": "pointwise"},
    "linear": {"0": "mix", "3": "norm", "4": "classify"},
}
"""Layers of ``ifa_head.0``."""


class CLCASettings(Settings):
    """Settings of a run of CLCA; the names are the authors'."""

    model: Annotated[
        str, Field(description="their name, whose beginning is the method, such as evit_deit3...")
    ] = ""
    keep_rate: Annotated[
        float | tuple[float, ...] | None, Field(description="share of the tokens a stage keeps")
    ] = None
    reduction_loc: Annotated[
        tuple[int, ...], Field(description="blocks that reduce, counted from 0")
    ] = (3, 6, 9)
    input_size: Annotated[int | None, Field(description="side of the pictures, pixels")] = None
    num_attention_heads: Annotated[int | None, Field(description="64 channels a head")] = None
    clc: Annotated[bool, Field(description="cross-layer cache")] = False
    clc_include_gap: Annotated[bool, Field(description="the cache keeps means, too")] = True
    clc_recover_at_last: Annotated[
        bool, Field(description="recover in front of the last block, too")
    ] = True
    clc_pool_cls: Annotated[bool, Field(description="class token in the mean")] = False
    clc_pool_clr: Annotated[bool, Field(description="CLR tokens in the first mean")] = False

    @property
    def side_set(self) -> int | None:
        """``input_size``, which is what CLCA's authors call it."""
        return self.image_size or self.input_size

    @property
    def enlarged(self) -> float:
        """Side before the crop / side of the crop, where the file does not say it."""
        return 1 / 0.875


def read(checkpoint: Checkpoint, settings: CLCASettings) -> Reading:
    """Understand a checkpoint.

    Raises:
        InputError: Neither tensors nor settings tell the method or its keep rate, or they are none
            of ours.
    """
    tensors = dict(checkpoint.tensors)
    tokens = tensors["clr"].shape[1] if "clr" in tensors else 0
    if settings.clc_pool_cls or settings.clc_pool_clr or (settings.clc and not tokens):
        raise InputError(
            f"{checkpoint.path}: a cross-layer cache that pools class or CLR tokens, or has no CLR",
            "clc_pool_cls and clc_pool_clr off, and a tensor clr",
        )
    shape = shape_of(
        tensors,
        heads=settings.num_attention_heads,
        more_tokens=tokens,
        file=checkpoint.path,
    )
    method = _method(tensors, settings, checkpoint)
    rate = _rate(tensors, settings, method, shape.patches, checkpoint)
    cla = any(name.startswith("ifa_head.") for name in tensors)
    conv = tensors.get("ifa_head.0.1.weight")
    head = "linear" if cla and conv is None else "depthwise"
    reduction = Reduction.checked(
        method=method,
        keep_rate=rate,
        blocks=settings.reduction_loc,
        cla=cla,
        cla_head=head,
        clr_tokens=tokens,
        clc_include_gap=settings.clc_include_gap,
        clc_recover_at_last=settings.clc_recover_at_last,
        reference_counts=_keeps_nothing(rate, shape.patches, method, len(settings.reduction_loc)),
        reference_decisions=method == "dynamicvit" and tokens > 0,
    )
    network = Network(
        name=shape.name,
        options=shape.options,
        layer_norm_eps=_CLIP_EPS if shape.pre_norm else None,
        reduction=reduction,
    )
    if tokens and shape.covers_prefix:
        # The last rows of the table are of the cache's own tokens.
        table, rows = tensors["pos_embed"].tensor_split((-tokens,), dim=1)
        tensors |= {"pos_embed": table, "clr_positions": rows}
    classifier = next(
        (name for name in ("ifa_head.0.4.weight", "head.weight") if name in tensors), None
    )
    if classifier is None:
        raise InputError(f"{checkpoint.path} has no head.weight", "a classifier")
    return Reading(
        network,
        len(tensors[classifier]),
        _names(reduction),
        tensors,
        settings.preprocess(settings.side(shape.side, checkpoint.path)),
        settings.normalization(),
    )


def _names(reduction: Reduction) -> Names:
    pairs = [
        (f"ifa_head.0.{i}.", f"cla.{layer}.") for i, layer in _HEAD[reduction.cla_head].items()
    ]
    for stage, block in enumerate(reduction.blocks):
        ours = f"reducers.{block}."
        pairs += [
            (f"score_predictor.{stage}.in_conv.", f"{ours}project."),
            (f"score_predictor.{stage}.out_conv.", f"{ours}decide."),
            (f"cluster_layers.{stage}.", ours),
        ]
    pairs += [("clr_positions", "clr_positions"), ("clr", "clr"), ("", "backbone.")]
    # With CLA, the classifier of the pretraining lies in their files and is not used.
    return Names(tuple(pairs), (r"head\.", r"norm\.") if reduction.cla else ())


def _method(tensors: dict[str, Tensor], settings: CLCASettings, checkpoint: Checkpoint) -> str:
    for name, method in _TELLING.items():
        if name in tensors:
            return method
    if settings.keep_rate in (1, (1.0,)):
        return "none"
    begin = settings.model.split("_")[0]
    if begin in _METHODS and METHODS[_METHODS[begin]].weightless:
        return _METHODS[begin]
    if settings.model.startswith(("vit", "deit")):
        return "none"
    weightless = ", ".join(name for name, ours in _METHODS.items() if METHODS[ours].weightless)
    raise InputError(
        f"{checkpoint.path} does not say how tokens are reduced, and its tensors fit several ways",
        f"a model that begins with vit (not at all), or with {weightless}",
        "add --set model=evit_vit_base_patch16_224",
    )


def _rate(
    tensors: dict[str, Tensor],
    settings: CLCASettings,
    method: str,
    patches: int,
    checkpoint: Checkpoint,
) -> float | tuple[float, ...]:
    if method == "none":
        return 1.0
    rates = settings.keep_rate
    if isinstance(rates, tuple) and len(rates) == 1:
        rates = rates[0]
    if isinstance(rates, tuple) and not METHODS[method].stage_rate:
        raise InputError(
            f"{checkpoint.path}: {len(rates)} keep rates for {method}, which are counts there",
            "one keep rate",
        )
    if rates is not None:
        return rates
    for rate in _RATES:
        counts = [floor(patches * rate ** (s + 1)) for s in range(len(settings.reduction_loc))]
        if counts == [_clusters(tensors, stage) for stage in range(len(counts))]:
            return rate
    raise InputError(
        f"{checkpoint.path} does not say its keep_rate, and its tensors fit any",
        "the share of the tokens that a stage keeps",
        "add --set keep_rate=0.5",
    )


def _clusters(tensors: dict[str, Tensor], stage: int) -> int:
    """Return the tokens that a stage of sit or patchmerger leaves; -1 for other methods."""
    begin = f"cluster_layers.{stage}."
    for name in (f"{begin}queries", f"{begin}weight.3.weight"):
        if name in tensors:
            return len(tensors[name])
    return -1


def _keeps_nothing(rate: float | tuple[float, ...], patches: int, method: str, stages: int) -> bool:
    """Whether a stage keeps no token, or fewer than we allow, as their code lets it."""
    if isinstance(rate, tuple) or rate == 1:
        return False
    return floor(patches * rate**stages) == 0 or rate < METHODS[method].least_rate
