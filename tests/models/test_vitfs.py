import math
from pathlib import Path

import pytest
import timm
import torch
import yaml
from timm.layers import Attention
from torch import nn

from edge_fgir import InputError
from edge_fgir.models import Network, ViTFS, count_params, summarize
from edge_fgir.models.vitfs import CONFIGS, TokenBatchNorm, sin2d

pytestmark = pytest.mark.unit

GOLDEN = yaml.safe_load((Path(__file__).parents[1] / "golden" / "vitfs.yaml").read_text())
DEPTH, REGISTERS = 12, 4


def make(name: str = "vitfs_nano", size: int = 32, **options: object) -> ViTFS:
    torch.manual_seed(0)
    model = Network(name=name, options=options).build(5, size)
    assert isinstance(model, ViTFS)
    return model


def test_every_size_has_golden_figures_and_both_norms() -> None:
    assert set(CONFIGS) == {*GOLDEN, *(f"{name}_ln" for name in GOLDEN)}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("classes", [100, 196, 200])
def test_parameter_counts_are_the_papers(name: str, classes: int) -> None:
    """Both norms count the same."""
    model = Network(name=name).build(classes, meta=True)
    assert count_params(model) == GOLDEN[name.removesuffix("_ln")]["params"][classes]


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("size", [128, 224, 448])
def test_macs_are_the_papers_with_and_without_attention(name: str, size: int) -> None:
    model = Network(name=name).build(200, size, meta=True)
    assert all(m.fused_attn for m in model.modules() if isinstance(m, Attention))
    tokens = (size // 16) ** 2 + REGISTERS
    products = DEPTH * 2 * tokens**2 * model.num_features / 1e9
    found = summarize(model, name, size, 200)
    without, including = GOLDEN[name]["gmacs"][size]
    assert found.gmacs == pytest.approx(including, rel=0.01)
    assert found.gmacs - products == pytest.approx(without, rel=0.01)
    assert [(b.attention_tokens, b.mlp_tokens) for b in found.blocks] == [(tokens, tokens)] * DEPTH


def test_macs_are_the_same_when_the_model_really_runs() -> None:
    real, counted = make(size=64), Network(name="vitfs_nano").build(5, 64, meta=True)
    assert summarize(real, "", 64, 5).gmacs == summarize(counted, "", 64, 5).gmacs


def test_position_code_is_the_formula() -> None:
    """Two rows of two patches, eight channels: frequencies 1 and 1e-4."""
    low = 1e-4
    expected = [
        [f(v * w) for v in (x, y) for f in (math.sin, math.cos) for w in (1, low)]
        for y, x in ((0, 0), (0, 1), (1, 0), (1, 1))
    ]
    assert torch.allclose(sin2d(2, 2, 8), torch.tensor(expected), atol=1e-7)


def test_position_code_is_kept_for_the_usual_size_and_computed_for_others() -> None:
    model = make(size=32).eval()
    assert torch.equal(model.positions, sin2d(2, 2, 64))
    assert "positions" not in model.state_dict()
    other = make(size=64).eval()
    other.load_state_dict(model.state_dict())
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(model(x), other(x))


def test_position_codes_of_places_in_the_picture_are_those_of_another_grid() -> None:
    own = sin2d(4, 4, 64, side=4)
    assert torch.allclose(own, sin2d(4, 4, 64), atol=1e-6)
    # Along a side, the centres of two patches lie at 0.5 and 2.5 of four, which are counted 0 to 3.
    half = sin2d(2, 2, 64, side=4)
    omega = 10000.0 ** -(torch.arange(16) / 15)
    rows = torch.tensor([0.5, 0.5, 2.5, 2.5])[:, None] * omega
    columns = torch.tensor([0.5, 2.5, 0.5, 2.5])[:, None] * omega
    wanted = torch.cat((columns.sin(), columns.cos(), rows.sin(), rows.cos()), dim=1)
    assert torch.allclose(half, wanted, atol=1e-6)
    assert not torch.allclose(half, sin2d(2, 2, 64), atol=1e-2)


def test_positions_are_counted_over_the_side_that_was_asked_for() -> None:
    model = Network(name="vitfs_nano", options={"position_side": 4}).build(3, 64).eval()
    small = Network(name="vitfs_nano", options={"position_side": 4}).build(3, 32).eval()
    small.load_state_dict(model.state_dict())
    x = torch.randn(1, 3, 32, 32)
    assert torch.allclose(model(x), small(x), atol=1e-6)
    plain = Network(name="vitfs_nano").build(3, 32).eval()
    plain.load_state_dict(model.state_dict())
    assert not torch.allclose(plain.embed(x), small.embed(x))


@pytest.mark.parametrize("side", [0, -4])
def test_a_side_without_patches_is_refused(side: int) -> None:
    with pytest.raises(InputError, match=f"position_side {side}; expected a number of patches"):
        make(position_side=side)


def test_position_code_is_added_to_patches_and_not_to_registers() -> None:
    model = make().eval()
    seen = []
    model.blocks.register_forward_pre_hook(lambda m, inputs: seen.append(inputs[0]))
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        nn.init.normal_(model.registers)
        model(x)
        patches = model.stem(x).flatten(2).transpose(1, 2) + sin2d(2, 2, 64)
    assert torch.equal(seen[0][:, :REGISTERS], model.registers.expand(2, -1, -1))
    assert torch.allclose(seen[0][:, REGISTERS:], patches)


def test_stem_is_convolution_then_relu_then_norm() -> None:
    kinds = [type(layer) for layer in make("vitfs_tiny_ln").stem]
    assert kinds == [nn.Conv2d, nn.ReLU, nn.BatchNorm2d] * 4 + [nn.Conv2d]
    convs = [layer for layer in make("vitfs_tiny").stem if isinstance(layer, nn.Conv2d)]
    assert [c.out_channels for c in convs] == [24, 48, 96, 192, 192]
    assert [c.stride[0] for c in convs] == [2, 2, 2, 2, 1]
    assert [c.bias is not None for c in convs] == [True] * 4 + [False]


@pytest.mark.parametrize(("select", "first"), [("patches", REGISTERS), ("first_s", 0)])
def test_tokens_that_are_averaged(select: str, first: int) -> None:
    """Four patches after four registers: all of one kind, or all of the other."""
    model = make(token_select=select).eval()
    seen = []
    model.blocks.register_forward_hook(lambda m, inputs, output: seen.append(output))
    with torch.no_grad():
        nn.init.normal_(model.registers)
        model.norm.running_mean.normal_()
        features = model.forward_features(torch.rand(2, 3, 32, 32))
        assert seen[0].shape == (2, REGISTERS + 4, 64)  # no class token
        assert torch.allclose(features, model.norm(seen[0][:, first : first + 4]))
        assert torch.allclose(model.forward_head(features, pre_logits=True), features.mean(1))


def test_another_token_select_is_refused() -> None:
    with pytest.raises(InputError, match=r"token_select 'all'; expected patches or first_s"):
        make(token_select="all")


def test_norm_is_over_batch_and_tokens() -> None:
    norm = TokenBatchNorm(3)
    x = torch.randn(4, 7, 3) * 5 + 2
    y = norm(x)
    flat = x.flatten(0, 1)
    expected = (flat - flat.mean(0)) / (flat.var(0, unbiased=False) + 1e-5).sqrt()
    assert torch.allclose(y.flatten(0, 1), expected, atol=1e-5)
    assert torch.allclose(norm.running_mean, 0.1 * flat.mean(0), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "kind", "eps"),
    [("vitfs_nano", TokenBatchNorm, 1e-5), ("vitfs_nano_ln", nn.LayerNorm, 1e-6)],
)
def test_norms_of_both_forms(name: str, kind: type[nn.Module], eps: float) -> None:
    model = make(name)
    norms = [model.norm, *(n for block in model.blocks for n in (block.norm1, block.norm2))]
    assert {(type(n), n.eps) for n in norms} == {(kind, eps)}


def test_block_is_prenorm_with_scaled_branches() -> None:
    block = make().blocks[0].eval()
    x = torch.randn(2, 8, 64)
    with torch.no_grad():
        block.ls1.gamma.fill_(0.5)
        block.ls2.gamma.fill_(2)
        middle = x + 0.5 * block.attn(block.norm1(x))
        expected = middle + 2 * block.mlp(block.norm2(middle))
        assert torch.allclose(block(x), expected, atol=1e-6)
    assert block.mlp.fc1.out_features == 4 * 64
    assert make("vitfs_tiny").blocks[0].attn.num_heads == 3


def test_stochastic_depth_is_in_the_blocks_alone_and_grows_linearly() -> None:
    torch.manual_seed(0)
    model = Network(name="vitfs_nano", drop_path=0.11).build(5, 32)
    rates = [getattr(block.drop_path1, "drop_prob", 0.0) for block in model.blocks]
    assert rates == pytest.approx([0.01 * i for i in range(DEPTH)])
    inside = sum(type(m).__name__ == "DropPath" for m in model.blocks.modules())
    assert inside == sum(type(m).__name__ == "DropPath" for m in model.modules())
    assert inside == 2 * (DEPTH - 1)


def test_initial_values() -> None:
    torch.manual_seed(0)
    model = Network(name="vitfs_tiny").build(100, 32)
    assert model.registers.std().item() == pytest.approx(1e-6, rel=0.15)
    assert model.registers.unique().numel() > 700  # no two registers alike
    scales = [g for block in model.blocks for g in (block.ls1.gamma, block.ls2.gamma)]
    assert all((gamma == 1e-5).all() for gamma in scales)
    linears = [m for m in model.modules() if isinstance(m, nn.Linear)]
    assert len(linears) == 4 * DEPTH + 1
    for linear in linears:
        assert linear.weight.std().item() == pytest.approx(0.02, rel=0.03)
        assert not linear.bias.any()
    model.reset_classifier(50)
    assert model.head.weight.std().item() == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize(
    ("size", "nearest"), [(100, "96 or 112"), (8, "16"), (225, "224 or 240"), (1, "16")]
)
def test_other_sides_are_refused_with_the_nearest(size: int, nearest: str) -> None:
    expected = rf"image side of {size} px; expected a multiple of 16, such as {nearest}$"
    with pytest.raises(InputError, match=expected):
        Network(name="vitfs_nano").build(5, size)
    with pytest.raises(InputError, match=expected):
        make()(torch.zeros(1, 3, size, 32))


def test_timm_knows_the_models() -> None:
    model = timm.create_model("vitfs_nano", num_classes=7, registers=2).eval()
    assert model.get_classifier() is model.head
    assert model(torch.zeros(2, 3, 32, 48)).shape == (2, 7)
    assert model.forward_features(torch.zeros(1, 3, 32, 48)).shape == (1, 6, 64)
    assert model.registers.shape == (1, 2, 64)
    model.reset_classifier(0)
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, model.num_features)


def test_registers_are_decayed_and_vectors_are_not() -> None:
    from timm.optim import create_optimizer_v2

    model = make()
    groups = create_optimizer_v2(model, opt="adamw", weight_decay=0.05).param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert decay[id(model.registers)] == 0.05
    assert decay[id(model.blocks[0].norm1.weight)] == decay[id(model.blocks[0].ls1.gamma)] == 0
