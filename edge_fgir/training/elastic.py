"""Elastic training: one set of weights that stays good at several input sizes.

Sandwich rule and in-place distillation (arXiv 1903.05134), applied to input size as in arXiv
1909.12978. Each step trains the largest size by the method's own loss, and the smallest and some
sizes between by the largest's soft answers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge_fgir.training.losses import distillation
from edge_fgir.training.methods import Batch, StudentMethod, to_student_size
from edge_fgir.training.recipe import ElasticSection


class Elastic:
    """A method, trained at several input sizes in every step.

    Args:
        method: What the largest size learns.
        section: The sizes.
    """

    def __init__(self, method: StudentMethod, section: ElasticSection) -> None:
        self.method = method
        sizes = sorted(section.image_sizes)
        self._smallest, self._between = sizes[0], sizes[1:-1]
        self._draws = min(section.random_sizes, len(self._between))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the method's loss at the largest size, plus every other size's distance to it."""
        loss, parts, logits = self.method.outcome(model, batch)
        images, target = torch.cat(parts), torch.cat(logits).detach()
        for size in self._sizes():
            seen = model(to_student_size(images, size))
            loss = loss + distillation(seen, target, temperature=1.0, t2_scaling=False)
        return loss

    def _sizes(self) -> list[int]:
        drawn = torch.randperm(len(self._between))[: self._draws].tolist()
        return [self._smallest, *(self._between[index] for index in drawn)]

    def state(self) -> dict[str, Tensor]:
        """Return what the method must keep."""
        return self.method.state()

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Give it back to the method."""
        self.method.load_state(state)
