"""TGDA's students and CAL's teachers, as github.com/arkel23/FGIR-KD-Teacher saves them.

Source: arXiv 2507.12157, docs/science/tgda.md#published-weights.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field
from torch import Tensor

from edge_fgir._errors import InputError
from edge_fgir.importing.checkpoint import Checkpoint
from edge_fgir.importing.names import Names
from edge_fgir.importing.reading import Reading
from edge_fgir.importing.settings import Settings
from edge_fgir.importing.transformer import numbered
from edge_fgir.models import Network, lrnet, vitfs, weights_tag
from edge_fgir.runtime import Preprocess

_AROUND = re.compile(r"^encoder\.(?:0\.)?")
"""What CAL's class, of which their students are too, puts in front of a backbone."""

_INNER_NORM = re.compile(r"(\bnorm\d?)\.\w+\.(?=(?:weight|bias|running_\w+|num_batches_tracked)$)")
"""BatchNorm over tokens lies one module deeper than LayerNorm."""

_HEADS = ("dfsm.1.", "head.head.")
_BY_TRAINING_ALONE = (r"if_pools\.", r"cont_mlp\.", r"criterion_crd\.", r"crd\.", "feature_center")
_RESNETS: dict[tuple[str, tuple[int, ...]], str] = {
    ("basic", (2, 2, 2, 2)): "resnet18",
    ("basic", (3, 4, 6, 3)): "resnet34",
    ("bottleneck", (3, 4, 6, 3)): "resnet50",
    ("bottleneck", (3, 4, 23, 3)): "resnet101",
    ("bottleneck", (3, 8, 36, 3)): "resnet152",
}


class TGDASettings(Settings):
    """Settings of a student or a teacher of TGDA; the names are the authors'."""

    model_name: Annotated[
        str, Field(description="timm's name, of a backbone that is no LRNet, ViTFS or ResNet")
    ] = ""
    student_image_size: Annotated[
        int | None, Field(ge=16, le=4096, description="side that the student sees, pixels")
    ] = None
    test_square_resize_center_crop: Annotated[
        bool, Field(description="false: pictures were padded to a square, unless resized directly")
    ] = True
    pre_resize_factor: Annotated[
        float | None,
        Field(description="pictures were this many times larger in front of a teacher"),
    ] = None


def read(checkpoint: Checkpoint, settings: TGDASettings) -> Reading:
    """Understand a checkpoint.

    Raises:
        InputError: The backbone is none that is known, or its pictures cannot be made here.
    """
    tensors = {
        _INNER_NORM.sub(r"\1.", _AROUND.sub("", name)): each
        for name, each in checkpoint.tensors.items()
    }
    teacher = "dfsm.attentions.conv.weight" in tensors
    backbone, own, side = _backbone(tensors, settings, checkpoint)
    if settings.pre_resize_factor not in (None, 1) or not (
        settings.test_square_resize_center_crop or settings.test_resize_directly
    ):
        raise InputError(
            f"{checkpoint.path} was tested on pictures that were padded or enlarged first",
            "pictures resized to a square and cropped, as the published runs'",
            "if they were, add --set test_square_resize_center_crop=true --set pre_resize_factor=1",
        )
    if teacher:
        around = (
            ("dfsm.attentions.conv.", "attention.0."),
            ("dfsm.attentions.bn.", "attention.1."),
            ("dfsm.fc.", "head."),
        )
        own = tuple((theirs, f"backbone.{ours}") for theirs, ours in own)
        maps = len(tensors["dfsm.attentions.conv.weight"])
        backbone = backbone.model_copy(update={"attention_maps": maps, "unmirrored_crops": True})
        head = "dfsm.fc.weight"
        names = Names((*around, *own, ("", "backbone.")), ("sin2d_embedding", *_BY_TRAINING_ALONE))
    else:
        found = [begin for begin in _HEADS if f"{begin}weight" in tensors]
        if not found:
            raise InputError(
                f"{checkpoint.path} has no {_HEADS[0]}weight and no {_HEADS[1]}weight",
                "a student of TGDA, or a CAL teacher",
            )
        head = f"{found[0]}weight"
        names = Names(
            ((found[0], f"{_classifier(backbone.name)}."), *own),
            ("sin2d_embedding", *_BY_TRAINING_ALONE),
        )
    return Reading(
        backbone,
        len(tensors[head]),
        names,
        tensors,
        _pictures(settings, side, checkpoint),
        settings.normalization(),
    )


def _backbone(
    tensors: dict[str, Tensor], settings: TGDASettings, checkpoint: Checkpoint
) -> tuple[Network, tuple[tuple[str, str], ...], int | None]:
    """Return the backbone, the names of its tensors, and its input side where it has but one."""
    if "patch_embed.conv1x1.weight" in tensors:
        return _vitfs(tensors, checkpoint)
    stages = numbered([name[5:] for name in tensors if name.startswith("layer")], "")
    if stages in (4, 5):
        depths = tuple(numbered(tensors, f"layer{stage + 1}.") for stage in range(stages))
        block = "bottleneck" if "layer1.0.conv3.weight" in tensors else "basic"
        if stages == 4 and (name := _RESNETS.get((block, depths))):
            return Network(name=name), (), None
        deep = "conv1.0.weight" in tensors
        for name, config in lrnet.CONFIGS.items():
            if (config.block, config.depths, config.deep) == (block, depths, deep):
                return Network(name=name), _lrnet(deep), None
        raise InputError(
            f"{checkpoint.path} is a network of {'-'.join(map(str, depths))} {block} blocks",
            f"a ResNet, or one of {', '.join(lrnet.CONFIGS)}",
        )
    if not settings.model_name:
        raise InputError(
            f"{checkpoint.path} is of no backbone that its tensors tell",
            "an LRNet, a ViTFS or a ResNet",
            "add --set model_name= and timm's name of it",
        )
    return Network(name=settings.model_name), (), None


def _lrnet(deep: bool) -> tuple[tuple[str, str], ...]:
    pairs = [("bn1.", f"stem.{7 if deep else 1}.")]
    pairs += [(f"conv1.{i}.", f"stem.{i}.") for i in (0, 1, 3, 4, 6)] if deep else []
    pairs += [("conv1.", "stem.0.")]
    for stage in range(5):
        # Where the deep form does not pool, its first stage, an empty layer counts too.
        more = 1 if deep and stage == 0 else 0
        theirs, ours = f"layer{stage + 1}.#.", f"stages.{stage}.#."
        for layer in range(3):
            pairs.append((f"{theirs}conv{layer + 1}.", f"{ours}residual.{3 * layer}."))
            pairs.append((f"{theirs}bn{layer + 1}.", f"{ours}residual.{3 * layer + 1}."))
        pairs += [
            (f"{theirs}downsample.{i + more}.", f"{ours}shortcut.{i}.") for i in range(3 - more)
        ]
    return tuple(pairs)


def _vitfs(
    tensors: dict[str, Tensor], checkpoint: Checkpoint
) -> tuple[Network, tuple[tuple[str, str], ...], int | None]:
    dim = len(tensors["patch_embed.conv1x1.weight"])
    norm = "batch" if "blocks.0.norm1.running_mean" in tensors else "layer"
    named = [name for name, each in vitfs.CONFIGS.items() if (each.dim, each.norm) == (dim, norm)]
    if not named:
        raise InputError(
            f"{checkpoint.path} is a ViTFS of {dim} channels",
            ", ".join(str(each.dim) for each in vitfs.CONFIGS.values() if each.norm == norm),
        )
    registers = tensors["reg_token"].shape[1] if "reg_token" in tensors else 0
    # Their code keeps the first tokens of the sequence, registers among them.
    select = "first_s" if registers else "patches"
    code = tensors.get("sin2d_embedding")
    side = None if code is None else round(len(code) ** 0.5) * vitfs.PATCH
    pairs = [
        (f"patch_embed.conv3x3layers.{i}.{layer}.", f"stem.{3 * i + place}.")
        for i in range(4)
        for layer, place in (("conv", 0), ("norm", 2))
    ]
    pairs += [("patch_embed.conv1x1.", "stem.12."), ("reg_token", "registers")]
    network = Network(name=named[0], options={"registers": registers, "token_select": select})
    return network, tuple(pairs), side


def _pictures(settings: TGDASettings, side: int | None, checkpoint: Checkpoint) -> Preprocess:
    """Return the loader's pictures, or what the student samples of them where it is smaller."""
    loaded = settings.preprocess(settings.side(settings.image_size or side, checkpoint.path))
    seen = settings.student_image_size or side or loaded.size
    if seen == loaded.size:
        return loaded
    return loaded.model_copy(update={"size": seen, "view_size": loaded.size})


def _classifier(name: str) -> str:
    """Return what timm calls the classifier of a network."""
    called = weights_tag(name)
    return str(called.classifier) if called is not None and called.classifier else "head"
