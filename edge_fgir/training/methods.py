"""What a training step minimises: plain cross-entropy, CAL, or distillation with views (TGDA)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_fgir.models import CAL
from edge_fgir.runs import LossSection, View
from edge_fgir.runtime import Preprocess
from edge_fgir.training.classification import Criteria
from edge_fgir.training.losses import FeatureCentres, distillation
from edge_fgir.training.soft_targets import SoftTargetSource
from edge_fgir.training.student_size import to_student_size
from edge_fgir.training.views import make_views, sample_view_spec


class Batch(NamedTuple):
    """What a step learns from.

    Attributes:
        images: (B, 3, S, S) normalised pixels.
        labels: (B,).
        indices: (B,) places in the train split.
        done: Share of the training's steps that have been taken, 0 to 1.
    """

    images: Tensor
    labels: Tensor
    indices: Tensor
    done: float = 0.0


class Outcome(NamedTuple):
    """What a step showed the network, and what it said.

    Attributes:
        images: The batch (B, 3, S, S), and with a teacher its views (V * B, 3, S, S).
        logits: What the network said of each.
        judge: Returns the scalar loss of answers to these images, the network's or others.
    """

    images: list[Tensor]
    logits: list[Tensor]
    judge: Callable[[list[Tensor]], Tensor]

    @property
    def loss(self) -> Tensor:
        """The step's loss."""
        return self.judge(self.logits)


class Method(Protocol):
    """Turns a batch into a loss."""

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the scalar loss."""

    def state(self) -> dict[str, Tensor]:
        """Return tensors a resumed run needs."""

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take those tensors back."""


class StudentMethod(Method, Protocol):
    """A method of a plain network, which elastic training can wrap."""

    def outcome(self, model: nn.Module, batch: Batch) -> Outcome:
        """Show the network a batch."""


class CrossEntropy:
    """Hard labels only.

    Args:
        loss: Which loss of them.
        preprocess: How evaluation makes the model's input.
        counts: Training pictures of each class, for losses that know them.
    """

    def __init__(
        self, loss: LossSection, preprocess: Preprocess, counts: Sequence[int] = ()
    ) -> None:
        self._criteria, self._preprocess = Criteria(loss, counts), preprocess

    def outcome(self, model: nn.Module, batch: Batch) -> Outcome:
        """Show the network the raw view, which is judged by cross-entropy."""
        logits = model(to_student_size(batch.images, self._preprocess)).float()
        criterion = self._criteria.at(batch.done)
        return Outcome(
            [batch.images], [logits], lambda answers: criterion(answers[0], batch.labels)
        )

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the cross-entropy of the raw view."""
        return self.outcome(model, batch).loss

    def state(self) -> dict[str, Tensor]:
        """Nothing to keep."""
        return {}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Nothing to take back."""


class CALTraining:
    """The teacher's own training: raw image and views, counterfactual effect, centres.

    With V views: 1/3 CE(raw) + V/3 CE(views) + (V + 1)/3 CE(effects) + centre loss
    (arXiv 2507.12157, docs/science/tgda.md#cal-loss).
    """

    def __init__(self, model: CAL, views: tuple[View, ...]) -> None:
        self._views = views
        self._centres = FeatureCentres(model.num_classes, model.head.in_features)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the CAL loss."""
        assert isinstance(model, CAL)
        images, labels, count = batch.images, batch.labels, len(self._views)
        raw = model.look(images, counterfactual=True)
        with torch.no_grad():
            spec = sample_view_spec(raw.attention.detach(), self._views)
            views = make_views(images, spec, self._views)
        of_views = model.look(views, counterfactual=True)
        again = labels.repeat(count)
        assert raw.effect is not None
        assert of_views.effect is not None
        effect = torch.cat([raw.effect, of_views.effect])
        return (
            F.cross_entropy(raw.logits, labels) / 3
            + F.cross_entropy(of_views.logits, again) * count / 3
            + F.cross_entropy(effect, torch.cat([labels, again])) * (count + 1) / 3
            + self._centres.loss(raw.embedding, labels)
        )

    def state(self) -> dict[str, Tensor]:
        """Return the centres."""
        return {"centres": self._centres.values}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take the centres back."""
        self._centres.values = state["centres"]


class TGDA:
    """Teacher-Guided Data Augmentation.

    Source: arXiv 2507.12157, docs/science/tgda.md#one-step and #loss.

    The teacher looks at the batch, zooms in on and blanks what it attends to, and labels all views
    softly. The student learns the raw view's hard label and every view's soft label. Raw and each
    view weigh 1/2; without views (plain KD) raw weighs 1.

    Args:
        source: The teacher, or its replay.
        loss: Temperature, weights.
        preprocess: How evaluation makes the student's input.
        joint_forward: Show the student raw and views in one forward instead of two.
        counts: Training pictures of each class, for losses of hard labels that know them.
    """

    def __init__(
        self,
        source: SoftTargetSource,
        loss: LossSection,
        preprocess: Preprocess,
        *,
        joint_forward: bool = False,
        counts: Sequence[int] = (),
    ) -> None:
        self.source = source
        self._loss, self._preprocess, self._joint = loss, preprocess, joint_forward
        self._criteria = Criteria(loss, counts)

    def outcome(self, model: nn.Module, batch: Batch) -> Outcome:
        """Show the network the raw view and the teacher's views, judged by labels and teacher."""
        targets = self.source.look(batch.images, batch.indices)
        images, soft_labels = [batch.images], [targets.raw]
        if targets.views is not None and targets.of_views is not None:
            images.append(targets.views)
            soft_labels.append(targets.of_views)
        criterion = self._criteria.at(batch.done)
        count = len(self.source.views)
        weights = (0.5, count / 2) if count else (1.0,)

        def judge(answers: list[Tensor]) -> Tensor:
            soft = sum(
                weight * self._distill(student, label)
                for weight, student, label in zip(weights, answers, soft_labels, strict=True)
            )
            return criterion(answers[0], batch.labels) + self._loss.kd_weight * soft

        return Outcome(images, self._logits(model, images), judge)

    def _logits(self, model: nn.Module, images: list[Tensor]) -> list[Tensor]:
        sized = [to_student_size(part, self._preprocess) for part in images]
        if not self._joint:
            return [model(part).float() for part in sized]
        logits = model(torch.cat(sized)).float()
        return list(logits.split([len(part) for part in sized]))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the TGDA loss."""
        return self.outcome(model, batch).loss

    def _distill(self, student: Tensor, teacher: Tensor) -> Tensor:
        return distillation(student, teacher, self._loss.temperature, self._loss.kd_t2_scaling)

    def state(self) -> dict[str, Tensor]:
        """Return what the source of the soft targets must keep."""
        return self.source.state()

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Give it back to that source."""
        self.source.load_state(state)
