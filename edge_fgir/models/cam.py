"""Class activation maps: where a plain model looks (arXiv 1512.04150, section 2).

A fine-tuned model without CAL's attention localises with these
(docs/science/tgda.md#other-maps).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge_fgir._errors import InputError
from edge_fgir.models.features import spatial_maps


def class_activation_maps(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits (B, K) and the map of each image's predicted class, (B, h, w), non-negative.

    The head's weights (without its bias) applied at each position. Evidence against the class is
    set to zero: a threshold is a share of the map's peak, as for CAL's attention.

    Args:
        model: A timm model with a linear head on averaged features, in evaluation mode.
        images: (B, 3, S, S) normalised pixels.

    Raises:
        InputError: The model gives no maps, or its head is not one linear layer on their channels.
    """
    if not hasattr(model, "forward_features"):
        raise InputError(
            f"{type(model).__name__} gives no class activation maps",
            "a CAL teacher, or a network of timm's without token reduction, adapters or crops",
            "train a CAL teacher",
        )
    head = model.get_classifier()  # type: ignore[operator]
    features = model.forward_features(images)  # type: ignore[operator]
    maps = spatial_maps(model, features)
    channels = maps.shape[1]
    if not isinstance(head, nn.Linear) or head.in_features != channels:
        raise InputError(
            f"{type(model).__name__} has a head {head}",
            f"one linear layer on its {channels} feature channels for class activation maps",
            "choose another model, or train a CAL teacher",
        )
    logits = model.forward_head(features)  # type: ignore[operator]
    weights = head.weight[logits.argmax(dim=1)].float()
    return logits, torch.einsum("bc,bchw->bhw", weights, maps.float()).relu()
