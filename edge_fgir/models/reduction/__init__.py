"""Token reduction and CLCA (arXiv 2501.00243): fewer tokens on the way through a transformer."""

from __future__ import annotations

from edge_fgir.models.reduction.checkpoints import make_reduced
from edge_fgir.models.reduction.method import METHODS, ReductionMethod, planned, register
from edge_fgir.models.reduction.options import KeepRate, Reduction, ReductionName
from edge_fgir.models.reduction.reducer import Reducer
from edge_fgir.models.reduction.schedule import TokenSchedule, macs, make_schedule
from edge_fgir.models.reduction.stage import Arrival, ReductionStage, TransformerShape
from edge_fgir.models.reduction.tokens import Tokens, attend, take
from edge_fgir.models.reduction.vit import ReducedViT

__all__ = [
    "METHODS",
    "Arrival",
    "KeepRate",
    "ReducedViT",
    "Reducer",
    "Reduction",
    "ReductionMethod",
    "ReductionName",
    "ReductionStage",
    "TokenSchedule",
    "Tokens",
    "TransformerShape",
    "attend",
    "macs",
    "make_reduced",
    "make_schedule",
    "planned",
    "register",
    "take",
]
