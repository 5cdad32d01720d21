"""CLA: one head over the class tokens of several depths (arXiv 2501.00243)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from edge_fgir.models.affine import affine_of

MULTIPLIER = 2
"""Output channels of the depth-wise convolution for each channel."""


class CLAHead(nn.Module):
    """Class tokens of G depths, (B, D, G), to logits, (B, num_classes).

    Args:
        dim: Channels D of a token.
        groups: Number G of class tokens, one a stage and the last block's.
        num_classes: Size of the output.
    """

    def __init__(self, dim: int, groups: int, num_classes: int) -> None:
        super().__init__()
        wide = MULTIPLIER * dim
        self.norm_in = nn.BatchNorm1d(dim)
        self.depthwise = nn.Conv1d(dim, wide, groups, stride=groups, groups=dim)
        self.norm_out = nn.BatchNorm1d(wide)
        self.pointwise = nn.Linear(wide, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, num_classes) of class tokens (B, D, G)."""
        mixed = self.norm_out(self.depthwise(self.norm_in(x))).flatten(1)
        logits: Tensor = self.pointwise(functional.gelu(mixed))
        return logits


class LinearCLAHead(nn.Module):
    """The authors' older head: one weight a depth mixes class tokens, (B, D, G), alike in all
    channels; behind a ReLU and a LayerNorm comes the classifier.

    Args:
        dim: Channels D of a token.
        groups: Number G of class tokens.
        num_classes: Size of the output.
    """

    def __init__(self, dim: int, groups: int, num_classes: int) -> None:
        super().__init__()
        self.mix = nn.Linear(groups, 1)
        self.norm = nn.LayerNorm(dim)
        self.classify = nn.Linear(dim, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, num_classes) of class tokens (B, D, G)."""
        mixed = functional.relu(self.mix(x).flatten(1))
        logits: Tensor = self.classify(self.norm(mixed))
        return logits


class FoldedCLA(nn.Module):
    """A :class:`CLAHead` in evaluation, both norms folded into its first layer (exact).

    Written as a product and a sum: a convolution of as many groups as channels is slow, or missing,
    on several runtimes.
    """

    def __init__(self, head: CLAHead) -> None:
        super().__init__()
        scale_in, shift_in = affine_of(head.norm_in)
        scale_out, shift_out = affine_of(head.norm_out)
        dim = len(scale_in)
        # (2D, 1, G): channels 2d and 2d + 1 belong to input channel d.
        kernel = head.depthwise.weight.detach()[:, 0]
        bias = head.depthwise.bias
        assert bias is not None
        spread_in, spread_shift = (
            each.repeat_interleave(MULTIPLIER) for each in (scale_in, shift_in)
        )
        shift = bias.detach() + kernel.sum(dim=1) * spread_shift
        kernel = kernel * spread_in[:, None] * scale_out[:, None]
        self.kernel: Tensor
        self.shift: Tensor
        self.register_buffer("kernel", kernel.view(dim, MULTIPLIER, -1))
        self.register_buffer("shift", (shift * scale_out + shift_out).view(dim, MULTIPLIER))
        self.pointwise = head.pointwise

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, num_classes) of class tokens (B, D, G)."""
        mixed = (x[:, :, None] * self.kernel).sum(dim=3) + self.shift
        logits: Tensor = self.pointwise(functional.gelu(mixed.flatten(1)))
        return logits
