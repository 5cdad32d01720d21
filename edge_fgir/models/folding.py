"""Folding: affine steps of a trained network into the layers beside them, exact in evaluation.

Source: docs/science/tgda.md#export, and beyond it the norms of a ViTFS's stem
(:class:`ShiftedConv`). BatchNorms behind a convolution without an activation between them are left
to the ONNX simplifier, which folds all of them.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from timm.layers import LayerScale
from timm.models.vision_transformer import Block
from timm.utils import reparameterize_model
from torch import Tensor, nn

from edge_fgir.models.affine import affine_of, fold_into_next
from edge_fgir.models.glsim import CropForm
from edge_fgir.models.vitfs import TokenBatchNorm, ViTFS
from edge_fgir.models.wrapper import as_wrapper

_EVENNESS = 0.75
"""0: channels as they are, 1: of unit deviation. A ViTFS-T's INT8 error was least in between."""


@torch.no_grad()
def folded(
    model: nn.Module, *, class_token_only: bool = True, crop_form: CropForm = "grid_sample"
) -> nn.Module:
    """Return a copy in the form for export; it gives the same logits in evaluation.

    Folded are a ViTFS's BatchNorms, every LayerScale, CLA's norms, the BatchNorms of adapters, and
    parallel branches as timm merges them (MobileOne, RepVGG, FastViT, RepViT and others).

    Args:
        model: Any network; what is not named above stays as it is.
        class_token_only: See :meth:`Wrapper.fold`.
        crop_form: See :meth:`Wrapper.fold`.
    """
    result = deepcopy(model).eval()
    # Adapters read the blocks' norms, too, so they come first.
    as_wrapper(result).fold(class_token_only=class_token_only, crop_form=crop_form)
    reparameterize_model(result, inplace=True)
    for module in result.modules():
        if isinstance(module, Block):
            _fold_block(module)
    for module in result.modules():
        if isinstance(module, ViTFS):
            _fold_ends(module)
    return result


def _fold_block(block: Block) -> None:
    if isinstance(block.norm1, TokenBatchNorm):
        fold_into_next(block.norm1, block.attn.qkv)
        block.norm1 = nn.Identity()
    if isinstance(block.norm2, TokenBatchNorm):
        fold_into_next(block.norm2, block.mlp.fc1)
        block.norm2 = nn.Identity()
    if isinstance(block.ls1, LayerScale):
        _into_previous(block.ls1, block.attn.proj)
        block.ls1 = nn.Identity()
    if isinstance(block.ls2, LayerScale):
        _into_previous(block.ls2, block.mlp.fc2)
        block.ls2 = nn.Identity()


def _fold_ends(backbone: ViTFS) -> None:
    """Fold the stem's BatchNorms, and the final one, which commutes with the mean of tokens."""
    *convs, projection = (layer for layer in backbone.stem if isinstance(layer, nn.Conv2d))
    norms = [layer for layer in backbone.stem if isinstance(layer, nn.BatchNorm2d)]
    for conv, norm in zip(convs, norms, strict=True):
        _even_out(conv, norm)
    layers = [convs[0], nn.ReLU()]
    for norm, conv in zip(norms, convs[1:], strict=False):
        # The place of the norm stays, so that layers keep their names.
        layers += [nn.Identity(), ShiftedConv(norm, conv), nn.ReLU()]
    fold_into_next(norms[-1], projection)
    backbone.stem = nn.Sequential(*layers, projection)
    if isinstance(backbone.norm, TokenBatchNorm) and isinstance(backbone.head, nn.Linear):
        fold_into_next(backbone.norm, backbone.head)
        backbone.norm = nn.Identity()


def _even_out(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Divide channels by most of the deviation that the BatchNorm behind their ReLU knows.

    Else its factors, which are as uneven as the channels are active, end in the weights behind it,
    where INT8 rounds all of them by one step (cf. arXiv 1906.04721 section 4.1).
    """
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    assert conv.bias is not None
    factor = (variance + norm.eps) ** (_EVENNESS / 2)
    conv.weight /= factor[:, None, None, None]
    conv.bias /= factor
    mean /= factor
    variance.copy_((variance + norm.eps) / factor**2 - norm.eps)


class ShiftedConv(nn.Module):
    """A BatchNorm and the zero-padded convolution behind it, as a convolution and a map.

    The padding is not shifted as the rest is, so what the norm's summand adds depends on the place:
    (1, C, H, W) instead of a bias, a constant in a graph of fixed shapes. Where INT8 rounds the
    norm's input instead of its output, the zeros that a ReLU leaves stay exact, and no channel that
    is hardly ever active sets the range.

    Args:
        norm: (B, C, H, W) to the same.
        conv: What reads it, and nothing else does.
    """

    def __init__(self, norm: nn.BatchNorm2d, conv: nn.Conv2d) -> None:
        super().__init__()
        scale, shift = affine_of(norm)
        self.of_shift = conv
        self.shift: Tensor
        self.register_buffer("shift", shift[:, None, None])
        self.conv = deepcopy(conv)
        self.conv.weight *= scale[:, None, None]
        self.conv.bias = None

    def forward(self, x: Tensor) -> Tensor:
        """Return what the convolution gives of the normalised ``x``."""
        shift = self.shift.expand(1, -1, *x.shape[2:])
        result: Tensor = self.conv(x) + self.of_shift(shift)
        return result


def _into_previous(scale: LayerScale, layer: nn.Linear) -> None:
    """Fold a factor a channel into the linear layer that gives it."""
    gamma: Tensor = scale.gamma
    layer.weight = nn.Parameter(layer.weight * gamma[:, None])
    if layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias * gamma)
