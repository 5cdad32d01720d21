"""The module of one stage, whatever the method."""

from __future__ import annotations

from timm.models.vision_transformer import Block
from torch import Tensor, nn

from edge_fgir.models.reduction.stage import ReductionStage
from edge_fgir.models.reduction.tokens import Tokens, attend
from edge_fgir.models.transformer import Layout


class Reducer(nn.Module):
    """Runs the attention half of its block, and reduces; this one keeps all tokens.

    Methods that reduce inside the block override :meth:`forward`, those that reduce in front of it
    :meth:`reduce`. What a method adds to the loss in training it appends to ``penalties``.

    Args:
        layout: What stands in front of the patches.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout
        self.penalties: list[Tensor] = []
        """Weighted scalars, one for each forward in training since they were last taken."""

    def forward(self, block: Block, tokens: Tokens, stage: ReductionStage) -> Tokens:
        """Return the tokens that the block's MLP sees."""
        return attend(block, self.reduce(tokens, stage))[0]

    def reduce(self, tokens: Tokens, stage: ReductionStage) -> Tokens:
        """Return the ``stage.kept`` tokens that the whole block sees."""
        return tokens

    def take_penalties(self) -> list[Tensor]:
        """Return the penalties since the last call."""
        penalties, self.penalties = self.penalties, []
        return penalties
