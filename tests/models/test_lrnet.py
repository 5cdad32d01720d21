from pathlib import Path

import pytest
import timm
import torch
import yaml
from torch import nn

from edge_fgir.models import Network, count_params, summarize
from edge_fgir.models.lrnet import CONFIGS

pytestmark = pytest.mark.unit

GOLDEN = yaml.safe_load((Path(__file__).parents[1] / "golden" / "lrnets.yaml").read_text())


def golden(figure: str) -> list[tuple[str, int, float]]:
    """Return (model, classes or pixels, figure) for all that the specification gives."""
    return [(name, key, value) for name in GOLDEN for key, value in GOLDEN[name][figure].items()]


@pytest.mark.parametrize(("name", "classes", "params"), golden("params"))
def test_parameter_counts_are_the_papers(name: str, classes: int, params: int) -> None:
    assert count_params(Network(name=name).build(classes, meta=True)) == params


@pytest.mark.parametrize(("name", "size", "gmacs"), golden("gmacs"))
def test_macs_are_the_papers(name: str, size: int, gmacs: float) -> None:
    summary = summarize(Network(name=name).build(200, meta=True), name, size, 200)
    assert summary.gmacs == pytest.approx(gmacs, rel=0.002)


def test_every_own_model_has_golden_figures() -> None:
    assert set(CONFIGS) == set(GOLDEN)


@pytest.mark.parametrize("name", CONFIGS)
def test_feature_maps_halve_without_pooling(name: str) -> None:
    model = Network(name=name).build(10, meta=True)
    sides = []
    model.stem.register_forward_hook(lambda m, i, o: sides.append(o.shape[-1]))
    for stage in model.stages:
        stage.register_forward_hook(lambda m, i, o: sides.append(o.shape[-1]))
    model(torch.zeros(1, 3, 128, 128, device="meta"))
    assert sides == [64, 64, 32, 16, 8, 4]
    assert not any(isinstance(m, nn.MaxPool2d | nn.AvgPool2d) for m in model.stem.modules())
    pools = [m for m in model.stages.modules() if isinstance(m, nn.MaxPool2d | nn.AvgPool2d)]
    assert len(pools) == (4 if name.endswith("d") else 0)


@pytest.mark.parametrize("name", ["lrnet14", "lrnet26", "lrnet14d", "lrnet26d"])
def test_blocks_start_as_their_shortcut(name: str) -> None:
    model = Network(name=name).build(10).eval()
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        x = model.stem(x)
        for stage in model.stages:
            for block in stage:
                assert torch.allclose(block(x), block.shortcut(x).relu(), atol=1e-6)
                x = block(x)


def test_stochastic_depth_grows_linearly_on_the_residual_branch() -> None:
    model = Network(name="lrnet26", drop_path=0.1).build(10)
    rates = [getattr(b.drop_path, "drop_prob", 0.0) for stage in model.stages for b in stage]
    assert rates == pytest.approx([0.1 * i / 7 for i in range(8)])


def test_deep_stem_halves_once_in_three_convolutions_and_shortcuts_pool_first() -> None:
    model = Network(name="lrnet14d").build(10).eval()
    convs = [m for m in model.stem if isinstance(m, nn.Conv2d)]
    assert [(c.out_channels, c.stride[0]) for c in convs] == [(18, 2), (18, 1), (32, 1)]
    shortcut = model.stages[1][0].shortcut
    x = torch.rand(1, 64, 6, 6)
    pooled = nn.functional.avg_pool2d(x, 2)
    with torch.no_grad():
        assert torch.allclose(shortcut(x), shortcut[2](shortcut[1](pooled)))
        assert model(torch.rand(1, 3, 72, 72)).shape == (1, 10)  # maps of odd sides: 9, 5, 3


@pytest.mark.parametrize("name", ["lrnet14", "resnet18"])
@pytest.mark.parametrize("zero", [True, False])
def test_blocks_start_as_their_shortcuts_unless_told_otherwise(name: str, zero: bool) -> None:
    model = Network(name=name, options={} if zero else {"zero_init_last": False}).build(3)
    gammas = [m.weight for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    blocks = 6 if name == "lrnet14" else 8
    assert sum(not gamma.any() for gamma in gammas) == (blocks if zero else 0)


def test_timm_knows_the_models() -> None:
    model = timm.create_model("lrnet14", num_classes=7)
    assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 7)
    assert model.forward_features(torch.zeros(1, 3, 64, 64)).shape == (1, 512, 2, 2)
    model.reset_classifier(3)
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 3)


def test_vit_blocks_report_their_tokens() -> None:
    model = Network(name="vit_tiny_patch16_224").build(200, 224, meta=True)
    summary = summarize(model, "vit_tiny_patch16_224", 224, 200)
    assert [(b.attention_tokens, b.mlp_tokens) for b in summary.blocks] == [(197, 197)] * 12
