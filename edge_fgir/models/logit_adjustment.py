"""Post-hoc logit adjustment: z - tau log(pi), folded into the classifier's bias.

Menon et al., arXiv 2007.07314, section 4.1 (docs/science/dafre.md#tools-for-the-tail). It is meant
for models that were trained on long-tailed data with plain cross-entropy. ``pi`` are the classes'
shares of the training pictures. On a device it costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edge_fgir._errors import InputError
from edge_fgir.evaluation import macro

_TOLERANCE = 1e-4
_TAUS = tuple(step / 20 for step in range(41))
_Layer = nn.Linear | nn.Conv2d


def adjustment(train_counts: Sequence[int], tau: float) -> npt.NDArray[np.float32]:
    """Return what is added to each logit, ``-tau log(pi)``, (K,).

    Raises:
        InputError: The counts are not known.
    """
    if not train_counts:
        raise InputError(
            "a logit adjustment of a run that does not know its training pictures a class",
            "a run trained by this version",
            "train again",
        )
    added: npt.NDArray[np.float32] = (-tau * log_prior(train_counts)).astype(np.float32)
    return added


def log_prior(train_counts: Sequence[int]) -> npt.NDArray[np.float64]:
    """Return the logarithm of each class's share of the training pictures, (K,).

    A class without pictures counts as one of one picture.
    """
    counts = np.maximum(np.asarray(train_counts, np.float64), 1)
    logarithm: npt.NDArray[np.float64] = np.log(counts / counts.sum())
    return logarithm


@torch.no_grad()
def with_adjustment(model: nn.Module, added: npt.NDArray[np.float32], size: int) -> None:
    """Add to the logits of a model, by the bias of its last layer, in place.

    Which layer that is, is tried out: no two architectures call it alike, and some have two heads
    whose answers are averaged.

    Args:
        model: In evaluation mode.
        added: (K,) what each logit gets.
        size: Side of its input, pixels.

    Raises:
        InputError: No layer's bias goes straight into the logits; the model is spoilt.
    """
    offset = torch.from_numpy(added)
    probe = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    heads = [
        module
        for module in model.modules()
        if isinstance(module, nn.Linear | nn.Conv2d) and len(module.weight) == len(added)
    ]
    shares = [_share(model, head, offset, probe) for head in heads]
    last = [head for head, share in zip(heads, shares, strict=True) if math.isclose(share, 1)]
    chosen = last[-1:] or [head for head, share in zip(heads, shares, strict=True) if share]
    expected = model(probe) + offset
    for head in chosen:
        _add(head, offset)
    if not torch.allclose(model(probe), expected, atol=_TOLERANCE):
        raise InputError(
            f"a logit adjustment of {type(model).__name__}, whose logits no linear layer gives",
            "a linear classifier",
        )


def _share(model: nn.Module, head: _Layer, offset: Tensor, probe: Tensor) -> float:
    """Return how much of what a layer's bias gets arrives in the logits; 0: other than that."""
    before = model(probe)
    bias = _add(head, offset)
    effect = model(probe) - before
    head.bias = bias
    share = round(float((effect @ offset).mean() / offset.square().sum()), 3)
    return share if torch.allclose(effect, share * offset, atol=_TOLERANCE) else 0.0


def _add(head: _Layer, offset: Tensor) -> Tensor | None:
    """Add to a layer's bias, and return what it was before."""
    before: Tensor | None = head.bias
    head.bias = nn.Parameter(offset.clone() if before is None else before + offset)
    return before


def best_tau(
    logits: npt.NDArray[np.float32], labels: npt.NDArray[np.integer], train_counts: Sequence[int]
) -> float:
    """Return the tau from 0 to 2 whose macro accuracy is best; the least of those.

    Args:
        logits: (N, K) on validation pictures.
        labels: (N,).
        train_counts: (K,) training pictures of each class.
    """
    whole = adjustment(train_counts, 1.0)
    return max(_TAUS, key=lambda tau: macro(logits + tau * whole, labels))
