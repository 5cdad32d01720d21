"""Families of timm that want something of their own: sizes, branches, heads, numbers of patches."""

from __future__ import annotations

import pytest
import torch
from stirred import stir
from torch import nn

from edge_fgir import InputError
from edge_fgir.models import Network, folded, summarize

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mobileone_s0", {}),
        ("repvgg_a0", {}),
        ("fastvit_t8", {}),
        ("repvit_m0_9", {}),
        ("levit_128s", {}),
        ("deit_tiny_distilled_patch16_224", {"depth": 1}),
    ],
)
def test_branches_are_merged_before_export(name: str, options: dict) -> None:
    torch.manual_seed(0)
    model = Network(name=name, options=options).build(5, 64).eval()
    stir(model)
    form = folded(model)
    image = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        expected, answer = model(image), form(image)
    assert torch.allclose(answer, expected, atol=1e-4 * float(expected.abs().max()))
    norms, left = (
        sum(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in each.modules())
        for each in (model, form)
    )
    assert left < norms or not norms


@pytest.mark.parametrize("attention_maps", [0, 2])
@pytest.mark.parametrize("side", [64, 96])
def test_patches_whose_side_is_a_number(side: int, attention_maps: int) -> None:
    network = Network(name="xcit_nano_12_p16_224", attention_maps=attention_maps)
    model = network.build(5, side, meta=True)
    assert summarize(model, network.name, side, 5).gmacs > 0


@pytest.mark.parametrize("name", ["pit_ti_224", "cait_xxs24_224"])
def test_layers_that_are_given_parameters_are_counted(name: str) -> None:
    model = Network(name=name).build(5, 224, meta=True)
    summary = summarize(model, name, 224, 5)
    assert summary.params == summary.trainable_params > 0
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(
    ("name", "side", "reason"),
    [
        (
            "xcit_nano_12_p16_224",
            100,
            "timm does not build xcit_nano_12_p16_224 as asked: .*divide",
        ),
        ("vit_tiny_patch16_224", 100, "side of 100 px .*a multiple of 16, such as 96"),
        ("inception_v3", 32, "inception_v3 does not take 32 px: .*such as 299"),
        ("crossvit_tiny_240", 224, "crossvit_tiny_240 does not take 224 px: .*such as 240"),
    ],
)
def test_a_side_that_a_network_does_not_take_is_one_line(name: str, side: int, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        summarize(Network(name=name).build(5, side, meta=True), name, side, 5)
    assert len(str(caught.value).splitlines()) == 1


def test_a_teacher_finds_channels_where_small_pictures_are_too_small() -> None:
    model = Network(name="inception_v3", attention_maps=2).build(5, 299, meta=True)
    assert model.head.in_features == 2 * 2048
