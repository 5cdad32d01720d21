"""A vision transformer whose tokens become fewer on the way (arXiv 2501.00243)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from timm.models.vision_transformer import Block, init_weights_vit_timm
from torch import Tensor, nn

from edge_fgir._errors import InputError
from edge_fgir.models.reduction.cla import CLAHead, FoldedCLA, LinearCLAHead
from edge_fgir.models.reduction.method import METHODS
from edge_fgir.models.reduction.options import KeepRate, Reduction
from edge_fgir.models.reduction.schedule import TokenSchedule, make_schedule
from edge_fgir.models.reduction.stage import ReductionStage
from edge_fgir.models.reduction.tokens import Tokens, attend
from edge_fgir.models.transformer import Transformer, transformer_of
from edge_fgir.models.wrapper import Wrapper

if TYPE_CHECKING:
    from edge_fgir.models.glsim import CropForm

_POSITION_STD = 0.02


class ReducedViT(Wrapper, nn.Module):
    """A timm ``VisionTransformer`` or :class:`ViTFS` with token reduction, CLA and CLC.

    The backbone's blocks are run one by one; at the reducing blocks a :class:`Reducer` takes the
    place of the attention half. Without a class token (ViTFS; ours, not the paper's) a token's
    score is the attention it receives from all tokens on average; CLA takes the mean of the patches
    and the cache's tokens start as a register.

    Args:
        backbone: The transformer, its weights loaded, with the head that is kept unless there is
            CLA.
        reduction: The settings.
        num_classes: Size of the CLA head; elsewhere the backbone has its own.

    Raises:
        InputError: The backbone cannot be reduced, or the settings do not fit it.
    """

    def __init__(self, backbone: nn.Module, reduction: Reduction, num_classes: int) -> None:
        super().__init__()
        self._transformer = _reducible(backbone)
        self.layout = self._transformer.layout
        self.prefix = self.layout.prefix
        self.backbone = self._transformer.model
        self.reduction = reduction
        self.num_classes = num_classes
        self.class_token_only = False
        dim: int = self.backbone.embed_dim
        self.num_features: int = dim
        self.patches = self._transformer.patches
        """Np of the usual input, which fixes the weights of SiT and PatchMerger."""
        schedule, method = self.schedule(self.patches), METHODS[reduction.method]
        self.reducers = nn.ModuleDict(
            {
                str(stage.block): method.reducer(self.layout, dim, stage)
                for stage in schedule.stages
                if reduction.reduces or method.weightless
            }
        )
        self.reducers.apply(init_weights_vit_timm)
        self.cla: CLAHead | LinearCLAHead | FoldedCLA | None = None
        if reduction.cla:
            head = CLAHead if reduction.cla_head == "depthwise" else LinearCLAHead
            self.cla = head(dim, len(reduction.blocks) + 1, num_classes)
            self.backbone.norm = nn.Identity()
            self.backbone.reset_classifier(0)
        if reduction.clr_tokens:
            self._add_cache_tokens(reduction.clr_tokens)

    def _add_cache_tokens(self, count: int) -> None:
        first = self.backbone.cls_token if self.layout.class_token else self.backbone.registers
        self.clr = nn.Parameter(first.detach()[:, :1].repeat(1, count, 1))
        self.clr_positions: nn.Parameter | None = None
        if self.layout.class_token and not self.backbone.no_embed_class:
            # Apart from the backbone's table, which timm resizes for other inputs.
            positions = torch.randn_like(self.clr) * _POSITION_STD
            self.clr_positions = nn.Parameter(positions)

    def schedule(self, patches: int, reduction: Reduction | None = None) -> TokenSchedule:
        """Return the tokens of every block for so many patches, by its own settings or others."""
        return make_schedule(
            reduction or self.reduction,
            patches,
            prefix=self.layout.prefix,
            depth=len(self.backbone.blocks),
        )

    @contextmanager
    def keeping(self, keep_rate: KeepRate | None) -> Iterator[None]:
        """Reduce at another keep rate while the block runs; None: at its own."""
        before = self.reduction
        self.reduction = before.at(keep_rate)
        try:
            yield
        finally:
            self.reduction = before

    def no_weight_decay(self) -> set[str]:
        """Name parameters without weight decay beyond timm's rule."""
        own = {"clr", "clr_positions"}
        return own | super().no_weight_decay()

    def embed(self, images: Tensor) -> tuple[Tokens, int]:
        """Return the sequence that the first block sees, and the number of patches in it."""

        def appended(x: Tensor) -> Tensor:
            if not self.reduction.clr_tokens:
                return x
            clr = self.clr if self.clr_positions is None else self.clr + self.clr_positions
            return torch.cat((x, clr.expand(len(x), -1, -1)), dim=1)

        x = self._transformer.embed(images, appended)
        patches = x.shape[1] - self.layout.prefix - self.reduction.clr_tokens
        if METHODS[self.reduction.method].fixed and patches != self.patches:
            raise InputError(
                f"{patches} patches for a {self.reduction.method} model of {self.patches}",
                "the input size that it was trained for",
            )
        return Tokens(x), patches

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, num_classes) of normalised pixels (B, 3, H, W)."""
        tokens, patches = self.embed(images)
        schedule = self.schedule(patches)
        clr, prefix = self.reduction.clr_tokens, self.layout.prefix
        # In the first group the cache's own tokens are not pooled.
        pooled = tokens.x.shape[1] - clr
        cache: list[Tensor] = []
        depths: list[Tensor] = []
        last = len(schedule.blocks) - 1
        for index, plan in enumerate(schedule.blocks):
            tokens = self._block(index, tokens, schedule.stage(index))
            if plan.recovered:
                pooled = tokens.x.shape[1]
                counted = self.training or not self.reduction.reference_decisions
                tokens = tokens.append(torch.cat(cache, dim=1), kept=float(counted))
                cache = []
            if plan.caches:
                mean = [tokens.mean(prefix, pooled)] if self.reduction.clc_include_gap else []
                cache += [*mean, tokens.x[:, -clr:]]
            if self.cla is not None and (index in self.reduction.blocks or index == last):
                depths.append(self._summary(tokens))
        if self.cla is not None:
            logits: Tensor = self.cla(torch.stack(depths, dim=2))
            return logits
        return self._classify(tokens)

    def _block(self, index: int, tokens: Tokens, stage: ReductionStage | None) -> Tokens:
        block: Block = self.backbone.blocks[index]
        if stage is not None and self.reduction.reduces:
            tokens = self.reducers[str(index)](block, tokens, stage)
        else:
            last = index == len(self.backbone.blocks) - 1
            tokens, _ = attend(block, tokens, 1 if last and self.class_token_only else None)
        x = tokens.x + block.drop_path2(block.ls2(block.mlp(block.norm2(tokens.x))))
        return replace(tokens, x=x)

    def _summary(self, tokens: Tokens) -> Tensor:
        """Return what CLA takes of a depth, (B, D)."""
        if self.layout.class_token:
            return tokens.x[:, 0]
        return tokens.mean(self.layout.prefix, tokens.x.shape[1])[:, 0]

    def _classify(self, tokens: Tokens) -> Tensor:
        if tokens.real is None or self.layout.class_token:
            return self._transformer.classify(tokens.x)
        prefix = self.layout.prefix
        local = Tokens(self.backbone.norm(tokens.x[:, prefix:]), real=tokens.real[:, prefix:])
        logits: Tensor = self.backbone.head(local.mean(0, local.x.shape[1])[:, 0])
        return logits

    def token_schedule(self, image_size: int, reduction: Reduction) -> TokenSchedule | None:
        """Return the tokens of every block at an input side, pixels."""
        high, wide = self._transformer.patch
        return self.schedule((image_size // high) * (image_size // wide), reduction)

    @property
    def adaptive(self) -> bool:
        """Whether a picture decides how many tokens it keeps, so that its cost is its own."""
        return self.reduction.adaptive

    def take_penalty(self) -> Tensor | None:
        """Return what the method adds to the loss since the last call, if anything.

        The mean over stages and forwards (as of arXiv 2106.02034, section 3.3).
        """
        reducers: Iterator[Any] = iter(self.reducers.values())
        penalties = [penalty for reducer in reducers for penalty in reducer.take_penalties()]
        return torch.stack(penalties).mean() if penalties else None

    def fold(self, *, class_token_only: bool = True, crop_form: CropForm = "grid_sample") -> None:
        """Take the form for export, exact in evaluation: CLA's norms are folded.

        Args:
            class_token_only: In the last block only the class token asks and goes on, as no other
                token is read after it (ours).
            crop_form: Nothing is cropped.
        """
        self.class_token_only = class_token_only and self.layout.class_token
        if isinstance(self.cla, CLAHead):
            self.cla = FoldedCLA(self.cla)


def _reducible(backbone: nn.Module) -> Transformer:
    """Return a backbone whose tokens can be reduced.

    Raises:
        InputError: They cannot.
    """
    name = type(backbone).__name__
    transformer = transformer_of(backbone, "token reduction", subclasses=True)
    if not transformer.plain:
        kind = type(transformer.model.blocks[0]).__name__
        raise InputError(f"a {name} of {kind} blocks", "timm's plain blocks")
    if transformer.pool == "patches":
        return transformer
    if transformer.pool != "token" or not transformer.layout.class_token:
        raise InputError(
            f"a {name} that does not classify its class token", "one with a class token"
        )
    if transformer.layout.prefix != 1:
        raise InputError(
            f"a {name} with {transformer.layout.prefix} tokens in front of the patches",
            "a class token alone, no register or distillation tokens",
        )
    return transformer
