from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import yaml
from torch import Tensor, nn

from edge_fgir import InputError
from edge_fgir.models import Network, summarize
from edge_fgir.models.reduction import (
    METHODS,
    ReducedViT,
    Reduction,
    TransformerShape,
    macs,
    make_schedule,
)
from edge_fgir.models.reduction.cla import CLAHead, FoldedCLA
from edge_fgir.models.reduction.methods.ats import sample
from edge_fgir.models.reduction.methods.dpcknn import cluster
from edge_fgir.models.reduction.methods.dynamicvit import DynamicViT
from edge_fgir.models.reduction.methods.evit import EViT
from edge_fgir.models.reduction.stage import ReductionStage
from edge_fgir.models.reduction.tokens import Tokens, attend, attend_openly
from edge_fgir.models.transformer import Layout
from edge_fgir.runs import LossSection
from edge_fgir.runtime import Preprocess
from edge_fgir.training.methods import Batch, CrossEntropy
from edge_fgir.training.processes import Step

pytestmark = pytest.mark.unit

GOLDEN = yaml.safe_load((Path(__file__).parents[1] / "golden" / "clca.yaml").read_text())
BASE = "vit_base_patch16_224"
REDUCING = [method for method in METHODS if method != "none"]
SETTINGS = [
    (method, size, rate, clca)
    for method in REDUCING
    for size in (224, 448)
    for rate in (0.1, 0.25, 0.5, 0.7, 0.9)
    for clca in (False, True)
]
SEEN = {False: (0, 3, 6, 9), True: (0, 3, 4, 6, 7, 9, 10, 11)}
"""Blocks whose MLP the golden token counts speak of."""


def settings(method: str, rate: float, clca: bool = False, **more: Any) -> Reduction:
    return Reduction(method=method, keep_rate=rate, cla=clca, clr_tokens=int(clca), **more)


def golden(kind: str, method: str, size: int, rate: float, clca: bool) -> Any:
    return GOLDEN[kind]["clca" if clca else "base"][method][size][rate]


@pytest.mark.parametrize(("method", "size", "rate", "clca"), SETTINGS)
def test_tokens_and_macs_are_the_papers(method: str, size: int, rate: float, clca: bool) -> None:
    reduction = settings(method, rate, clca, reference_counts=True)
    patches = (size // 16) ** 2
    schedule = make_schedule(reduction, patches, prefix=1, depth=12)
    blocks = SEEN[clca]
    assert [schedule.blocks[b].mlp for b in blocks] == golden("tokens", method, size, rate, clca)
    counted = macs(schedule, reduction, patches, TransformerShape(768, 12, 16, 200)) / 1e9
    assert counted == pytest.approx(golden("macs", method, size, rate, clca), rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "size", "rate", "clca"), SETTINGS)
def test_the_network_does_what_the_schedule_says(
    method: str, size: int, rate: float, clca: bool
) -> None:
    literal = golden("tokens", method, size, rate, clca)
    # With no token left the authors' own network has nothing to pool.
    reference = method == "tome" or 1 not in literal
    reduction = settings(method, rate, clca, reference_counts=reference)
    model = Network(name=BASE, reduction=reduction).build(200, size, meta=True)
    found = summarize(model, BASE, size, 200)
    schedule = model.schedule(model.patches)
    assert [(b.attention_tokens, b.mlp_tokens) for b in found.blocks] == [
        (b.attention, b.mlp) for b in schedule.blocks
    ]
    if reference:
        seen = [found.blocks[b].mlp_tokens for b in SEEN[clca]]
        assert seen == literal
    expected = macs(schedule, reduction, model.patches, TransformerShape(768, 12, 16, 200)) / 1e9
    if method == "dpcknn":
        expected += sum(_clustering(stage) for stage in schedule.stages) / 1e9
    assert found.gmacs == pytest.approx(expected, rel=5e-3)


def _clustering(stage: Any) -> int:
    n = stage.tokens - 1 - stage.suffix
    return n * n * 768 + (stage.kept - 1 - stage.suffix) * n * 769


@pytest.mark.parametrize("size", [224, 448])
@pytest.mark.parametrize("clca", [False, True])
def test_without_reduction_it_is_the_plain_network(size: int, clca: bool) -> None:
    model = Network(name=BASE, reduction=settings("none", 1.0, clca)).build(200, size, meta=True)
    found = summarize(model, BASE, size, 200)
    expected = GOLDEN["plain_macs"][size]["clca" if clca else "base"]
    assert found.gmacs == pytest.approx(expected, rel=1e-3)
    more = (0, 0, 0, 0, 6, 6, 6, 12, 12, 12, 18, 20)
    start = (size // 16) ** 2 + 1 + clca
    assert [b.attention_tokens for b in found.blocks] == [start + (m if clca else 0) for m in more]


@pytest.mark.parametrize(
    ("classes", "more"),
    [(80, 72_960), (198, 163_584), (200, 165_120), (1110, 864_000), (1938, 1_499_904)],
)
@pytest.mark.parametrize(
    ("name", "positions"), [("deit3_base_patch16_224", 0), ("vit_base_patch16_224", 768)]
)
def test_clca_adds_the_papers_parameters(
    name: str, positions: int, classes: int, more: int
) -> None:
    def size(reduction: Reduction | None) -> int:
        model = Network(name=name, reduction=reduction).build(classes, meta=True)
        return sum(p.numel() for p in model.parameters())

    assert size(settings("evit", 0.5, True)) - size(None) == more + positions


@pytest.mark.parametrize(
    ("method", "size", "more"),
    [
        ("evit", 224, 0),
        ("topk", 224, 0),
        ("tome", 224, 0),
        ("ats", 224, 0),
        ("dpcknn", 224, 2307),
        ("dynamicvit", 224, 2_885_190),
        ("sit", 224, 956_334),
        ("sit", 448, 1_154_609),
        ("patchmerger", 224, 135_936),
        ("patchmerger", 448, 531_456),
    ],
)
def test_reducers_have_the_papers_parameters(method: str, size: int, more: int) -> None:
    model = Network(name=BASE, reduction=settings(method, 0.5)).build(10, size, meta=True)
    assert sum(p.numel() for p in model.reducers.parameters()) == more  # type: ignore[misc]


def tiny(reduction: Reduction | None, size: int = 96, name: str = "vit_tiny_patch16_224") -> Any:
    torch.manual_seed(0)
    model = Network(name=name, reduction=reduction).build(7, size)
    for parameter in model.parameters():
        if parameter.ndim < 2:
            nn.init.normal_(parameter, 1.0 if parameter.mean() > 0.5 else 0.0, 0.1)
    return model.eval()


def images(count: int = 3, size: int = 96) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "vitfs_nano", "deit3_small_patch16_224"])
def test_keeping_everything_is_the_backbone(name: str) -> None:
    model = tiny(settings("evit", 1.0), name=name)
    with torch.inference_mode():
        torch.testing.assert_close(model(images()), model.backbone(images()), atol=2e-5, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("clca", [False, True])
@pytest.mark.parametrize(
    ("method", "rate"),
    [
        (method, rate)
        for method in REDUCING
        for rate in (0.1, 0.25, 0.5, 0.7, 0.9)
        if rate >= 0.5 or method != "tome"
    ],
)
@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "vitfs_nano"])
def test_answers_are_finite_and_do_not_depend_on_the_batch(
    name: str, method: str, rate: float, clca: bool
) -> None:
    model = tiny(settings(method, rate, clca), name=name)
    with torch.inference_mode():
        together = model(images())
        assert together.isfinite().all()
        assert together.std() > 0
        alone = torch.cat([model(one[None]) for one in images()])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


# Neither ToMe (it pairs neighbours) nor ATS (it samples along a running sum).
@pytest.mark.parametrize("method", ["evit", "topk", "dpcknn", "sit", "patchmerger"])
def test_the_order_of_patches_does_not_matter(method: str) -> None:
    model = tiny(settings(method, 0.5))
    embed, order = model.embed, torch.randperm(36) + 1
    with torch.inference_mode():
        straight = model(images())
        model.embed = lambda x: _shuffled(*embed(x), order)  # type: ignore[call-arg]
        torch.testing.assert_close(model(images()), straight, atol=1e-4, rtol=1e-4)


def _shuffled(tokens: Tokens, patches: int, order: Tensor) -> tuple[Tokens, int]:
    return replace(tokens, x=torch.cat((tokens.x[:, :1], tokens.x[:, order]), dim=1)), patches


def first_reduction(method: str, rate: float = 0.5) -> tuple[Any, Any, Any, Tokens]:
    """Return a model, its first reducing block and stage, and tokens that enter the block."""
    model = tiny(settings(method, rate))
    x = torch.randn(2, 37, 192, generator=torch.Generator().manual_seed(3))
    return model, model.backbone.blocks[3], model.schedule(36).stages[0], Tokens(x)


def attention_map(block: Any, tokens: Tokens) -> tuple[Tensor, Tensor, Tensor]:
    """Return the residual stream after attention, the attention map and the keys, by hand."""
    attn, x = block.attn, block.norm1(tokens.x)
    q, k, v = attn.qkv(x).reshape(*x.shape[:2], 3, attn.num_heads, -1).permute(2, 0, 3, 1, 4)
    weights = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).softmax(-1)
    y = attn.proj((weights @ v).transpose(1, 2).flatten(2))
    return tokens.x + y, weights, k


def test_evit_keeps_what_the_class_token_sees_and_sums_up_the_rest() -> None:
    model, block, stage, tokens = first_reduction("evit")
    with torch.inference_mode():
        after = model.reducers["3"](block, tokens, stage).x
        x, weights, _ = attention_map(block, tokens)
    scores = weights.mean(1)[:, 0, 1:]
    order = scores.argsort(dim=1, descending=True)
    for image in range(2):
        kept, rest = order[image, :18], order[image, 18:]
        fused = (scores[image, rest, None] * x[image, rest + 1]).sum(0)
        expected = torch.cat((x[image, :1], x[image, kept + 1], fused[None]))
        torch.testing.assert_close(after[image], expected, atol=1e-5, rtol=1e-5)


def test_without_a_class_token_what_all_tokens_see_is_kept() -> None:
    _, block, _, tokens = first_reduction("evit")
    stage = ReductionStage(block=3, tokens=37, kept=4 + 9, suffix=0)
    with torch.inference_mode():
        after = EViT(Layout(prefix=4, class_token=False), fuse=False)(block, tokens, stage).x
        x, weights, _ = attention_map(block, tokens)
    best = weights.mean((1, 2))[:, 4:].argsort(dim=1, descending=True)[:, :9]
    for image in range(2):
        expected = torch.cat((x[image, :4], x[image, best[image] + 4]))
        torch.testing.assert_close(after[image], expected, atol=1e-5, rtol=1e-5)


def test_topk_leaves_the_rest_out() -> None:
    evit, block, stage, tokens = first_reduction("evit")
    topk, _, shorter, _ = first_reduction("topk")
    with torch.inference_mode():
        fused = evit.reducers["3"](block, tokens, stage).x
        plain = topk.reducers["3"](block, tokens, shorter).x
    torch.testing.assert_close(plain, fused[:, :-1])


def test_tome_merges_the_most_similar_pairs_by_their_sizes() -> None:
    model, block, stage, tokens = first_reduction("tome", 0.7)
    sizes = torch.rand(2, 37, 1, generator=torch.Generator().manual_seed(4)) * 3 + 1
    given = replace(tokens, sizes=sizes)
    with torch.inference_mode():
        found = model.reducers["3"](block, given, stage)
        x = attend(block, given)[0].x
        _, _, keys = attention_map(block, tokens)
    metric = nn.functional.normalize(keys.mean(1), dim=-1)
    assert found.sizes is not None
    for image in range(2):
        likeness = metric[image, ::2] @ metric[image, 1::2].T
        likeness[0] = -torch.inf
        best, partner = likeness.max(dim=1)
        order = best.argsort(descending=True)
        merges = stage.tokens - stage.kept
        merged, rest = order[:merges], order[merges:].sort().values
        z = sizes[image, 1::2].clone()
        total = x[image, 1::2] * z
        for source in merged.tolist():
            total[partner[source]] += x[image, 2 * source] * sizes[image, 2 * source]
            z[partner[source]] += sizes[image, 2 * source]
        expected = torch.cat((x[image, ::2][rest], total / z))
        torch.testing.assert_close(found.x[image], expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(
            found.sizes[image], torch.cat((sizes[image, ::2][rest], z)), atol=1e-5, rtol=1e-5
        )
    assert found.sizes.sum() == pytest.approx(float(sizes.sum()), rel=1e-5)


def test_tome_attends_in_proportion_to_size() -> None:
    _, block, _, tokens = first_reduction("tome")
    twice = Tokens(torch.cat((tokens.x, tokens.x[:, -1:]), dim=1))
    sizes = torch.ones(2, 37, 1)
    sizes[:, -1] = 2
    with torch.inference_mode():
        merged = attend(block, replace(tokens, sizes=sizes))[0].x
        apart = attend(block, twice)[0].x
    torch.testing.assert_close(merged, apart[:, :-1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("samples", [3, 9, 17])
def test_ats_draws_the_reference_set(samples: int) -> None:
    significance = torch.rand(4, 18, generator=torch.Generator().manual_seed(5)) ** 3
    found = sample(significance, None, samples, 1)
    share = significance / significance.sum(1, keepdim=True)
    for image in range(4):
        total = share[image].cumsum(0)
        grid = [(2 * i - 1) / (2 * (samples + 1)) for i in range(1, samples + 1)]
        expected = {min(range(18), key=lambda j: abs(float(total[j]) - u)) for u in grid}
        assert set(found[image].tolist()) == expected
        assert found[image].tolist() == sorted(found[image].tolist())


def test_ats_never_draws_a_copy_again() -> None:
    significance = torch.rand(4, 18, generator=torch.Generator().manual_seed(5))
    real = torch.ones(4, 19)
    real[:, 1::2] = 0
    drawn = sample(significance, real, 17, 1)
    assert (real.gather(1, drawn + 1) == 1).all()


def test_ats_copies_are_seen_by_no_one() -> None:
    model, block, stage, tokens = first_reduction("ats", 0.9)
    with torch.inference_mode():
        block.attn.qkv.weight.mul_(8)  # a few tokens get most of the attention
        after = model.reducers["3"](block, tokens, stage)
        assert after.real is not None
        assert (after.real == 0).any()
        counts = after.real.sum(1)
        assert (counts <= stage.kept).all()
        nextblock = model.backbone.blocks[4]
        padded = attend(nextblock, after)[0].x
        for image in range(2):
            real = after.real[image] == 1
            alone = attend(nextblock, Tokens(after.x[image : image + 1, real]))[0].x
            torch.testing.assert_close(padded[image : image + 1, real], alone, atol=1e-5, rtol=1e-5)


def test_clusters_are_those_of_density_peaks() -> None:
    x = torch.randn(2, 23, 16, generator=torch.Generator().manual_seed(6))
    found = cluster(x, 5)
    for image in range(2):
        d = torch.cdist(x[image], x[image]) / 4
        density = [float((-(d[i].sort().values[:5] ** 2).mean()).exp()) for i in range(23)]
        separation = [
            min(
                (float(d[i, j]) for j in range(23) if density[j] > density[i]),
                default=float(d.max()),
            )
            for i in range(23)
        ]
        score = [a * b for a, b in zip(density, separation, strict=True)]
        centres = sorted(range(23), key=lambda i: -score[i])[:5]
        expected = [
            centres.index(i)
            if i in centres
            else min(range(5), key=lambda c: float(d[centres[c], i]))
            for i in range(23)
        ]
        assert found[image].argmax(dim=0).tolist() == expected
    assert (found.sum(dim=1) == 1).all()


def test_dynamicvit_masks_in_training_and_removes_in_evaluation() -> None:
    model = tiny(settings("dynamicvit", 0.5))
    lengths: list[int] = []
    for block in model.backbone.blocks:
        block.mlp.register_forward_pre_hook(lambda _, x: lengths.append(x[0].shape[1]))
    model.train()
    torch.manual_seed(0)
    model(images()).sum().backward()
    assert lengths == [37] * 12
    penalty = model.take_penalty()
    assert penalty is not None
    stages = [model.reducers[str(b)] for b in (3, 6, 9)]
    assert [stage.share for stage in stages] == [0.5, 0.25, 0.125]
    assert model.take_penalty() is None
    lengths.clear()
    with torch.inference_mode():
        model.eval()(images())
    assert lengths == [37] * 3 + [19] * 3 + [10] * 3 + [5] * 3


def test_dynamicvits_penalty_is_twice_the_mean_squared_distance_from_the_targets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = tiny(settings("dynamicvit", 0.5)).train()
    always = torch.tensor([0.0, -1e9])
    monkeypatch.setattr(DynamicViT, "predict", lambda self, x, kept: always.expand(*x.shape[:2], 2))
    expected = 2 * (0.5**2 + 0.75**2 + 0.875**2) / 3
    for forwards in (1, 2):
        for _ in range(forwards):
            model(images())
        penalty = model.take_penalty()
        assert penalty is not None
        assert float(penalty) == pytest.approx(expected)
    batch = Batch(images(), torch.tensor([0, 1, 2]), torch.arange(3))
    method = CrossEntropy(LossSection(), Preprocess(size=96))
    loss = Step(model, method)(batch)
    assert float((loss - method.loss(model, batch)).detach()) == pytest.approx(expected, abs=1e-5)


def test_dynamicvit_learns_how_many_to_keep() -> None:
    model = tiny(settings("dynamicvit", 0.5)).train()
    torch.manual_seed(0)
    model(images())
    penalty = model.take_penalty()
    assert penalty is not None
    penalty.backward()
    gradients = [p.grad for p in model.reducers["3"].parameters()]
    assert all(g is not None and g.isfinite().all() for g in gradients)
    assert any(float(g.abs().max()) > 0 for g in gradients if g is not None)


def test_a_masked_token_is_seen_by_itself_alone() -> None:
    _, block, _, tokens = first_reduction("dynamicvit")
    kept = torch.ones(2, 37, 1)
    kept[:, 20:] = 0
    block.train()
    with torch.no_grad():
        masked = attend(block, replace(tokens, kept=kept))[0].x
        short = attend(block, Tokens(tokens.x[:, :20]))[0].x
    torch.testing.assert_close(masked[:, :20], short, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("method", REDUCING)
@pytest.mark.parametrize("which", ["attn_drop", "proj_drop"])
def test_dropouts_of_the_attention_are_kept(method: str, which: str) -> None:
    """With all of it dropped, attention adds its bias alone, or nothing."""
    model, block, stage, tokens = first_reduction(method)
    getattr(block.attn, which).p = 1.0
    block.train()
    masked = replace(tokens, kept=torch.ones(2, 37, 1))
    added = block.attn.proj.bias if which == "attn_drop" else torch.zeros(192)
    with torch.no_grad():
        for given in (tokens, masked):
            torch.testing.assert_close(
                attend(block, given)[0].x - tokens.x, added.expand(2, 37, -1)
            )
        found = attend_openly(block, tokens)[0].x - tokens.x
        torch.testing.assert_close(found, added.expand(2, 37, -1))
        if method == "ats":
            after = model.reducers["3"](block, tokens, stage).x[:, 0] - tokens.x[:, 0]
            torch.testing.assert_close(after, added.expand(2, -1))


def test_the_cache_follows_the_paper() -> None:
    model = tiny(settings("none", 1.0, True))
    blocks = [_Tagging(index) for index in range(12)]
    model.backbone.blocks = nn.ModuleList(blocks)
    with torch.inference_mode():
        model(images(1))
    seen = [block.mlp.seen[0, :, 0] for block in blocks]
    assert [len(x) for x in seen] == [38] * 4 + [44] * 3 + [50] * 3 + [56, 58]
    patches, clr = seen[0][1:37].mean(), seen[0][37]
    # After block i every token has gained 1 + 2 + ... + 2^i.
    gained = [2.0 ** (i + 1) - 1 for i in range(12)]
    first = [token + gained[i] for i in range(3) for token in (patches, clr)]
    torch.testing.assert_close(seen[4][38:], torch.stack(first))
    # From block 3 on the recovered copy, cached after block 2, plays the cache token's role, and
    # the first one is pooled like a patch.
    pooled = (36 * patches + clr) / 37
    copy = [clr + gained[2], clr + gained[2] + 16, clr + gained[2] + 48]
    second = [token for i in range(3) for token in (pooled + gained[3 + i], copy[i])]
    torch.testing.assert_close(seen[7][44:], torch.stack(second), atol=1e-4, rtol=1e-5)


class _Tagging(nn.Module):
    """A block that adds 2^index to every token."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.norm1 = self.norm2 = self.drop_path1 = self.drop_path2 = self.ls2 = nn.Identity()
        self.ls1 = _Constant(0.0)
        self.attn = timm.layers.Attention(192, 3)
        self.mlp = _Constant(2.0**index)


class _Constant(nn.Module):
    """Answers a number, and keeps what it was asked."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value
        self.seen: Tensor

    def forward(self, x: Tensor) -> Tensor:
        self.seen = x
        return torch.full_like(x, self.value)


def test_folded_cla_is_exact() -> None:
    torch.manual_seed(0)
    head = CLAHead(24, 4, 5).eval()
    for norm in (head.norm_in, head.norm_out):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    x = torch.randn(3, 24, 4)
    with torch.inference_mode():
        torch.testing.assert_close(FoldedCLA(head)(x), head(x), atol=1e-5, rtol=1e-5)


def test_cla_classifies_raw_class_tokens() -> None:
    model = tiny(settings("evit", 0.5, True))
    assert isinstance(model.backbone.norm, nn.Identity)
    seen: list[Tensor] = []
    model.cla.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    with torch.inference_mode():
        model(images())
    assert seen[0].shape == (3, 192, 4)


def test_cache_tokens_start_as_the_class_token() -> None:
    model = tiny(None)
    reduced = ReducedViT(model, Reduction(clr_tokens=2), 7)
    assert torch.equal(reduced.clr[:, 0], model.cls_token[:, 0])
    assert torch.equal(reduced.clr[:, 1], model.cls_token[:, 0])
    assert reduced.clr_positions is not None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"keep_rate": 0.0}, r"keep_rate 0; expected above 0 and at most 1; the nearest is 0\.1"),
        ({"keep_rate": 1.5}, r"keep_rate 1\.5; expected above 0 and at most 1; the nearest is 1$"),
        ({"keep_rate": float("nan")}, "keep_rate nan; expected above 0"),
        (
            {"keep_rate": (0.5, 0.5)},
            "2 keep rates for 3 blocks that reduce; expected one number, or 3",
        ),
        ({"method": "tome", "keep_rate": 0.25}, r"keep_rate 0\.25 for tome.*the nearest is 0\.5"),
        ({"method": "none", "keep_rate": 0.5}, "expected a method, such as evit"),
        ({"blocks": (6, 3)}, "different blocks in ascending order"),
        ({"method": "nothing"}, "method 'nothing'; expected 'ats', 'dpcknn'"),
    ],
)
def test_settings_that_cannot_be_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Reduction.checked(**values)


@pytest.mark.parametrize(
    ("name", "size", "said"),
    [
        ("lrnet14", 64, "a timm VisionTransformer"),
        ("vit_base_patch16_siglip_224", 224, "class token"),
        (
            "deit_tiny_distilled_patch16_224",
            224,
            "2 tokens in front of the patches|VisionTransformer",
        ),
        ("vit_small_patch14_reg4_dinov2", 518, "register"),
    ],
)
def test_backbones_that_cannot_be_reduced_are_refused(name: str, size: int, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Network(name=name, reduction=Reduction(keep_rate=0.5)).build(5, size, meta=True)


@pytest.mark.parametrize("block", [11, 12])
def test_a_last_block_or_none_is_refused(block: int) -> None:
    with pytest.raises(InputError, match="blocks 1 to 10"):
        Network(
            name="vit_tiny_patch16_224", reduction=Reduction(keep_rate=0.5, blocks=(3, block))
        ).build(5, meta=True)


@pytest.mark.parametrize("name", [BASE, "vit_tiny_patch16_224"])
def test_patches_fill_the_picture(name: str) -> None:
    with pytest.raises(InputError, match=r"230 px.*a multiple of 16, such as 224"):
        Network(name=name, reduction=Reduction(keep_rate=0.5)).build(5, 230, meta=True)


PAPERS = {
    "vit_base_patch16_224.orig_in21k": 1,
    "deit_base_patch16_224.fb_in1k": 1,
    "deit3_base_patch16_224.fb_in1k": 0,
    "deit3_base_patch16_224.fb_in22k_ft_in1k": 0,
    "vit_base_patch16_224_miil.in21k": 1,
    "vit_base_patch16_224.dino": 1,
    "vit_base_patch16_224.mae": 1,
    "vit_base_patch16_clip_224.laion2b": 1,
}
"""The paper's backbones by timm tag, and whether the position table covers the class token; the
ninth, MoCo v3, has no tag: it is a ViT-B/16 from a file."""


@pytest.mark.parametrize("size", [224, 448])
@pytest.mark.parametrize("name", PAPERS)
def test_the_papers_backbones_can_be_reduced(name: str, size: int) -> None:
    reduction = settings("evit", 0.5, True)
    model = Network(name=name, reduction=reduction).build(200, size, meta=True)
    found = summarize(model, name, size, 200)
    assert found.gmacs == pytest.approx(golden("macs", "evit", size, 0.5, True), rel=1e-3)
    assert (model.clr_positions is not None) == bool(PAPERS[name])
