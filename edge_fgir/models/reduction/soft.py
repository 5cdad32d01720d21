"""Soft merging: every token that is left is a mixture of all."""

from __future__ import annotations

import torch
from torch import Tensor

from edge_fgir.models.reduction.reducer import Reducer
from edge_fgir.models.reduction.stage import ReductionStage
from edge_fgir.models.reduction.tokens import Tokens


class SoftMerging(Reducer):
    """Replaces the tokens behind the prefix by mixtures of them."""

    def reduce(self, tokens: Tokens, stage: ReductionStage) -> Tokens:
        """Return the tokens that the whole block sees."""
        prefix = self.layout.prefix
        mixed = self.mix(tokens.x[:, prefix:])
        return Tokens(torch.cat((tokens.x[:, :prefix], mixed), dim=1))

    def mix(self, x: Tensor) -> Tensor:
        """Return mixtures of the tokens ``x`` (B, n, D) behind the prefix."""
        raise NotImplementedError
