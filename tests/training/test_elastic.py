"""One step at several sizes: what is added to the method's loss, and what it teaches."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from runs import RECIPE, write_recipe
from torch import Tensor, nn

from edge_fgir import InputError
from edge_fgir.data import open_data
from edge_fgir.data.loaders import mixed_seed
from edge_fgir.models import Network
from edge_fgir.models.reduction import ReducedViT, Reduction, make_schedule
from edge_fgir.models.setting import Setting
from edge_fgir.runs import ElasticSection, LossSection, View
from edge_fgir.runtime import Preprocess
from edge_fgir.training import read_recipe, train
from edge_fgir.training.elastic import Elastic, check_sizes, settings_of
from edge_fgir.training.methods import TGDA, Batch, CrossEntropy, Outcome
from edge_fgir.training.soft_targets import SoftTargets
from edge_fgir.training.student_size import to_student_size

pytestmark = pytest.mark.unit

SIZES = (24, 16, 32, 20, 28)


class Net(nn.Module):
    """A network for any size that remembers which it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.seen: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.shape[-1])
        return self.conv(x).tanh().mean(dim=(2, 3)) * 5


class Told:
    """Soft targets that are always the same."""

    views: tuple[View, ...] = ("crop",)

    def look(self, images: Tensor, indices: Tensor) -> SoftTargets:
        return SoftTargets(torch.ones(len(images), 4), images.flip(3), torch.eye(4)[indices])

    def state(self) -> dict[str, Tensor]:
        return {"told": torch.ones(1)}

    def load_state(self, state: dict[str, Tensor]) -> None:
        self.loaded = state


def make_batch() -> Batch:
    torch.manual_seed(0)
    return Batch(torch.randn(3, 3, 40, 40), torch.tensor([0, 1, 3]), torch.arange(3))


def judged(size: int) -> Preprocess:
    return Preprocess(size=size)


def section(sizes: Sequence[int] = SIZES, random_settings: int = 1) -> ElasticSection:
    return ElasticSection(image_sizes=tuple(sizes), random_settings=random_settings)


LOSS = LossSection(temperature=3)


def kl(model: nn.Module, images: Tensor, size: int, target: Tensor) -> Tensor:
    """9 KL(target || answer at ``size``) at the teacher's temperature, mean over the images."""
    answer = (model(to_student_size(images, judged(size))) / 3).log_softmax(1)
    softened = target / 3
    return 9 * (softened.softmax(1) * (softened.log_softmax(1) - answer)).sum(1).mean()


@pytest.mark.parametrize("random_settings", [0, 1, 3, 9])
def test_labels_reach_every_size_and_all_but_the_largest_learn_from_it(
    random_settings: int,
) -> None:
    model, batch = Net(), make_batch()
    elastic = Elastic(
        CrossEntropy(LOSS, judged(32)), section(random_settings=random_settings), LOSS, judged(32)
    )
    found = elastic.loss(model, batch)
    largest, smallest, *drawn = model.seen
    assert (largest, smallest) == (32, 16)
    assert len(drawn) == len(set(drawn)) == min(random_settings, 3)
    assert set(drawn) <= {20, 24, 28}

    def logits(size: int) -> Tensor:
        return model(to_student_size(batch.images, judged(size)))

    wanted = F.cross_entropy(logits(32), batch.labels, label_smoothing=0.1)
    for size in (16, *drawn):
        wanted = wanted + F.cross_entropy(logits(size), batch.labels, label_smoothing=0.1)
        wanted = wanted + kl(model, batch.images, size, logits(32).detach())
    assert found.item() == pytest.approx(wanted.item(), rel=1e-5)


def test_views_and_the_teacher_reach_every_size() -> None:
    model, batch = Net(), make_batch()
    elastic = Elastic(TGDA(Told(), LOSS, judged(32)), section((16, 32)), LOSS, judged(32))
    images = torch.cat([batch.images, batch.images.flip(3)])
    target = model(to_student_size(images, judged(32)))
    wanted = kl(model, images, 16, target)
    for size in (32, 16):
        wanted = wanted + TGDA(Told(), LOSS, judged(size)).loss(model, batch)
    assert elastic.loss(model, batch).item() == pytest.approx(wanted.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("sizes", "rates", "random_settings", "first"),
    [
        ((64, 48, 32), (1.0, 0.5, 0.25), 2, {Setting(48, 1.0), Setting(32, 1.0)}),
        ((64, 32), (1.0, 0.5), 1, {Setting(32, 1.0)}),
        ((64,), (1.0, 0.5, 0.25), 1, {Setting(64, 0.5)}),
        ((64, 32), (), 1, set()),
    ],
)
def test_of_the_settings_that_are_drawn_the_first_keeps_all_tokens(
    sizes: tuple[int, ...],
    rates: tuple[float, ...],
    random_settings: int,
    first: set[Setting],
) -> None:
    settings = ElasticSection(image_sizes=sizes, keep_rates=rates, random_settings=random_settings)
    elastic = Elastic(CrossEntropy(LOSS, judged(64)), settings, LOSS, judged(64))
    torch.manual_seed(0)
    asked = [elastic._settings(torch.device("cpu")) for _ in range(60)]
    assert {drawn[0] for drawn in asked} == {settings_of(sizes, rates, 64)[-1]}
    assert {drawn[1] for drawn in asked if len(drawn) > 1} == first
    if random_settings > 1:
        assert len({drawn[2] for drawn in asked}) == len(sizes) * len(rates) - 2
        assert all(len(set(drawn)) == len(drawn) for drawn in asked)


class Leaf:
    """A method whose answers are a parameter, to see what reaches it."""

    def __init__(self) -> None:
        self.logits = torch.randn(3, 4, requires_grad=True)

    def outcome(self, model: nn.Module, batch: Batch) -> Outcome:
        return Outcome([batch.images], [self.logits], lambda answers: answers[0].sum())

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.outcome(model, batch).loss

    def state(self) -> dict[str, Tensor]:
        return {}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Nothing."""


def test_the_largest_is_not_pulled_towards_the_small_ones() -> None:
    method, model = Leaf(), Net()
    Elastic(method, section(), LOSS, judged(32)).loss(model, make_batch()).backward()
    assert method.logits.grad is not None
    assert torch.equal(method.logits.grad, torch.ones(3, 4))
    assert model.conv.weight.grad is not None
    assert model.conv.weight.grad.abs().sum() > 0


def test_drawn_sizes_vary_and_follow_from_the_steps_number() -> None:
    model, batch = Net(), make_batch()
    elastic = Elastic(CrossEntropy(LOSS, judged(32)), section(), LOSS, judged(32))

    def drawn(step: int) -> int:
        model.seen.clear()
        torch.manual_seed(mixed_seed(0, step, 0))
        elastic.loss(model, batch)
        return model.seen[2]

    sizes = [drawn(step) for step in range(30)]
    assert set(sizes) == {20, 24, 28}
    assert [drawn(step) for step in range(30)] == sizes


def test_the_methods_state_is_kept() -> None:
    target_source = Told()
    elastic = Elastic(TGDA(target_source, LOSS, judged(32)), section(), LOSS, judged(32))
    assert elastic.state() == {"told": torch.ones(1)}
    elastic.load_state({"told": torch.zeros(1)})
    assert target_source.loaded == {"told": torch.zeros(1)}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["elastic.image_sizes=[16, 24]"], r"largest of elastic\.image_sizes is not .* 32"),
        (["elastic.image_sizes=[16, 40]"], r"largest of elastic\.image_sizes is not .* 32"),
        (["elastic.image_sizes=[32]"], r"two or more image_sizes or keep_rates"),
        (["elastic.image_sizes=[0, 32]"], r"elastic\.image_sizes"),
        (["elastic.image_sizes=[32, 32]"], r"elastic"),
        (["elastic.random_settings=-1"], r"elastic\.random_settings: "),
        (["method=cal", "model.attention_maps=4"], r"elastic is not for method cal"),
    ],
)
def test_recipes_that_cannot_be_are_refused(
    tmp_path: Path, overrides: list[str], message: str
) -> None:
    path = write_recipe(tmp_path / "r.yaml", elastic={"image_sizes": [16, 32]})
    assert read_recipe(str(path)).elastic == section((16, 32))
    with pytest.raises(InputError, match=message) as caught:
        read_recipe(str(path), overrides)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_an_elastic_run_trains(photos: Path, tmp_path: Path) -> None:
    path = write_recipe(
        tmp_path / "r.yaml",
        epochs=1,
        batch_size=24,
        elastic={"image_sizes": [16, 24, 32]},
        optimizer={**RECIPE["optimizer"], "ema_decay": 0.9},
    )
    summary = train(read_recipe(str(path)), open_data(str(photos)), tmp_path / "run")
    assert summary.steps == 3


def reduced() -> ReducedViT:
    torch.manual_seed(0)
    reduction = Reduction(method="evit", keep_rate=1.0, cla=True, clr_tokens=1)
    model = Network(name="vitfs_nano", reduction=reduction).build(4, 32)
    assert isinstance(model, ReducedViT)
    return model


def test_a_transformer_of_one_size_is_refused_and_a_flexible_one_is_not() -> None:
    name, section = "vit_tiny_patch16_224", ElasticSection(image_sizes=(32, 64))
    reduction = Reduction(method="evit", keep_rate=0.5)
    for extra in ({}, {"reduction": reduction}):
        fixed = Network(name=name, **extra).build(3, 64)
        with pytest.raises(InputError, match=r"one input size.*dynamic_img_size=true"):
            check_sizes(fixed, section)
        flexible = Network(name=name, options={"dynamic_img_size": True}, **extra).build(3, 64)
        check_sizes(flexible, section)
        assert flexible(torch.zeros(1, 3, 32, 32)).shape == (1, 3)
    for name in ("vitfs_nano", "lrnet14"):
        check_sizes(Network(name=name).build(3), section)


def test_keep_rates_are_settings_too() -> None:
    elastic = ElasticSection(keep_rates=(1.0, 0.25, 0.5), image_sizes=(64, 32), random_settings=9)
    found = settings_of(elastic.image_sizes, elastic.keep_rates, 64)
    assert found[0] == Setting(64, 1.0)
    assert found[-1] == Setting(32, 0.25)
    assert set(found) == {Setting(s, r) for s in (64, 32) for r in (1.0, 0.5, 0.25)}
    assert settings_of((), (), 48) == [Setting(48)]


def test_a_model_learns_to_answer_at_fewer_tokens_as_it_does_at_all() -> None:
    model = reduced()
    seen: list[int] = []
    model.backbone.blocks[11].mlp.register_forward_pre_hook(lambda _, x: seen.append(x[0].shape[1]))
    section = ElasticSection(keep_rates=(1.0, 0.25, 0.5), random_settings=1)
    Elastic(CrossEntropy(LOSS, judged(64)), section, LOSS, judged(64)).loss(
        model, make_batch()
    ).backward()
    tokens = [model.reduction.at(r) for r in (1.0, 0.25, 0.5)]
    counts = [make_schedule(t, 16, prefix=4, depth=12).blocks[11].mlp for t in tokens]
    assert seen == counts
    assert model.reduction.keep_rate == 1.0
    assert model.clr.grad is not None


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["elastic.keep_rates=[0.5, 0.25]"], r"largest of elastic\.keep_rates is not .* 1\.0"),
        (["elastic.keep_rates=[1, 1]"], r"names one twice"),
        (["elastic.keep_rates=[1, 0]"], r"elastic\.keep_rates"),
        (["model.reduction.method=sit"], r"one of ats, evit, tome, topk"),
        (["model.reduction=null"], r"one of ats, evit, tome, topk"),
        (["model.reduction.method=tome"], r"the nearest is 0\.5"),
    ],
)
def test_keep_rates_that_cannot_be_are_refused(
    tmp_path: Path, overrides: list[str], message: str
) -> None:
    model = {"name": "vitfs_nano", "reduction": {"method": "evit"}}
    path = write_recipe(tmp_path / "r.yaml", model=model, elastic={"keep_rates": [1, 0.25]})
    read_recipe(str(path))
    with pytest.raises(InputError, match=message) as caught:
        read_recipe(str(path), overrides)
    assert "\n" not in str(caught.value)
