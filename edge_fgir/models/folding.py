"""Folding: affine steps of a trained network into the layers beside them, exact in evaluation.

Spec TGDA section 7.4. BatchNorms behind a convolution without an activation between them are left
to the ONNX simplifier, which folds all of them.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from timm.layers import LayerScale
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from edge_fgir.models.affine import affine_of
from edge_fgir.models.glsim import CropForm, GLSim
from edge_fgir.models.ila import AdaptedViT, BlockAdapters
from edge_fgir.models.reduction import ReducedViT
from edge_fgir.models.vitfs import TokenBatchNorm, ViTFS


@torch.no_grad()
def folded(
    model: nn.Module, *, class_token_only: bool = True, crop_form: CropForm = "grid_sample"
) -> nn.Module:
    """Return a copy in the form for export; it gives the same logits in evaluation.

    Folded are a ViTFS's BatchNorms (three in its stem stay: they stand between a ReLU and a
    zero-padded convolution), every LayerScale, CLA's norms, and the BatchNorms of adapters.

    Args:
        model: Any network; what is not named above stays as it is.
        class_token_only: See :meth:`ReducedViT.fold` and :meth:`GLSim.fold`.
        crop_form: See :meth:`GLSim.fold`.
    """
    result = deepcopy(model).eval()
    if isinstance(result, AdaptedViT):
        _fold_adapters(result)  # before the norms that they read, too, are folded
    for module in result.modules():
        if isinstance(module, Block):
            _fold_block(module)
    if isinstance(result, ReducedViT):
        result.fold(class_token_only=class_token_only)
        backbone, cla = result.backbone, result.cla is not None
    elif isinstance(result, GLSim):
        result.fold(crop_form, class_token_only=class_token_only)
        backbone, cla = result.backbone, False
    elif isinstance(result, AdaptedViT):
        backbone, cla = result.backbone, False
    else:
        backbone, cla = result, False
    if isinstance(backbone, ViTFS):
        _fold_ends(backbone, head=not cla)
    return result


def _fold_adapters(model: AdaptedViT) -> None:
    model.fold()
    for block, adapters in zip(model.backbone.blocks, model.inside, strict=False):
        assert isinstance(adapters, BlockAdapters)
        if isinstance(block.norm1, TokenBatchNorm):
            _into_next(block.norm1, adapters.attention.down)
        if isinstance(block.norm2, TokenBatchNorm):
            _into_next(block.norm2, adapters.mlp.down)


def _fold_block(block: Block) -> None:
    if isinstance(block.norm1, TokenBatchNorm):
        _into_next(block.norm1, block.attn.qkv)
        block.norm1 = nn.Identity()
    if isinstance(block.norm2, TokenBatchNorm):
        _into_next(block.norm2, block.mlp.fc1)
        block.norm2 = nn.Identity()
    if isinstance(block.ls1, LayerScale):
        _into_previous(block.ls1, block.attn.proj)
        block.ls1 = nn.Identity()
    if isinstance(block.ls2, LayerScale):
        _into_previous(block.ls2, block.mlp.fc2)
        block.ls2 = nn.Identity()


def _fold_ends(backbone: ViTFS, *, head: bool) -> None:
    """Fold the stem's last BatchNorm, and the final one, which commutes with the mean of tokens."""
    stem = backbone.stem
    last, projection = stem[-2], stem[-1]
    assert isinstance(last, nn.BatchNorm2d)
    assert isinstance(projection, nn.Conv2d)
    _into_next(last, projection)
    backbone.stem = nn.Sequential(*stem[:-2], projection)
    if head and isinstance(backbone.norm, TokenBatchNorm) and isinstance(backbone.head, nn.Linear):
        _into_next(backbone.norm, backbone.head)
        backbone.norm = nn.Identity()


def _into_next(norm: nn.BatchNorm1d | nn.BatchNorm2d, layer: nn.Linear | nn.Conv2d) -> None:
    """Fold a norm into the linear layer, or 1 x 1 convolution, that reads it."""
    scale, shift = affine_of(norm)
    weight = layer.weight
    added = weight.flatten(1) @ shift
    layer.weight = nn.Parameter(weight * scale.view(1, -1, *[1] * (weight.dim() - 2)))
    layer.bias = nn.Parameter(added if layer.bias is None else layer.bias + added)


def _into_previous(scale: LayerScale, layer: nn.Linear) -> None:
    """Fold a factor a channel into the linear layer that gives it."""
    gamma: Tensor = scale.gamma
    layer.weight = nn.Parameter(layer.weight * gamma[:, None])
    if layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias * gamma)
