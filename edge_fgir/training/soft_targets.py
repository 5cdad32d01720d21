"""What a teacher tells a student about a batch.

Source: arXiv 2507.12157, docs/science/tgda.md#one-step and #teacher-modes.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from edge_fgir.models import as_wrapper
from edge_fgir.runs import TeacherSection, View
from edge_fgir.training.precision import autocast
from edge_fgir.training.views import ViewSpec, make_views, sample_view_spec


class SoftTargets(NamedTuple):
    """Soft labels, and views with theirs.

    Attributes:
        raw: (B, K) logits of the images as they are.
        views: (V * B, 3, S, S), view by view; None without views.
        of_views: (V * B, K) their logits; None without views.
    """

    raw: Tensor
    views: Tensor | None
    of_views: Tensor | None


class SoftTargetSource(Protocol):
    """Anything that guides a student: a teacher that runs, or the replay of one."""

    views: tuple[View, ...]

    def look(self, images: Tensor, indices: Tensor) -> SoftTargets:
        """Return the soft targets for (B, 3, S, S) normalised pixels of pictures ``indices``."""

    def state(self) -> dict[str, Tensor]:
        """Return tensors a resumed run needs."""

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take those tensors back."""


class LiveTeacher:
    """A teacher that runs in every step: once on the batch, once on its views.

    Args:
        teacher: Frozen model. A :class:`CAL` makes views by its attention, a plain one by the class
            activation map of what it predicts (arXiv 2507.12157, docs/science/tgda.md#other-maps).
        section: Its mode.
        views: Views it makes; none for plain distillation.
        precision: What it computes in.
    """

    def __init__(
        self,
        teacher: nn.Module,
        section: TeacherSection,
        views: tuple[View, ...],
        precision: str = "fp32",
    ) -> None:
        self.views = views
        self._teacher = teacher.requires_grad_(False)
        # hybrid: running BatchNorm statistics, but maps are drawn as in training.
        self._teacher.train(section.mode == "train")
        self._mean = section.mode == "eval"
        self._first_maps = section.first_maps
        self._precision = precision

    def look(self, images: Tensor, indices: Tensor) -> SoftTargets:
        """Run the teacher on the images and on the views it makes of them."""
        return self.observe(images)[0]

    @torch.no_grad()
    def observe(
        self, images: Tensor, *, compact: bool = False
    ) -> tuple[SoftTargets, ViewSpec | None]:
        """Return the soft targets and what their views show.

        Args:
            images: (B, 3, S, S) normalised pixels.
            compact: Round what the views show, as a cache does before the views are made.
        """
        with autocast(images.device, self._precision):
            return self._observe(images, compact)

    def _observe(self, images: Tensor, compact: bool) -> tuple[SoftTargets, ViewSpec | None]:
        if not self.views:
            return SoftTargets(self._teacher(images).float(), None, None), None
        logits, attention = _attend(self._teacher, images)
        spec = sample_view_spec(attention, self.views, first_maps=self._first_maps, mean=self._mean)
        if compact:
            spec = spec.compact()
        views = make_views(images, spec, self.views)
        of_views = self._teacher(views)
        return SoftTargets(logits.float(), views, of_views.float()), spec

    def state(self) -> dict[str, Tensor]:
        """Return the teacher's buffers, which ``mode: train`` moves."""
        return {f"teacher.{name}": value for name, value in self._teacher.named_buffers()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take the teacher's buffers back."""
        for name, buffer in self._teacher.named_buffers():
            buffer.copy_(state[f"teacher.{name}"])


def _attend(teacher: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits (B, K) and attention (B, M, h, w); M is 1 for a plain model."""
    return as_wrapper(teacher).attend(images)
