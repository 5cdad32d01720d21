"""ILA, ILA+ and ILA++ (arXiv 2409.11051): adapters that shrink a frozen transformer's grid."""

from __future__ import annotations

from edge_fgir.models.ila.adapter import BlockAdapters, DownSampling, LinearAdapter, Padded
from edge_fgir.models.ila.base import Base
from edge_fgir.models.ila.checkpoints import (
    check_base,
    check_there,
    learned_state,
    load_learned,
    load_whole,
    make_adapted,
)
from edge_fgir.models.ila.options import VARIANTS, Adapters, Variant
from edge_fgir.models.ila.ranges import residual_ranges
from edge_fgir.models.ila.vit import BETWEEN, INSIDE, AdaptedViT

__all__ = [
    "BETWEEN",
    "INSIDE",
    "VARIANTS",
    "AdaptedViT",
    "Adapters",
    "Base",
    "BlockAdapters",
    "DownSampling",
    "LinearAdapter",
    "Padded",
    "Variant",
    "check_base",
    "check_there",
    "learned_state",
    "load_learned",
    "load_whole",
    "make_adapted",
    "residual_ranges",
]
