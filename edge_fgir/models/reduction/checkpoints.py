"""Weights for a reduced transformer: our own run's, or the bare backbone's."""

from __future__ import annotations

from torch import Tensor, nn

from edge_fgir.models.reduction.options import Reduction
from edge_fgir.models.reduction.vit import ReducedViT
from edge_fgir.models.weights import BACKBONE, load_state, load_wrapped

_REDUCERS = "reducers."


def make_reduced(
    backbone: nn.Module,
    reduction: Reduction,
    num_classes: int,
    state: dict[str, Tensor] | None,
    source: str,
) -> ReducedViT:
    """Build a reduced transformer around ``backbone`` and fill it.

    Args:
        backbone: A timm transformer or ViTFS.
        reduction: The settings.
        num_classes: Size of the output.
        state: Weights of a :class:`ReducedViT` or of the bare backbone; None: keep what
            ``backbone`` has.
        source: Where they come from, for messages.

    Raises:
        InputError: The weights do not fit.
    """
    if state is None:
        return ReducedViT(backbone, reduction, num_classes)
    if not any(key.startswith(BACKBONE) for key in state):
        load_state(backbone, state, source)
        return ReducedViT(backbone, reduction, num_classes)
    model = ReducedViT(backbone, reduction, num_classes)
    if not reduction.reduces:  # what chooses tokens learned to, and has nothing to do
        state = {name: value for name, value in state.items() if not name.startswith(_REDUCERS)}
    load_wrapped(
        model,
        state,
        source,
        what="token reduction",
        expected="weights trained with the same method, CLA and CLC"
        " (those of sit and patchmerger fit one keep rate and input size)",
    )
    return model
