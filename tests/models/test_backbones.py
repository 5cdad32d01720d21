"""Any timm backbone with maps or tokens can be trained, plain or as a CAL teacher."""

import pytest
import timm
import torch
from torch import nn

from edge_fgir import InputError
from edge_fgir.models import CAL, Network
from edge_fgir.models.features import spatial_maps

pytestmark = pytest.mark.unit

# Name, side of the input, channels and side of the maps.
BACKBONES = [
    ("resnet18", 64, 512, 2),
    ("tf_efficientnet_lite0", 64, 1280, 2),
    ("convnext_atto", 64, 320, 2),
    ("regnety_002", 64, 368, 2),
    ("mobilenetv3_small_050", 64, 288, 2),
    ("vit_tiny_patch16_224", 64, 192, 4),
    ("vit_tiny_patch16_224.augreg_in21k", 64, 192, 4),
    ("deit_tiny_distilled_patch16_224", 64, 192, 4),
    ("swin_tiny_patch4_window7_224", 64, 768, 2),
    ("levit_128s", 224, 384, 4),
    ("vitfs_nano", 64, 64, 4),
    ("vitfs_nano_ln", 64, 64, 4),
    ("lrnet14", 64, 512, 2),
]


@pytest.mark.parametrize(("name", "size", "channels", "side"), BACKBONES)
def test_as_a_cal_teacher(name: str, size: int, channels: int, side: int) -> None:
    model = Network(name=name, attention_maps=3).build(5, size, meta=True)
    assert isinstance(model, CAL)
    seen = model.look(torch.zeros(2, 3, size, size, device="meta"), counterfactual=True)
    assert seen.attention.shape == (2, 3, side, side)
    assert seen.embedding.shape == (2, 3 * channels)
    assert seen.logits.shape == seen.effect.shape == (2, 5)


@pytest.mark.parametrize(("name", "size", "channels", "side"), BACKBONES)
def test_plain(name: str, size: int, channels: int, side: int) -> None:
    model = Network(name=name).build(5, size, meta=True).eval()
    assert model(torch.zeros(2, 3, size, size, device="meta")).shape == (2, 5)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_a_teacher_of_a_fixed_size_learns(name: str) -> None:
    torch.manual_seed(0)
    small = {"depth": 1} if name.startswith("vit") else {"depths": (1, 1), "num_heads": (3, 6)}
    model = Network(name=name, attention_maps=3, options=small).build(5, 64)
    seen = model.look(torch.rand(2, 3, 64, 64), counterfactual=True)
    (seen.logits.sum() + seen.effect.sum()).backward()
    first = next(model.backbone.parameters())
    assert first.grad is not None
    assert first.grad.abs().max() > 0


def test_a_backbone_of_one_size_may_be_wrapped_by_hand() -> None:
    with torch.device("meta"):
        backbone = timm.create_model("vit_tiny_patch16_224", img_size=64, num_classes=0)
        model = CAL(backbone, 5, 3, image_size=64)
        by_default = CAL(timm.create_model("vit_tiny_patch16_224", num_classes=0), 5, 3)
    assert model.head.in_features == by_default.head.in_features == 3 * 192


class _Backbone(nn.Module):
    num_prefix_tokens = 2
    output_fmt = "NHWC"


def test_tokens_become_a_grid_in_reading_order_without_their_prefix() -> None:
    tokens = torch.arange(2 * 6 * 3).reshape(2, 6, 3)
    maps = spatial_maps(_Backbone(), tokens)
    assert maps.shape == (2, 3, 2, 2)
    assert torch.equal(maps[1, :, 0, 1], tokens[1, 3])
    assert torch.equal(maps[1, :, 1, 0], tokens[1, 4])


def test_maps_with_channels_last_are_turned_and_others_are_not() -> None:
    features = torch.rand(2, 4, 5, 3)
    assert torch.equal(spatial_maps(_Backbone(), features), features.permute(0, 3, 1, 2))
    assert torch.equal(spatial_maps(nn.Identity(), features), features)


@pytest.mark.parametrize(
    ("features", "found"),
    [
        (torch.zeros(1, 7, 3), r"\(1, 7, 3\) with 2 prefix"),
        (torch.zeros(1, 2, 3), r"\(1, 2, 3\) with 2 prefix"),
        (torch.zeros(1, 3), r"\(1, 3\)"),
        ([torch.zeros(1, 6, 3)], "list"),
    ],
)
def test_features_without_a_place_are_refused(features: object, found: str) -> None:
    with pytest.raises(InputError, match=rf"_Backbone gives features of .*{found}.*; expected"):
        spatial_maps(_Backbone(), features)


@pytest.mark.parametrize(
    ("name", "options"),
    [("pit_ti_224", {}), ("crossvit_tiny_240", {}), ("vitfs_nano", {"token_select": "first_s"})],
)
def test_backbones_without_maps_are_refused_as_teachers(name: str, options: dict) -> None:
    with pytest.raises(InputError, match=r"gives features of .* choose another backbone"):
        Network(name=name, attention_maps=3, options=options).build(5, meta=True)
