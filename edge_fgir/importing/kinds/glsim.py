"""GLSim, as github.com/arkel23/GLSim saves it: its own ViT, and its port of timm's.

Source: arXiv 2407.12891, docs/science/glsim.md#published-weights.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edge_fgir._errors import InputError
from edge_fgir.importing.checkpoint import Checkpoint
from edge_fgir.importing.names import Names
from edge_fgir.importing.reading import Reading
from edge_fgir.importing.settings import Settings
from edge_fgir.importing.transformer import AUTHORS_EPS, authors_block, authors_vit, shape_of
from edge_fgir.models import Network
from edge_fgir.models.glsim import CropCls, GLSimOptions, SimMetric

_OWN = Names(
    (
        *authors_vit("backbone."),
        *authors_block("aggregator.blocks.0.", "aggregator."),
        ("aggregator_norm.", "norm."),
        ("anchor_class_token", "crop_cls"),
    )
)
_PORT = Names(
    (
        ("aggregator.0.", "aggregator."),
        ("aggregator.1.", "norm."),
        ("cls_token_crops", "crop_cls"),
        ("head.", "head."),
        ("", "backbone."),
    )
)


class GLSimSettings(Settings):
    """Settings of a run of GLSim; the names are the authors', but for ``crop_cls``."""

    dynamic_top: Annotated[int, Field(description="O, the patches that the crop encloses")] = 8
    sim_metric: Annotated[SimMetric, Field(description="what is similar")] = "cos"
    anchor_random: Annotated[bool, Field(description="random patches instead")] = False
    classifier: Annotated[str, Field(description="what is classified")] = "cls"
    test_flip: Annotated[bool, Field(description="mirror images are asked, too")] = False
    num_attention_heads: Annotated[int | None, Field(description="64 channels a head")] = None
    crop_cls: Annotated[
        CropCls | None,
        Field(
            description="class token of the second pass: their own ViT stores a separate one and "
            "takes the first, which is the default; the code in ILA's repository takes it"
        ),
    ] = None


def read(checkpoint: Checkpoint, settings: GLSimSettings) -> Reading:
    """Understand a checkpoint.

    Raises:
        InputError: It is of another design than the published one.
    """
    tensors = dict(checkpoint.tensors)
    if settings.anchor_random or settings.classifier != "cls" or settings.test_flip:
        raise InputError(
            f"{checkpoint.path}: random crops, averaged tokens or averaged mirror images",
            "anchor_random and test_flip off, classifier cls",
        )
    own = "patch_embedding.weight" in tensors
    names = _OWN if own else _PORT
    second = "anchor_class_token" if own else "cls_token_crops"
    separate = settings.crop_cls or ("shared" if own or second not in tensors else "separate")
    if separate == "shared":
        tensors.pop(second, None)
    plain = Names((*authors_vit(""),)).renamed(tensors) if own else tensors
    shape = shape_of(plain, heads=settings.num_attention_heads, file=checkpoint.path)
    if "head.weight" not in tensors:
        raise InputError(f"{checkpoint.path} has no head.weight", "a classifier")
    network = Network(
        name=shape.name,
        options=shape.options,
        layer_norm_eps=AUTHORS_EPS if own else None,
        glsim=GLSimOptions.checked(
            top_o=settings.dynamic_top, sim_metric=settings.sim_metric, crop_cls=separate
        ),
    )
    return Reading(
        network,
        len(tensors["head.weight"]),
        names,
        tensors,
        settings.preprocess(settings.side(shape.side, checkpoint.path)),
        settings.normalization(),
    )
