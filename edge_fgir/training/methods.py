"""What a training step minimises: plain cross-entropy, CAL, or distillation with views (TGDA)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_fgir._errors import InputError
from edge_fgir.models import CAL
from edge_fgir.training import views
from edge_fgir.training.losses import FeatureCentres, distillation
from edge_fgir.training.recipe import LossSection, TeacherSection, View


class Method(Protocol):
    """Turns a batch into a loss."""

    def loss(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the scalar loss of (B, 3, S, S) normalised pixels and (B,) labels."""

    def state(self) -> dict[str, Tensor]:
        """Return tensors a resumed run needs."""

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take those tensors back."""


class CrossEntropy:
    """Hard labels only."""

    def __init__(self, loss: LossSection, image_size: int) -> None:
        self._smoothing, self._size = loss.label_smoothing, image_size

    def loss(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the cross-entropy of the raw view."""
        logits = model(to_student_size(images, self._size))
        return F.cross_entropy(logits.float(), labels, label_smoothing=self._smoothing)

    def state(self) -> dict[str, Tensor]:
        """Nothing to keep."""
        return {}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Nothing to take back."""


class CALTraining:
    """The teacher's own training: raw, crop and drop views, counterfactual effect, centres.

    1/3 CE(raw) + 2/3 CE(views) + CE(effects) + centre loss (spec TGDA section 2.3).
    """

    def __init__(self, model: CAL) -> None:
        self._centres = FeatureCentres(model.num_classes, model.head.in_features)

    def loss(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the CAL loss."""
        assert isinstance(model, CAL)
        raw = model.look(images, counterfactual=True)
        with torch.no_grad():
            maps = views.sample_maps(raw.attention.detach(), 2)
            augmented = torch.cat([_VIEWS[v](images, maps[:, i]) for i, v in enumerate(_VIEWS)])
        seen = model.look(augmented, counterfactual=True)
        twice = labels.repeat(len(_VIEWS))
        assert raw.effect is not None
        assert seen.effect is not None
        effect = torch.cat([raw.effect, seen.effect])
        return (
            F.cross_entropy(raw.logits, labels) / 3
            + F.cross_entropy(seen.logits, twice) * 2 / 3
            + F.cross_entropy(effect, torch.cat([labels, twice]))
            + self._centres.loss(raw.embedding, labels)
        )

    def state(self) -> dict[str, Tensor]:
        """Return the centres."""
        return {"centres": self._centres.values}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take the centres back."""
        self._centres.values = state["centres"]


class TGDA:
    """Teacher-Guided Data Augmentation (arXiv 2507.12157; spec TGDA sections 1.2 and 1.5).

    The teacher looks at the batch, zooms in on and blanks what it attends to, and labels all views
    softly. The student learns the raw view's hard label and every view's soft label. Raw and each
    view weigh 1/2; without views (plain KD) raw weighs 1.

    Args:
        teacher: Frozen model; a :class:`CAL` where there are views.
        section: Its mode and views.
        loss: Temperature, weights.
        image_size: The student's input side, pixels.

    Raises:
        InputError: Views are asked of a teacher without attention maps.
    """

    def __init__(
        self,
        teacher: nn.Module,
        section: TeacherSection,
        loss: LossSection,
        image_size: int,
        *,
        with_views: bool,
    ) -> None:
        self._views: tuple[View, ...] = section.views if with_views else ()
        if self._views and not isinstance(teacher, CAL):
            raise InputError(
                f"teacher {section.run} has no attention maps",
                "a CAL teacher for method tgda",
                "train one with method cal, or use method kd",
            )
        self._teacher = teacher.requires_grad_(False)
        # hybrid: running BatchNorm statistics, but maps are drawn as in training.
        self._teacher.train(section.mode == "train")
        self._draw_maps = section.mode != "eval"
        self._loss, self._size = loss, image_size

    def loss(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the TGDA loss."""
        raw_target, augmented, augmented_target = self.look(images)
        raw = model(to_student_size(images, self._size)).float()
        hard = F.cross_entropy(raw, labels, label_smoothing=self._loss.label_smoothing)
        count = len(self._views)
        soft = self._distill(raw, raw_target) * (0.5 if count else 1.0)
        if augmented is not None and augmented_target is not None:
            seen = model(to_student_size(augmented, self._size))
            soft = soft + self._distill(seen, augmented_target) * (count / 2)
        return hard + self._loss.kd_weight * soft

    @torch.no_grad()
    def look(self, images: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return the teacher's raw logits (B, K), its views (nB, 3, S, S) and their logits."""
        if not self._views:
            return self._teacher(images), None, None
        assert isinstance(self._teacher, CAL)
        seen = self._teacher.look(images)
        choose = views.sample_maps if self._draw_maps else views.mean_maps
        maps = choose(seen.attention, len(self._views))
        augmented = torch.cat([_VIEWS[v](images, maps[:, i]) for i, v in enumerate(self._views)])
        return seen.logits, augmented, self._teacher(augmented)

    def _distill(self, student: Tensor, teacher: Tensor) -> Tensor:
        return distillation(student, teacher, self._loss.temperature, self._loss.kd_t2_scaling)

    def state(self) -> dict[str, Tensor]:
        """Return the teacher's buffers, which ``mode: train`` moves."""
        return {f"teacher.{name}": value for name, value in self._teacher.named_buffers()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take the teacher's buffers back."""
        for name, buffer in self._teacher.named_buffers():
            buffer.copy_(state[f"teacher.{name}"])


def _crop(images: Tensor, maps: Tensor) -> Tensor:
    theta = views.sample_theta(len(images), views.CROP_THETA, images.device)
    return views.crop_view(images, maps, theta)


def _drop(images: Tensor, maps: Tensor) -> Tensor:
    theta = views.sample_theta(len(images), views.DROP_THETA, images.device)
    return views.drop_view(images, maps, theta)


_VIEWS = {"crop": _crop, "drop": _drop}


def to_student_size(images: Tensor, size: int) -> Tensor:
    """Resample (B, 3, S, S) to ``size`` by bicubic interpolation without antialiasing."""
    if images.shape[-1] == size:
        return images
    return F.interpolate(images, (size, size), mode="bicubic", align_corners=False)


@contextmanager
def autocast(device: torch.device, precision: str) -> Iterator[None]:
    """Compute in ``fp32``, ``bf16`` or ``fp16`` where that is safe."""
    kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    with torch.autocast(device.type, dtype=kind, enabled=kind is not None):
        yield
