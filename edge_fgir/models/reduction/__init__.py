"""Token reduction and CLCA (arXiv 2501.00243): fewer tokens on the way through a transformer."""

from __future__ import annotations

from edge_fgir.models.reduction.checkpoints import make_reduced
from edge_fgir.models.reduction.options import (
    FIXED,
    METHODS,
    WEIGHTLESS,
    KeepRate,
    Method,
    Reduction,
)
from edge_fgir.models.reduction.schedule import Schedule, Shape, macs, make_schedule
from edge_fgir.models.reduction.vit import ReducedViT

__all__ = [
    "FIXED",
    "METHODS",
    "WEIGHTLESS",
    "KeepRate",
    "Method",
    "ReducedViT",
    "Reduction",
    "Schedule",
    "Shape",
    "macs",
    "make_reduced",
    "make_schedule",
]
