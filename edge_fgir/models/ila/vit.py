"""A frozen vision transformer with inter-layer adapters (arXiv 2409.11051)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from edge_fgir.models.affine import fold_into_next
from edge_fgir.models.ila.adapter import KERNEL, BlockAdapters, DownSampling, Padded
from edge_fgir.models.ila.layout import adaptable, check_grid, check_square
from edge_fgir.models.ila.options import Adapters
from edge_fgir.models.wrapper import Wrapper

if TYPE_CHECKING:
    from edge_fgir.models.glsim import CropForm

BETWEEN, INSIDE = "between", "inside"
"""The modules that hold the adapters."""


class AdaptedViT(Wrapper, nn.Module):
    """A timm ``VisionTransformer`` or :class:`ViTFS`, frozen, with adapters and a new head.

    What is in front of the first trained tensor needs no gradients, so autograd keeps nothing of
    it: with ``class_token`` off, or without a class token, that is everything up to the first
    adapter. A ViTFS (ours, not the paper's) has no class token; its registers take the class
    token's path and stay frozen. BatchNorms of the backbone keep their statistics.

    Args:
        backbone: The transformer, its weights loaded, with the head that is trained.
        adapters: The settings.

    Raises:
        InputError: The backbone cannot be adapted so.
    """

    unquantized: ClassVar[tuple[str, ...]] = (BETWEEN, INSIDE)

    def __init__(self, backbone: nn.Module, adapters: Adapters) -> None:
        super().__init__()
        self._transformer = adaptable(backbone, adapters)
        self.layout = self._transformer.layout
        self.prefix = self.layout.prefix
        transformer = self._transformer.model
        self.backbone = transformer
        self.adapters = adapters
        self.base = None
        self.num_classes: int = transformer.num_classes
        dim: int = transformer.embed_dim
        self.num_features = dim
        depth = len(transformer.blocks)
        shrinking = adapters.locations_in(depth)
        if shrinking:
            check_grid(self._transformer, len(shrinking))
        self.between = nn.ModuleDict()
        for block in range(depth):
            if block in shrinking:
                self.between[str(block)] = DownSampling(
                    dim,
                    adapters.width,
                    self.layout.prefix,
                    residual=self._residual(),
                    dropout=adapters.dropout,
                )
            elif adapters.variant == "ila+":
                self.between[str(block)] = Padded(
                    dim, adapters.width, self.layout.prefix, dropout=adapters.dropout
                )
        inside = depth if adapters.variant == "ila++" else 0
        self.inside = nn.ModuleList(
            BlockAdapters(dim, adapters.block_width, dropout=adapters.dropout)
            for _ in range(inside)
        )
        self._freeze()

    def _residual(self) -> float:
        mean = self.adapters.residual == "mean" or (
            self.adapters.residual == "auto" and self._transformer.normalises_over_batch
        )
        return 1 / KERNEL**2 if mean else 1.0

    def _freeze(self) -> None:
        self.backbone.requires_grad_(False)
        self.backbone.get_classifier().requires_grad_(True)
        if self.layout.class_token and self.adapters.class_token:
            self.backbone.cls_token.requires_grad_(True)

    def train(self, mode: bool = True) -> AdaptedViT:
        """Set training mode; the backbone's BatchNorms stay in evaluation."""
        super().train(mode)
        for module in self.backbone.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        return self

    def learned_names(self) -> set[str]:
        """Return the names of the tensors that training changes: all that a run stores."""
        learned = {name for name, value in self.named_parameters() if value.requires_grad}
        own = (f"{BETWEEN}.", f"{INSIDE}.")
        return learned | {name for name in self.state_dict() if name.startswith(own)}

    def embed(self, images: Tensor) -> Tensor:
        """Return the tokens that the first block sees, (B, N, D)."""
        check_square(images.shape[2], images.shape[3], 1)
        return self._transformer.embed(images)

    def block(self, index: int, x: Tensor) -> Tensor:
        """Run one block and the adapter behind it: the residual stream that the next one sees."""
        block = self.backbone.blocks[index]
        x = self.inside[index](block, x) if self.inside else block(x)
        name = str(index)
        return self.between[name](x) if name in self.between else x

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, num_classes) of normalised pixels (B, 3, S, S)."""
        for x in self.residual_stream(images):
            last = x
        return self._transformer.classify(last)

    def residual_stream(self, images: Tensor) -> Iterator[Tensor]:
        """Yield the tokens (B, N, D) behind every block and its adapter."""
        x = self.embed(images)
        for index in range(len(self.backbone.blocks)):
            x = self.block(index, x)
            yield x

    def fold(self, *, class_token_only: bool = True, crop_form: CropForm = "grid_sample") -> None:
        """Fold the BatchNorms of the adapters, and those of a ViTFS into what reads them, exact."""
        for adapter in self.between.values():
            assert isinstance(adapter, DownSampling | Padded)
            adapter.bottleneck.fold()
        for block, adapters in zip(self.backbone.blocks, self.inside, strict=False):
            assert isinstance(adapters, BlockAdapters)
            if isinstance(block.norm1, nn.BatchNorm1d):
                fold_into_next(block.norm1, adapters.attention.down)
            if isinstance(block.norm2, nn.BatchNorm1d):
                fold_into_next(block.norm2, adapters.mlp.down)
