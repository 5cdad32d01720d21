"""The linear classifier at a network's end: found, and normalised for long-tailed data."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from edge_fgir._errors import InputError
from edge_fgir.evaluation import macro

_TAUS = tuple(step / 20 for step in range(21))


def linear_classifier(model: nn.Module, wish: str, instead: str) -> nn.Linear:
    """Return the layer whose outputs are the logits.

    Args:
        model: The network.
        wish: What asks for it, and of which network, for the error.
        instead: What can be done without it.

    Raises:
        InputError: There is none.
    """
    network: Any = model
    classifier = network.get_classifier() if hasattr(model, "get_classifier") else None
    if isinstance(classifier, nn.Linear) and hasattr(model, "forward_head"):
        return classifier
    raise InputError(
        f"{wish}, a network without a linear classifier", "a plain network of timm's", instead
    )


@torch.no_grad()
def normalize_classifier(classifier: nn.Linear, logits: Tensor, labels: Tensor) -> float | None:
    """Let classes answer equally loudly, by the tau from 0 to 1 that is best for their mean.

    A class with many training pictures ends with longer weights. They are divided by their norm to
    the power of tau (arXiv 1910.09217, section 4.3), and the biases are left out.

    Args:
        classifier: Changed in place.
        logits: (N, K) what it said of the validation pictures.
        labels: (N,) of these.

    Returns:
        The tau; None where the classifier as it was is better or as good.
    """
    norms = classifier.weight.norm(dim=1).clamp(min=1e-12)
    bias = torch.zeros_like(norms) if classifier.bias is None else classifier.bias

    def score(said: Tensor) -> float:
        return macro(said.numpy(), labels.numpy())

    plain = logits - bias.cpu()
    scores = {tau: score(plain / norms.cpu() ** tau) for tau in _TAUS}
    best = max(_TAUS, key=lambda tau: (scores[tau], -tau))
    if scores[best] <= score(logits):
        return None
    classifier.weight /= norms[:, None] ** best
    bias.zero_()
    return best
