"""Losses of hard labels, plain and for long-tailed data.

Source: arXiv 2101.08674, docs/science/dafre.md#tools-for-the-tail.

``n`` are the training pictures of each class and ``pi`` their shares. At inference the logits are
used as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from edge_fgir.models import log_prior
from edge_fgir.runs import Classification, LossSection


class Criterion(Protocol):
    """Turns logits (B, K) and labels (B,) into a scalar."""

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of the batch."""


class SmoothedCrossEntropy:
    """Cross-entropy with label smoothing.

    Args:
        smoothing: Share of the target that is spread over all classes.
    """

    def __init__(self, smoothing: float) -> None:
        self._smoothing = smoothing

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of the batch."""
        return F.cross_entropy(logits, labels, label_smoothing=self._smoothing)


class Focal:
    """Focal loss of softmax outputs, (1 - p)^gamma times cross-entropy (arXiv 1708.02002).

    Args:
        gamma: How much less a picture counts that is already recognised; 0: cross-entropy.
    """

    def __init__(self, gamma: float) -> None:
        self._gamma = gamma

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of the batch."""
        right = F.log_softmax(logits, dim=1).gather(1, labels[:, None])[:, 0]
        # A power of exactly 0 has no gradient where gamma is below 1.
        rest = -torch.expm1(right.clamp(max=-torch.finfo(right.dtype).eps))
        return -(rest**self._gamma * right).mean()


class ClassBalanced:
    """Cross-entropy in which a class weighs by its effective number of pictures.

    (1 - beta) / (1 - beta^n), over their mean (arXiv 1901.05555, section 3.3).

    Args:
        counts: Training pictures of each class; none counts as one.
        beta: 0: all classes alike; 1, its limit: as 1 / n.
        smoothing: Label smoothing.
    """

    def __init__(self, counts: Sequence[int], beta: float, smoothing: float) -> None:
        sizes = torch.tensor(counts, dtype=torch.float64).clamp(min=1)
        weights = 1 / sizes if beta == 1 else (1 - beta) / (1 - beta**sizes)
        self._weights = (weights / weights.mean()).float()
        self._smoothing = smoothing

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of the batch."""
        self._weights = self._weights.to(logits.device)
        losses = F.cross_entropy(logits, labels, label_smoothing=self._smoothing, reduction="none")
        return (self._weights[labels] * losses).mean()


class LogitAdjusted:
    """Cross-entropy of logits + tau log(pi) (arXiv 2007.07314, section 4.2).

    With tau = 1 it is the balanced softmax (arXiv 2007.10740).

    Args:
        counts: Training pictures of each class; none counts as one.
        tau: How much of the prior is taken into account.
        smoothing: Label smoothing.
    """

    def __init__(self, counts: Sequence[int], tau: float, smoothing: float) -> None:
        self._offset = tau * torch.from_numpy(log_prior(counts)).float()
        self._smoothing = smoothing

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of the batch."""
        self._offset = self._offset.to(logits.device)
        return F.cross_entropy(logits + self._offset, labels, label_smoothing=self._smoothing)


class LDAM:
    """Label-distribution-aware margins: the right class must win by one like n^(-1/4).

    arXiv 1906.07413, section 3. There features and weights are normalised and scaled by 30; here
    the margin is one of the network's own logits.

    Args:
        counts: Training pictures of each class; none counts as one.
        margin: Of the rarest class.
        smoothing: Label smoothing.
    """

    def __init__(self, counts: Sequence[int], margin: float, smoothing: float) -> None:
        margins = torch.tensor(counts, dtype=torch.float32).clamp(min=1) ** -0.25
        self._margins = margin * margins / margins.max()
        self._smoothing = smoothing

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of the batch."""
        self._margins = self._margins.to(logits.device)
        lowered = F.one_hot(labels, logits.shape[1]) * self._margins
        return F.cross_entropy(logits - lowered, labels, label_smoothing=self._smoothing)


_MAKERS: dict[Classification, Callable[[LossSection, Sequence[int]], Criterion]] = {
    "ce": lambda loss, counts: SmoothedCrossEntropy(loss.label_smoothing),
    "focal": lambda loss, counts: Focal(loss.focal_gamma),
    "class_balanced": lambda loss, counts: ClassBalanced(
        counts, loss.effective_beta, loss.label_smoothing
    ),
    "logit_adjusted": lambda loss, counts: LogitAdjusted(
        counts, loss.logit_adjustment, loss.label_smoothing
    ),
    "balanced_softmax": lambda loss, counts: LogitAdjusted(counts, 1.0, loss.label_smoothing),
    "ldam": lambda loss, counts: LDAM(counts, loss.ldam_margin, loss.label_smoothing),
}


def make_criterion(loss: LossSection, counts: Sequence[int]) -> Criterion:
    """Return the recipe's loss of hard labels.

    Args:
        loss: The recipe's section.
        counts: (K,) training pictures of each class.
    """
    return _MAKERS[loss.classification](loss, counts)


class Criteria:
    """The loss of hard labels as a training goes on.

    With ``deferred`` it is plain first, so that features are learned from all pictures alike, and
    looks at the sizes of classes later (arXiv 1906.07413, section 3.3).

    Args:
        loss: The recipe's section.
        counts: (K,) training pictures of each class.
    """

    def __init__(self, loss: LossSection, counts: Sequence[int]) -> None:
        self._deferred = loss.deferred
        self._first = SmoothedCrossEntropy(loss.label_smoothing)
        self._then = make_criterion(loss, counts)

    def at(self, done: float) -> Criterion:
        """Return the loss where a share of the steps is done, 0 to 1."""
        return self._first if done < self._deferred else self._then
