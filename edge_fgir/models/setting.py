"""The settings at which trained weights can be used without training them again."""

from __future__ import annotations

from typing import NamedTuple

from edge_fgir.models.reduction import KeepRate, ReductionName


class Setting(NamedTuple):
    """Input side, pixels; keep rate and reduction method, None: the model's own."""

    image_size: int
    keep_rate: KeepRate | None = None
    method: ReductionName | None = None
