"""BatchNorm statistics for the setting in which a model is used.

Statistics depend on the input size: those of a network that was trained at several sizes are a
mixture that fits none of them. They are measured again on training images, as for slimmable
networks (arXiv 1903.05134).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from edge_fgir._errors import InputError
from edge_fgir._progress import progress
from edge_fgir.models.inference import normalized_batches
from edge_fgir.models.wrapper import as_wrapper
from edge_fgir.runtime import Normalization, Pixels


@torch.inference_mode()
def reestimate(model: nn.Module, images: Pixels, normalization: Normalization) -> None:
    """Replace running statistics by their mean over batches of ``images``, (N, S, S, 3).

    Statistics that the model holds fast while it trains stay. Everything else is in evaluation
    mode, so that neither dropout nor stochastic depth is in them.

    Raises:
        InputError: There is but one picture, which has no deviation.
    """
    training = model.training
    model.train()
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.training]
    model.eval()
    if norms and len(images) < 2:
        raise InputError(
            f"{len(images)} training pictures to measure BatchNorm statistics on",
            "two, better hundreds",
        )
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
        norm.train()
    device = next(model.parameters()).device
    with progress("BatchNorm statistics", len(images)) as meter:
        for batch in normalized_batches(images, normalization, device, even=True):
            model(batch)
            meter.advance(len(batch))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.train(training)


def freeze_norms(model: nn.Module) -> None:
    """Let the backbone's BatchNorms compute with their running statistics while the rest trains.

    A pretrained network is tuned to the statistics that it comes with. Those of a small batch are
    noise, and those of other pictures undo what its features mean: on 30 birds at 96 px, 200 steps
    with batch statistics took a network whose head had been trained from 86 % to 52 %.
    """
    for module in as_wrapper(model).backbone.modules():
        if isinstance(module, _BatchNorm):
            module.eval()
