"""Weights for GLSim: our own run's, or the bare backbone's."""

from __future__ import annotations

from torch import Tensor, nn

from edge_fgir.models.glsim.model import GLSim
from edge_fgir.models.glsim.options import GLSimOptions
from edge_fgir.models.weights import BACKBONE, load_state, load_wrapped


def make_glsim(
    backbone: nn.Module,
    options: GLSimOptions,
    num_classes: int,
    state: dict[str, Tensor] | None,
    source: str,
) -> GLSim:
    """Build GLSim around ``backbone`` and fill it.

    Args:
        backbone: A timm transformer or ViTFS.
        options: The settings.
        num_classes: Size of the output.
        state: Weights of a :class:`GLSim` or of the bare backbone; None: keep what ``backbone``
            has.
        source: Where they come from, for messages.

    Raises:
        InputError: The weights do not fit.
    """
    if state is None:
        return GLSim(backbone, options, num_classes)
    if not any(key.startswith(BACKBONE) for key in state):
        load_state(backbone, state, source)
        return GLSim(backbone, options, num_classes)
    model = GLSim(backbone, options, num_classes)
    load_wrapped(
        model,
        state,
        source,
        what="GLSim",
        expected="weights trained with the same model.glsim.crop_cls and classes",
    )
    return model
