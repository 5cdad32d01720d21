"""Losses of CAL and TGDA.

Source: arXiv 2507.12157 and 2108.08728, docs/science/tgda.md#loss and #cal-loss.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, distributed


def distillation(student: Tensor, teacher: Tensor, temperature: float, t2_scaling: bool) -> Tensor:
    """KL(teacher || student) of softened (B, K) logits, mean over B.

    Args:
        student: Student logits.
        teacher: Teacher logits.
        temperature: Both are divided by it.
        t2_scaling: Multiply by its square, so that gradients keep their size.
    """
    loss = F.kl_div(
        F.log_softmax(student.float() / temperature, dim=1),
        F.softmax(teacher.float() / temperature, dim=1),
        reduction="batchmean",
    )
    return loss * temperature**2 if t2_scaling else loss


class FeatureCentres:
    """A slowly moving unit direction per class, to which embeddings are pulled.

    Args:
        num_classes: K.
        width: Length of an embedding.
        momentum: Step of an update.
    """

    def __init__(self, num_classes: int, width: int, momentum: float = 0.05) -> None:
        self.values = torch.zeros(num_classes, width)
        self.momentum = momentum

    def loss(self, embedding: Tensor, labels: Tensor) -> Tensor:
        """Return the mean squared distance to the centres, then move these.

        Of several images of a class in the batch, the last one moves its centre.
        """
        self.values = self.values.to(embedding.device)
        centres = F.normalize(self.values[labels], dim=1)
        loss = (embedding - centres).square().sum(dim=1).mean()
        self._move(of_all_processes(embedding.detach()), of_all_processes(labels))
        return loss

    def _move(self, embedding: Tensor, labels: Tensor) -> None:
        centres = self.values[labels]
        moved = centres + self.momentum * (embedding - F.normalize(centres, dim=1))
        for label, value in zip(labels.tolist(), moved, strict=True):
            self.values[label] = value


def of_all_processes(part: Tensor) -> Tensor:
    """Join every process's (B, ...) tensor in the order of their ranks; alone, return it."""
    if not distributed.is_initialized():
        return part
    parts = [torch.empty_like(part) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, part.contiguous())
    return torch.cat(parts)
