"""Weights between those that fine-tuning began with and those that it ended with (WiSE-FT).

Fine-tuning learns and forgets. On the straight line between both ends there are often weights that
are better than either (arXiv 2109.01903); where, the validation split says.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from edge_fgir.training.classification import Criterion

_SHARES = (0.25, 0.5, 0.75, 1.0)
"""Of the way from the start to the end that are tried."""
_SHARPER = np.geomspace(0.25, 4.0, 17).tolist()
"""Factors of the logits, of which the best counts: smoothed labels cost confidence, which an export
calibrates anyway, and no accuracy."""


class Interpolation:
    """The line from a network's weights of now to those that it will have.

    Args:
        model: Before it learns.
    """

    def __init__(self, model: nn.Module) -> None:
        self._start = _copy(model)

    def settle(self, model: nn.Module, loss: Callable[[nn.Module], float]) -> float:
        """Give a network, which has learned, the weights on the line whose loss is least.

        Args:
            model: The network.
            loss: What a network loses on pictures that it has not learned from.

        Returns:
            The share of the way that was gone; 1 leaves the network as it is.
        """
        end = _copy(model)

        def place(share: float) -> None:
            model.load_state_dict(
                {
                    name: torch.lerp(self._start[name], value, share)
                    if value.is_floating_point()
                    else value
                    for name, value in end.items()
                }
            )

        losses = {}
        for share in _SHARES:
            place(share)
            losses[share] = loss(model)
        best = min(losses, key=losses.__getitem__)
        place(best)
        return best


def calibrated_loss(logits: Tensor, labels: Tensor, criterion: Criterion) -> float:
    """Return the loss of logits (N, K) that are as sharp as suits the labels (N,) best."""
    return min(float(criterion(factor * logits, labels)) for factor in _SHARPER)


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
