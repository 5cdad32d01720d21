"""Top-K: EViT without the fused token (arXiv 2501.00243, section 3.1)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from edge_fgir.models.reduction.methods import evit

METHOD = replace(
    evit.METHOD,
    name="topk",
    reducer=lambda layout, dim, stage: evit.EViT(layout, fuse=False),
    count=partial(evit.count, fuse=False),
)
