"""arXiv 2409.11051, docs/science/ila.md#acceptance: counts, shapes, what an adapter computes, what
is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import yaml
from stirred import stir
from torch import Tensor, nn

from edge_fgir import InputError
from edge_fgir.models import Network, count_params, summarize
from edge_fgir.models.folding import folded
from edge_fgir.models.glsim import GLSimOptions
from edge_fgir.models.ila import (
    VARIANTS,
    AdaptedViT,
    Adapters,
    DownSampling,
    LinearAdapter,
    Padded,
    residual_ranges,
)
from edge_fgir.models.reduction import Reduction
from edge_fgir.runtime.manifest import Normalization

pytestmark = pytest.mark.unit

GOLDEN = yaml.safe_load((Path(__file__).parents[1] / "golden" / "ila.yaml").read_text())
NAMES = [name for name in GOLDEN if name.startswith("vit_")]
BASE = "vit_base_patch16_224"
ILA = [variant for variant in VARIANTS if variant != "none"]


def counted(name: str, variant: str, size: int = 224, classes: int = 200) -> Any:
    return Network(name=name, adapters=Adapters(variant=variant)).build(classes, size, meta=True)


def expected_tokens(variant: str, size: int) -> list[int]:
    groups = GOLDEN["tokens"][size]
    return [groups[0]] * 12 if variant == "none" else [n for n in groups for _ in range(4)]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("size", GOLDEN["tokens"])
def test_blocks_see_the_papers_tokens(variant: str, size: int) -> None:
    found = summarize(counted(BASE, variant, size), BASE, size, 200)
    assert [b.attention_tokens for b in found.blocks] == expected_tokens(variant, size)
    assert [b.mlp_tokens for b in found.blocks] == expected_tokens(variant, size)


def test_an_adapter_has_the_papers_parameters() -> None:
    parts = {
        "down_sampling": DownSampling(768, 8, 1, residual=1.0, dropout=0.1),
        "padded": Padded(768, 8, 1, dropout=0.1),
        "linear": LinearAdapter(768, 8, dropout=0.1),
    }
    assert {name: count_params(part) for name, part in parts.items()} == GOLDEN["parts"]


@pytest.mark.parametrize("variant", ILA)
@pytest.mark.parametrize("name", NAMES)
def test_adapters_add_the_papers_parameters(name: str, variant: str) -> None:
    plain = Network(name=name).build(0, meta=True)
    assert count_params(plain) == GOLDEN[name]["backbone"]
    model = counted(name, variant)
    head = 201 * model.num_features - model.num_features + 200
    assert count_params(model) - count_params(plain) - head == GOLDEN[name]["adds"][variant]


@pytest.mark.parametrize("size", [224, 448])
def test_the_whole_model_has_the_papers_parameters(size: int) -> None:
    model = counted(BASE, "ila++", size)
    assert count_params(model) == GOLDEN["total"][size]
    assert count_params(model, trainable=True) == GOLDEN["trainable"]


@pytest.mark.parametrize("size", [224, 448])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", NAMES)
def test_macs_are_the_papers(name: str, variant: str, size: int) -> None:
    found = summarize(counted(name, variant, size), name, size, 200)
    assert found.gmacs == pytest.approx(GOLDEN[name]["gmacs"][variant][size], rel=0.01)


@pytest.mark.slow
def test_the_papers_total_of_trainable_parameters() -> None:
    totals = {}
    for variant in GOLDEN["ttp"]:
        sizes = [
            count_params(counted(BASE, variant, 448, classes), trainable=True)
            for classes in GOLDEN["classes"]
        ]
        totals[variant] = 5 * sum(sizes) / len(sizes) / 1e6
    assert totals == pytest.approx(GOLDEN["ttp"], rel=0.01)
    assert 122 < GOLDEN["copies"] / totals["ila++"] < 124


def test_the_command_shows_them(run_cli: Callable) -> None:
    arguments = ("models", "show", BASE, "--adapters", "ila++", "--image-size", "448")
    shown = run_cli(*arguments, "--num-classes", "200", "--json").json
    assert shown["params"] == GOLDEN["total"][448]
    assert shown["trainable_params"] == GOLDEN["trainable"]
    assert shown["gmacs"] == pytest.approx(GOLDEN[BASE]["gmacs"]["ila++"][448], rel=0.01)
    assert [b["attention_tokens"] for b in shown["blocks"]] == expected_tokens("ila++", 448)
    text = run_cli(*arguments, "--num-classes", "200").out
    assert "trained: 508,600 parameters, the others are frozen" in text
    wrong = run_cli("models", "show", BASE, "--adapters", "ila+++")
    assert wrong.code == 2
    assert "adapters: variant 'ila+++'; expected 'none', 'ila', 'ila+' or 'ila++'" in wrong.err


def small(variant: str = "ila", name: str = "vit_tiny_patch16_224", **more: Any) -> AdaptedViT:
    """A real model with 36 patches, its BatchNorms stirred as by a training."""
    torch.manual_seed(0)
    options = more.pop("options", {"depth": 6, "embed_dim": 48} if name.startswith("vit_") else {})
    model = Network(name=name, options=options, adapters=Adapters(variant=variant, **more)).build(
        5, 96
    )
    assert isinstance(model, AdaptedViT)
    stir(model)
    return model.eval()


def images(count: int = 3, size: int = 96) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def test_branch_b_begins_near_one() -> None:
    for adapter in small().between.values():
        assert adapter.residual.bias is None
    weights = DownSampling(768, 8, 1, residual=1.0, dropout=0.1).residual.weight.detach()
    assert float(weights.mean()) == pytest.approx(1.0, abs=1e-3)
    assert float(weights.std()) == pytest.approx(1e-3, abs=1e-4)


@pytest.mark.parametrize("prefix", [0, 1, 5])
def test_a_centred_delta_crops_the_outer_ring(prefix: int) -> None:
    adapter = DownSampling(24, 8, prefix, residual=1.0, dropout=0.0).eval()
    x = torch.randn(2, prefix + 49, 24)
    with torch.no_grad():
        adapter.bottleneck.up.weight.zero_()
        adapter.bottleneck.up.bias.zero_()
        adapter.residual.weight.zero_()
        adapter.residual.weight[:, :, 1, 1] = 1
        found = adapter(x)
    ring = x[:, prefix:].view(2, 7, 7, 24)[:, 1:-1, 1:-1].flatten(1, 2)
    assert torch.equal(found, torch.cat((x[:, :prefix], ring), dim=1))


@pytest.mark.parametrize("padding", [0, 1])
def test_branch_a_is_the_papers_order_of_layers(padding: int) -> None:
    if padding:
        adapter = Padded(24, 8, 1, dropout=0.1)
    else:
        adapter = DownSampling(24, 8, 1, residual=1.0, dropout=0.1)  # type: ignore[assignment]
    stir(adapter)
    a = adapter.bottleneck.eval()
    x = torch.randn(2, 26, 24)
    gelu = nn.functional.gelu

    def norm(layer: Any, z: Tensor) -> Tensor:
        return nn.functional.batch_norm(
            z, layer.running_mean, layer.running_var, layer.weight, layer.bias
        )

    with torch.no_grad():
        z = gelu(norm(a.norm_down, a.down(x).flatten(0, 1))).view(2, 26, 8)
        first = nn.functional.conv2d(
            z[:, :1].transpose(1, 2)[..., None], a.prefix.weight[..., None, None], a.prefix.bias
        )
        maps = z[:, 1:].transpose(1, 2).reshape(2, 8, 5, 5)
        maps = a.pointwise(gelu(norm(a.norm_depthwise, a.depthwise(maps))))
        y = torch.cat((first[:, :, 0], maps.flatten(2)), dim=2)
        y = gelu(norm(a.norm_up, y)).transpose(1, 2)
        torch.testing.assert_close(a(x), a.up(y), atol=1e-5, rtol=1e-5)
    assert a.depthwise.padding == (padding, padding)
    assert a.norm_down.eps == 1e-5
    assert a.norm_down.momentum == 0.1


def test_statistics_are_over_batch_and_tokens() -> None:
    adapter = Padded(24, 8, 1, dropout=0.0).train()
    a, x = adapter.bottleneck, torch.randn(4, 26, 24)
    with torch.no_grad():
        adapter(x)
        down = a.down(x).flatten(0, 1)
    torch.testing.assert_close(a.norm_down.running_mean, 0.1 * down.mean(0))
    torch.testing.assert_close(a.norm_down.running_var, 0.9 + 0.1 * down.var(0))


def test_linear_adapters_stand_beside_both_halves() -> None:
    model = small("ila++", options={"depth": 3, "embed_dim": 48, "init_values": 0.1}, locations=())
    for parameter in model.inside.parameters():
        nn.init.normal_(parameter, std=0.3)
    block, pair = model.backbone.blocks[0], model.inside[0]
    gelu = nn.functional.gelu

    def added(adapter: Any, y: Tensor) -> Tensor:
        return adapter.up(gelu(adapter.down(y)))

    with torch.no_grad():
        x = model.embed(images())
        y = block.norm1(x)
        middle = x + block.ls1(block.attn(y)) + added(pair.attention, y)
        y = block.norm2(middle)
        after = middle + block.ls2(block.mlp(y)) + added(pair.mlp, y)
        torch.testing.assert_close(pair(block, x), after)
        silent = small("ila", options={"depth": 3, "embed_dim": 48})
        x = silent.embed(images())
        torch.testing.assert_close(
            silent.block(0, x), silent.between["0"](silent.backbone.blocks[0](x))
        )


@pytest.mark.parametrize(
    ("depth", "locations"), [(3, (0, 1)), (6, (1, 3)), (8, (1, 4)), (12, (3, 7)), (24, (7, 15))]
)
def test_locations_part_the_blocks_into_three_groups(
    depth: int, locations: tuple[int, ...]
) -> None:
    assert Adapters().locations_in(depth) == locations
    assert Adapters(locations=(0,)).locations_in(depth) == (0,)
    assert Adapters(variant="none").locations_in(depth) == ()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    ("name", "options", "prefix"),
    [
        ("vit_tiny_patch16_224", {"depth": 3, "embed_dim": 48}, 1),
        ("vit_tiny_patch16_224", {"depth": 3, "embed_dim": 48, "reg_tokens": 4}, 5),
        (
            "vit_tiny_patch16_224",
            {"depth": 3, "embed_dim": 48, "class_token": False, "global_pool": "avg"},
            0,
        ),
        ("vitfs_nano", {}, 4),
        ("vitfs_nano_ln", {"registers": 0}, 0),
    ],
)
def test_any_number_of_prefix_tokens(
    name: str, options: dict[str, Any], prefix: int, variant: str
) -> None:
    model = small(variant, name, options=options)
    assert model.layout.prefix == prefix
    with torch.inference_mode():
        together = model(images())
        alone = torch.cat([model(one[None]) for one in images()])
        seen = model.block(len(model.backbone.blocks) - 1, _before_last(model))
    assert together.std() > 0
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)
    side = 6 if variant == "none" else 2
    assert seen.shape[1] == prefix + side**2


def _before_last(model: AdaptedViT) -> Tensor:
    x = model.embed(images())
    for index in range(len(model.backbone.blocks) - 1):
        x = model.block(index, x)
    return x


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "vitfs_nano"])
def test_without_adapters_it_is_the_backbone(name: str) -> None:
    model = small("none", name)
    with torch.inference_mode():
        torch.testing.assert_close(model(images()), model.backbone(images()), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("class_token", [False, True])
def test_only_adapters_head_and_class_token_are_trained(variant: str, class_token: bool) -> None:
    model = small(variant, class_token=class_token)
    learned = {name for name, value in model.named_parameters() if value.requires_grad}
    own = {name for name, _ in model.named_parameters() if not name.startswith("backbone.")}
    outside = {"backbone.head.weight", "backbone.head.bias"}
    assert learned == own | outside | ({"backbone.cls_token"} if class_token else set())
    assert (variant == "none") == (not own)
    statistics = {n for n, _ in model.named_buffers() if n.startswith(("between.", "inside."))}
    assert model.learned_names() == learned | statistics
    if variant != "none":
        assert any(name.endswith("running_var") for name in statistics)


def test_what_needs_no_gradient_is_not_kept() -> None:
    model = small("ila", class_token=False).train()
    x = model.embed(images())
    for index in range(len(model.backbone.blocks)):
        before, x = x, model.block(index, x)
        assert not before.requires_grad or index > 1
    assert x.requires_grad
    assert small("ila").train().embed(images()).requires_grad
    frozen = small("none", class_token=False).train()
    assert not frozen.block(0, frozen.embed(images())).requires_grad


def test_batch_norms_of_the_backbone_keep_their_statistics() -> None:
    model = small("ila", "vitfs_nano")
    before = {name: value.clone() for name, value in model.backbone.named_buffers()}
    norm = model.between["3"].bottleneck.norm_up
    mean = norm.running_mean.clone()
    model.train()(images())
    assert all(torch.equal(v, before[n]) for n, v in model.backbone.named_buffers())
    assert not torch.equal(norm.running_mean, mean)


@pytest.mark.parametrize(
    ("name", "residual", "mean"),
    [
        ("vit_tiny_patch16_224", "auto", 1.0),
        ("vit_tiny_patch16_224", "mean", 1 / 9),
        ("vitfs_nano_ln", "auto", 1.0),
        ("vitfs_nano", "auto", 1 / 9),
        ("vitfs_nano", "sum", 1.0),
    ],
)
def test_where_statistics_are_frozen_patches_are_averaged(
    name: str, residual: str, mean: float
) -> None:
    for adapter in small("ila", name, residual=residual).between.values():
        assert float(adapter.residual.weight.detach().mean()) == pytest.approx(mean, rel=1e-3)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "vitfs_nano", "vitfs_nano_ln"])
def test_the_folded_model_is_equal_and_free_of_batch_norms(name: str, variant: str) -> None:
    model = small(variant, name)
    for parameter in model.between.parameters():
        nn.init.normal_(parameter, parameter.mean().item(), 0.1)
    form = folded(model)
    with torch.inference_mode():
        expected, found = model(images()), form(images())
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-5
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in form.modules())
    if variant == "ila":
        assert count_params(model.between) - count_params(form.between) == 2 * 48


def test_the_stream_of_patches_grows_and_the_class_token_does_not() -> None:
    pictures = torch.randint(0, 256, (4, 96, 96, 3), dtype=torch.uint8).numpy()
    normalization = Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    summed = residual_ranges(small(), pictures, normalization)
    meant = residual_ranges(small(residual="mean"), pictures, normalization)
    assert [one.tokens for one in summed] == [37, 17, 17, 5, 5, 5]
    assert summed[3].patches > 3 * summed[0].patches
    assert summed[3].patches > 3 * meant[3].patches
    assert summed[3].largest == max(summed[3].patches, summed[3].prefix)
    assert summed[0].prefix == pytest.approx(meant[0].prefix, rel=0.2)
    none = residual_ranges(
        small("ila", "vitfs_nano", options={"registers": 0}), pictures, normalization
    )
    assert {one.prefix for one in none} == {0.0}


@pytest.mark.parametrize(
    ("name", "size", "options", "message"),
    [
        (BASE, 64, {}, r"a grid of 4 x 4 patches.*5 x 5 or more, that is an image side of 80 px"),
        ("vitfs_nano", 64, {}, r"4 x 4 patches.*an image side of 80 px"),
        (BASE, 224, {"img_size": (224, 192)}, r"image of 224 x 192 px.*such as 192 x 192"),
        ("vitfs_nano", 224, {"img_size": (224, 96)}, r"image of 224 x 96 px.*such as 96 x 96"),
        ("vit_base_patch16_rope_224", 224, {}, r"rotary.*bound to the whole grid of patches"),
        ("vit_relpos_base_patch16_224", 224, {}, r"relative positions.* bound to the whole grid"),
        ("swin_tiny_patch4_window7_224", 224, {}, r"windows are bound to the whole grid"),
        ("resnet18", 224, {}, r"ResNet with adapters; expected a timm VisionTransformer"),
        ("deit_tiny_distilled_patch16_224", 224, {}, r"expected a timm VisionTransformer"),
        (BASE, 224, {"global_pool": "map"}, r"global_pool 'map'.*token, avg"),
        (BASE, 224, {"patch_drop_rate": 0.1}, r"patch_drop_rate above 0.*whole grid; expected 0"),
        (BASE, 224, {"depth": 2}, r"a transformer of 2 blocks; expected 3 blocks or more"),
        (
            "vitfs_nano",
            224,
            {"token_select": "first_s"},
            r"first_s with adapters; .* patches",
        ),
    ],
)
def test_what_cannot_shrink_is_refused_in_one_line(
    name: str, size: int, options: dict[str, Any], message: str
) -> None:
    given = None if "img_size" in options else size
    with pytest.raises(InputError, match=message) as caught:
        Network(name=name, options=options, adapters=Adapters()).build(5, given, meta=True)
    assert "\n" not in str(caught.value)


def test_an_input_that_is_not_square_is_refused() -> None:
    model = small("ila", "vitfs_nano")
    with pytest.raises(InputError, match=r"an image of 96 x 128 px; expected a square one"):
        model(torch.zeros(1, 3, 96, 128))


def test_blocks_of_another_kind_take_adapters_between_them_alone() -> None:
    name = "vit_base_patch16_xp_224"
    options = {"depth": 3}
    Network(name=name, options=options, adapters=Adapters()).build(5, meta=True)
    with pytest.raises(InputError, match=r"ila\+\+ inside blocks of kind Parallel.*adapters ila"):
        Network(name=name, options=options, adapters=Adapters(variant="ila++")).build(5, meta=True)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"attention_maps": 4}, "adapters with a CAL teacher"),
        ({"reduction": Reduction(keep_rate=0.5)}, "adapters with token reduction"),
        ({"glsim": GLSimOptions()}, "adapters with GLSim"),
    ],
)
def test_it_goes_with_no_other_surgery(more: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Network(name=BASE, adapters=Adapters(), **more)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"variant": "ILA"}, r"variant 'ILA'; expected 'none'"),
        ({"width": 0}, r"width 0; expected greater than or equal to 1"),
        ({"locations": (7, 3)}, r"locations \[7, 3\]; expected different blocks in ascending"),
        ({"variant": "none", "locations": (3,)}, r"locations for variant none"),
        ({"dropout": 1.0}, r"dropout 1.0; expected less than 1"),
    ],
)
def test_settings_that_break_a_rule_name_it(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Adapters.checked(**values)


def test_a_down_sampling_needs_a_block_behind_it() -> None:
    with pytest.raises(InputError, match=r"behind block 11 of 12; expected blocks 0 to 10"):
        Network(name=BASE, adapters=Adapters(locations=(3, 11))).build(5, meta=True)


def test_base_weights_keep_their_place_and_are_told_by_their_tensors(tmp_path: Path) -> None:
    state = timm.create_model("vit_tiny_patch16_224", depth=3, embed_dim=48).state_dict()
    torch.save(state, tmp_path / "base.pth")
    options = {"depth": 3, "embed_dim": 48}
    weights = str(tmp_path / "base.pth")
    found = [
        Network(
            name="vit_tiny_patch16_224", options=options, weights=weights, adapters=Adapters()
        ).build(5, size)
        for size in (96, 224)
    ]
    for model in found:
        assert torch.equal(
            model.backbone.blocks[2].mlp.fc1.weight, state["blocks.2.mlp.fc1.weight"]
        )
        assert model.backbone.head.out_features == 5
    # Resizing the position table does not make it another base.
    assert found[0].base == found[1].base
    assert found[0].base.source == weights
    state["cls_token"] = state["cls_token"] + 1e-6
    torch.save(state, tmp_path / "other.pth")
    other = Network(
        name="vit_tiny_patch16_224",
        options=options,
        weights=str(tmp_path / "other.pth"),
        adapters=Adapters(),
    ).build(5)
    assert other.base.sha256 != found[0].base.sha256


def test_a_base_that_timm_downloads_is_told_by_its_tensors_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The download itself is timm's."""
    name = "vit_tiny_patch16_224.augreg_in21k"
    torch.manual_seed(0)
    source = timm.create_model(name.split(".")[0], num_classes=21843)
    monkeypatch.setattr("edge_fgir.models.backbone.check_hub", lambda name: None)
    monkeypatch.setattr(
        "timm.models._builder.load_state_dict_from_hf", lambda *_, **__: source.state_dict()
    )
    monkeypatch.setattr(
        "timm.models._builder.load_custom_from_hf",
        lambda _, __, model, **___: model.load_state_dict(source.state_dict()),
    )
    models = [
        Network(name=name, weights="timm", adapters=Adapters()).build(5, size) for size in (96, 224)
    ]
    assert models[0].base == models[1].base
    assert models[0].base.source == "timm"
    for model in models:
        assert torch.equal(
            model.backbone.blocks[2].attn.qkv.weight, source.blocks[2].attn.qkv.weight
        )


@pytest.mark.parametrize("variant", ILA)
def test_the_stream_stays_in_float32_in_mixed_precision(variant: str) -> None:
    model = small(variant).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        x = model.embed(images())
        for index in range(len(model.backbone.blocks)):
            x = model.block(index, x)
            assert x.dtype == torch.float32


def test_settings_survive_json() -> None:
    settings = Adapters(variant="ila++", locations=(1, 4), class_token=False)
    assert Adapters.model_validate(json.loads(settings.model_dump_json())) == settings
