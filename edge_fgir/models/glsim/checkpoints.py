"""Weights for GLSim: our own run's, or the bare backbone's."""

from __future__ import annotations

from torch import Tensor, nn

from edge_fgir._errors import InputError
from edge_fgir.models.glsim.model import GLSim
from edge_fgir.models.glsim.options import GLSimOptions
from edge_fgir.models.weights import load_state

_BACKBONE = "backbone."


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
        state: Weights of a :class:`GLSim` or of the bare backbone; None: ``backbone`` has what it
            shall have.
        source: Where they come from, for messages.

    Raises:
        InputError: The weights do not fit.
    """
    if state is None:
        return GLSim(backbone, options, num_classes)
    if not any(key.startswith(_BACKBONE) for key in state):
        load_state(backbone, state, source)
        return GLSim(backbone, options, num_classes)
    model = GLSim(backbone, options, num_classes)
    inner = {k.removeprefix(_BACKBONE): v for k, v in state.items() if k.startswith(_BACKBONE)}
    rest = {k: v for k, v in state.items() if not k.startswith(_BACKBONE)}
    own = {k: v for k, v in model.state_dict().items() if not k.startswith(_BACKBONE)}
    strange = sorted(own.keys() ^ rest.keys()) or sorted(
        key for key in own if own[key].shape != rest[key].shape
    )
    if strange:
        raise InputError(
            f"weights {source} do not fit this GLSim: {strange[0]}",
            "weights trained with the same model.glsim.crop_cls and classes",
        )
    load_state(model.backbone, inner, source)
    model.load_state_dict(rest, strict=False)
    return model
