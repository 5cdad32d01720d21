"""What every method of token reduction is."""

from __future__ import annotations

from timm.models.vision_transformer import Block
from torch import nn

from edge_fgir.models.reduction.layout import Layout
from edge_fgir.models.reduction.schedule import Stage
from edge_fgir.models.reduction.tokens import Tokens, attend


class Reducer(nn.Module):
    """One stage of a method: runs the attention half of its block, and reduces.

    Methods that reduce inside the block override :meth:`forward`, those that reduce in front of it
    :meth:`reduce`.

    Args:
        layout: What stands in front of the patches.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout

    def forward(self, block: Block, tokens: Tokens, stage: Stage) -> Tokens:
        """Return the tokens that the block's MLP sees."""
        return attend(block, self.reduce(tokens, stage))[0]

    def reduce(self, tokens: Tokens, stage: Stage) -> Tokens:
        """Return the ``stage.kept`` tokens that the whole block sees."""
        raise NotImplementedError
