"""GLSim: the acceptance list of its specification (section 13), and what is refused."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from stirred import stir

from edge_fgir import InputError
from edge_fgir.models import Network, count_params, summarize
from edge_fgir.models.folding import folded
from edge_fgir.models.glsim import CropForm, GLSim, GLSimOptions
from edge_fgir.models.glsim.cost import MECHANISMS, backbone_macs, selection_ops
from edge_fgir.models.glsim.selection import boxes_of, crop, similarity
from edge_fgir.models.reduction import Reduction
from edge_fgir.runs import LossSection, read_recipe
from edge_fgir.runtime import Preprocess
from edge_fgir.training.methods import Batch, CrossEntropy

pytestmark = pytest.mark.unit

GOLDEN = yaml.safe_load((Path(__file__).parents[1] / "golden" / "glsim.yaml").read_text())
VIT = "vit_tiny_patch16_224"
BACKBONES = (VIT, "vitfs_nano")
SIZE = 96
FORMS = get_args(CropForm)


def built(name: str = VIT, classes: int = 5, **options: Any) -> GLSim:
    """A small network whose logits depend on its input."""
    torch.manual_seed(0)
    extra = {"depth": 2} if name.startswith("vit_") else {}
    values = GLSimOptions(**{"zero_head": False, **options})
    model = Network(name=name, options=extra, glsim=values).build(classes, SIZE)
    assert isinstance(model, GLSim)
    stir(model)
    return model.eval()


def pictures(count: int = 2, size: int = SIZE) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", GOLDEN["networks"])
@pytest.mark.parametrize("size", [224, 448])
def test_parameters_macs_and_tokens(run_cli: Callable, name: str, size: int) -> None:
    arguments = ("--glsim", "--num-classes", 200, "--image-size", size, "--json")
    shown = run_cli("models", "show", name, *arguments).json
    wanted = GOLDEN["networks"][name][size]
    assert shown["params"] == wanted["params"]
    assert shown["gmacs"] == pytest.approx(wanted["gmacs"], rel=1e-3)
    tokens = [block["attention_tokens"] for block in shown["blocks"]]
    assert tokens == [wanted["tokens"]] * 24 + [2]


def test_the_parts_of_a_vit_b16() -> None:
    name = "vit_base_patch16_224"
    model: Any = Network(name=name, glsim=GLSimOptions()).build(200, meta=True)
    for part in ("aggregator", "norm", "head"):
        assert count_params(getattr(model, part)) == GOLDEN["parts"][part]
    assert model.crop_cls.numel() == GOLDEN["parts"]["crop_cls"]
    assert model.aggregator.attn.num_heads == 12
    shared = Network(name=name, glsim=GLSimOptions(crop_cls="shared")).build(200, meta=True)
    assert count_params(model) - count_params(shared) == GOLDEN["parts"]["crop_cls"]


def test_show_says_it_in_words(run_cli: Callable) -> None:
    done = run_cli("models", "show", "vitfs_nano", "--glsim", "--image-size", 128)
    assert "block 23: 68 tokens" in done.out
    assert "block 24: 2 tokens, MLP 2" in done.out


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("size", [224, 448, 768, 1024])
def test_the_papers_first_table(mechanism: Any, size: int) -> None:
    ops = selection_ops(mechanism, size)
    found = [ops, 100 * ops / backbone_macs(size, 200)]
    for value, printed in zip(found, GOLDEN["selection"][mechanism][size], strict=False):
        digit = Decimal(printed)
        unit = Decimal(1).scaleb(digit.as_tuple().exponent)
        assert abs(Decimal(value) - digit) <= Decimal("0.6") * unit


def test_what_glsim_itself_costs() -> None:
    assert selection_ops("gls", 224) == GOLDEN["gls_ops"]


def scores(chosen: list[int], count: int = 196) -> torch.Tensor:
    values = torch.full((1, count), -0.5)
    values[0, chosen] = torch.linspace(0.9, 0.5, len(chosen))
    return values


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("row", range(5))
def test_the_box_rule(closed: bool, row: int) -> None:
    wanted = GOLDEN["closed_boxes" if closed else "boxes"][row]
    chosen = wanted["chosen"]
    (box,) = boxes_of(scores(chosen), 14, 224, len(chosen), closed=closed).tolist()
    assert [box[1], box[3]] == wanted["rows"]
    assert [box[0], box[2]] == wanted["columns"]


@given(st.sets(st.integers(0, 48), min_size=1, max_size=49), st.booleans())
def test_every_box_follows_the_rule(chosen: set[int], closed: bool) -> None:
    grid, patch = 7, 16
    found = boxes_of(scores(sorted(chosen), 49), grid, 112, len(chosen), closed=closed)[0].tolist()
    for axis, places in enumerate(([i % grid for i in chosen], [i // grid for i in chosen])):
        first, last = min(places), max(places)
        end = patch * (last + 1) if closed else max(patch * last, patch * first + patch)
        assert found[axis] == patch * first
        assert found[axis + 2] == min(end, 112)


@given(
    st.tuples(*[st.integers(0, 47)] * 4),
    st.sampled_from(FORMS),
)
def test_the_crop_is_the_slice_stretched(edges: tuple[int, ...], form: CropForm) -> None:
    left, right = sorted(edges[:2])
    top, bottom = sorted(edges[2:])
    right, bottom = right + 1, bottom + 1
    image = pictures(1, 48)
    found = crop(image, torch.tensor([[left, top, right, bottom]]).float(), form)
    cut = image[:, :, top:bottom, left:right]
    wanted = F.interpolate(cut, (48, 48), mode="bilinear", align_corners=True)
    assert found.shape == image.shape
    assert (found - wanted).abs().max() < 2e-4


def test_similarity_is_the_cosine() -> None:
    summary, patches = torch.randn(3, 8), torch.randn(3, 5, 8)
    patches[0, 0] = 0
    wanted = F.cosine_similarity(summary[:, None], patches, dim=2, eps=1e-8)
    assert torch.allclose(similarity(summary, patches), wanted, atol=1e-6)


@pytest.mark.parametrize("name", BACKBONES)
def test_similarity_is_of_what_the_final_norm_gives(name: str) -> None:
    model = built(name)
    images = pictures()
    backbone: Any = model.backbone
    with torch.inference_mode():
        found = model.look(images)
        features = backbone.forward_features(images)
    whole = features.mean(dim=1) if name == "vitfs_nano" else features[:, 0]
    patches = features if name == "vitfs_nano" else features[:, 1:]
    wanted = F.cosine_similarity(whole[:, None], patches, dim=2)
    assert torch.allclose(found.similarity.flatten(1), wanted, atol=1e-5)
    assert GLSimOptions().top_o == 8
    best = [set(row.tolist()) for row in wanted.topk(8, dim=1).indices]
    for box, chosen in zip(found.region.tolist(), best, strict=True):
        columns, rows = [16 * (i % 6) for i in chosen], [16 * (i // 6) for i in chosen]
        assert box[:2] == [min(columns), min(rows)]
        assert box[2:] == [max(max(columns), box[0] + 16), max(max(rows), box[1] + 16)]


def test_registers_are_no_patches() -> None:
    model: Any = Network(
        name="vit_tiny_patch16_224", options={"depth": 2, "reg_tokens": 3}, glsim=GLSimOptions()
    ).build(5, SIZE)
    assert model.eval().look(pictures()).similarity.shape == (2, 6, 6)


def test_the_class_token_of_the_crop() -> None:
    separate = built()
    shared = built(crop_cls="shared")
    assert separate.crop_cls is not None
    assert torch.equal(separate.crop_cls, separate.backbone.cls_token)
    assert shared.crop_cls is None
    shared.load_state_dict(separate.state_dict(), strict=False)
    images = pictures()
    with torch.inference_mode():
        assert torch.equal(separate(images), shared(images))
        separate.crop_cls.add_(torch.randn_like(separate.crop_cls))
        assert (separate(images) - shared(images)).abs().max() > 1e-3
    assert built("vitfs_nano").crop_cls is None


def test_gradients_reach_both_passes_and_no_box() -> None:
    model = built().train()
    images = pictures().requires_grad_()
    found = model.look(images)
    assert not found.region.requires_grad
    assert not found.similarity.requires_grad
    found.logits.sum().backward()
    both = model.backbone.patch_embed.proj.weight.grad.clone()
    assert all(p.grad is not None for p in model.parameters())
    model.zero_grad()
    model.selection.register_forward_hook(
        lambda module, inputs, output: output._replace(crop=torch.zeros_like(output.crop))
    )
    model(images).sum().backward()
    one = model.backbone.patch_embed.proj.weight.grad
    assert (both - one).abs().max() > 1e-3 * both.abs().max()


def test_the_loss_is_one_cross_entropy_of_the_fused_logits() -> None:
    model = built()
    seen: list[torch.Tensor] = []
    model.aggregator.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    batch = Batch(pictures(), torch.tensor([1, 3]), torch.arange(2))
    loss = CrossEntropy(LossSection(label_smoothing=0.0), Preprocess(size=SIZE)).loss(model, batch)
    fused = model.head(model.norm(model.aggregator(seen[0]))[:, 0])
    assert seen[0].shape == (2, 2, 192)
    assert torch.allclose(loss, F.cross_entropy(fused, batch.labels))


def test_a_head_starts_at_zero_unless_told_otherwise() -> None:
    zero = Network(name=VIT, glsim=GLSimOptions(), options={"depth": 1}).build(5, SIZE)
    assert not zero(pictures()).any()
    assert built()(pictures()).abs().max() > 0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", BACKBONES)
def test_the_form_for_export_answers_alike(name: str, form: CropForm) -> None:
    model = built(name)
    other: Any = folded(model, crop_form=form)
    images = pictures(4)
    with torch.inference_mode():
        wanted, found = model.look(images), other.look(images)
    assert torch.equal(wanted.region, found.region)
    scale = wanted.logits.abs().max()
    assert (wanted.logits - found.logits).abs().max() < 1e-4 * scale
    assert torch.allclose(wanted.similarity, found.similarity, atol=1e-5)


def test_the_crops_last_block_works_for_the_class_token_alone() -> None:
    model: Any = folded(built())
    seen: list[int] = []
    model.backbone.blocks[-1].mlp.register_forward_pre_hook(lambda _, x: seen.append(x[0].shape[1]))
    model(pictures(1))
    assert seen == [37, 1]


@pytest.mark.parametrize("name", BACKBONES)
def test_weights_of_a_run_and_of_a_bare_backbone(name: str, tmp_path: Path) -> None:
    extra = {"depth": 2} if name == VIT else {}
    model = built(name)
    save_file(model.state_dict(), tmp_path / "run.safetensors")
    options = GLSimOptions(zero_head=False)
    again = (
        Network(name=name, options=extra, weights=str(tmp_path / "run.safetensors"), glsim=options)
        .build(5, SIZE)
        .eval()
    )
    assert torch.equal(again(pictures()), model(pictures()))
    bare = Network(name=name, options=extra).build(9, SIZE)
    save_file(bare.state_dict(), tmp_path / "bare.safetensors")
    tuned: Any = Network(
        name=name, options=extra, weights=str(tmp_path / "bare.safetensors"), glsim=options
    ).build(5, SIZE)
    for key, value in tuned.backbone.state_dict().items():
        assert torch.equal(value, bare.state_dict()[key])
    with pytest.raises(InputError, match=r"do not fit this GLSim: head\.(bias|weight)"):
        Network(
            name=name, options=extra, weights=str(tmp_path / "run.safetensors"), glsim=options
        ).build(7, SIZE)


def test_another_input_size_of_the_same_weights() -> None:
    model = built("vitfs_nano")
    assert model.look(pictures(1, 128)).similarity.shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"top_o": 0}, r"top_o 0; expected greater than or equal to 1"),
        ({"top_o": "many"}, r"GLSim: top_o 'many'; expected a valid integer"),
        ({"crop_cls": "none"}, r"GLSim: crop_cls 'none'; expected 'shared' or 'separate'"),
        ({"topo": 8}, r"GLSim: topo 8"),
    ],
)
def test_odd_settings_are_one_line(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        GLSimOptions.checked(**options)
    assert len(str(caught.value).splitlines()) == 1


def test_more_patches_than_there_are_cannot_be_chosen() -> None:
    with pytest.raises(InputError, match=r"top_o 37 of 36 patches; expected at most 36"):
        built(top_o=37)
    assert built(top_o=36).look(pictures(1)).region.tolist() == [[0, 0, 80, 80]]
    model = built("vitfs_nano", top_o=20)
    with pytest.raises(InputError, match=r"top_o 20 of 16 patches"):
        model(pictures(1, 64))


def test_an_oblong_input_is_refused() -> None:
    model = built("vitfs_nano")
    with pytest.raises(InputError, match=r"an input of 64 x 96 px; expected a square"):
        model(torch.zeros(1, 3, 96, 64))
    with pytest.raises(InputError, match=r"GLSim: 4 x 6 patches; expected a square input"):
        Network(name="vitfs_nano", options={"img_size": (96, 64)}, glsim=GLSimOptions()).build(5)
    with pytest.raises(InputError, match=r"oblong patches; expected square ones"):
        Network(
            name=VIT, options={"patch_size": (8, 16), "img_size": (32, 64)}, glsim=GLSimOptions()
        ).build(5, 64)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("resnet18", {}, "ResNet with GLSim"),
        (VIT, {"global_pool": "avg"}, "that classifies its class token"),
        ("vitfs_nano", {"token_select": "first_s"}, "token_select first_s with GLSim"),
        ("deit_tiny_distilled_patch16_224", {}, "with GLSim"),
    ],
)
def test_a_backbone_that_cannot_look_twice(name: str, options: Any, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        Network(name=name, options=options, glsim=GLSimOptions()).build(5, meta=True)
    assert len(str(caught.value).splitlines()) == 1


def test_one_thing_at_a_time() -> None:
    with pytest.raises(InputError, match="GLSim with token reduction; expected one or the other"):
        Network(name=VIT, glsim=GLSimOptions(), reduction=Reduction(keep_rate=0.5)).build(5)
    with pytest.raises(InputError, match="GLSim with a CAL teacher"):
        Network(name=VIT, glsim=GLSimOptions(), attention_maps=4).build(5)


def test_what_decays() -> None:
    assert {"crop_cls", "backbone.pos_embed", "backbone.cls_token"} <= built().no_weight_decay()


def test_macs_grow_by_no_more_than_the_second_pass() -> None:
    plain = Network(name="vitfs_nano").build(5, SIZE, meta=True)
    once = summarize(plain, "x", SIZE, 5).gmacs
    both = Network(name="vitfs_nano", glsim=GLSimOptions()).build(5, SIZE, meta=True)
    assert summarize(both, "x", SIZE, 5).gmacs == pytest.approx(2 * once, rel=0.01)


def test_boxes_of_a_batch_do_not_touch_each_other() -> None:
    model = built()
    images = pictures(3)
    with torch.inference_mode():
        together = model.look(images).region
        alone = torch.cat([model.look(image[None]).region for image in images])
    assert torch.equal(together, alone)
    assert len(np.unique(together.numpy(), axis=0)) > 1


@pytest.mark.parametrize("size", [224, 448])
def test_the_papers_recipes(size: int) -> None:
    recipe = read_recipe(f"glsim-{size}")
    assert recipe.model.glsim == GLSimOptions(top_o=8, crop_cls="separate")
    assert round(recipe.eval.image_size / recipe.eval.crop_fraction) == int(1.34 * size)
    optimizer = recipe.optimizer
    assert (optimizer.name, optimizer.nesterov, optimizer.lr) == ("sgd", True, 0.01)
    assert (optimizer.weight_decay, optimizer.clip_norm, recipe.batch_size) == (0, 1, 8)
