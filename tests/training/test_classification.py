import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from edge_fgir.models.logit_adjustment import log_prior
from edge_fgir.runs import LossSection
from edge_fgir.runtime import Preprocess
from edge_fgir.training.classification import Criteria, make_criterion
from edge_fgir.training.methods import TGDA, Batch, CrossEntropy

pytestmark = pytest.mark.unit

COUNTS = (600, 60, 6)
NAMES = ("ce", "focal", "class_balanced", "logit_adjusted", "balanced_softmax", "ldam")


def loss_of(name: str, logits: Tensor, labels: Tensor, **options: float) -> Tensor:
    section = LossSection(classification=name, **{"label_smoothing": 0.0, **options})
    return make_criterion(section, COUNTS)(logits, labels)


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(8, 3, generator=torch.Generator().manual_seed(0)) * 2


LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 2, 2])


def test_ce_is_cross_entropy_with_smoothing(logits: Tensor) -> None:
    for smoothing in (0.0, 0.1):
        found = loss_of("ce", logits, LABELS, label_smoothing=smoothing)
        assert torch.equal(found, F.cross_entropy(logits, LABELS, label_smoothing=smoothing))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_weighs_by_what_is_not_yet_known(logits: Tensor, gamma: float) -> None:
    p = logits.softmax(1)[torch.arange(8), LABELS]
    expected = ((1 - p) ** gamma * -p.log()).mean()
    found = loss_of("focal", logits, LABELS, focal_gamma=gamma)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_has_a_gradient_where_all_is_known(gamma: float) -> None:
    sure = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)
    loss_of("focal", sure, torch.tensor([0]), focal_gamma=gamma).backward()
    assert sure.grad is not None
    assert sure.grad.isfinite().all()


@pytest.mark.parametrize("beta", [0.9, 0.999])
def test_class_balanced_weighs_by_effective_numbers(logits: Tensor, beta: float) -> None:
    effective = [sum(beta**n for n in range(count)) for count in COUNTS]
    weights = torch.tensor([1 / number for number in effective])
    losses = F.cross_entropy(logits, LABELS, reduction="none", label_smoothing=0.1)
    expected = (weights / weights.mean())[LABELS] @ losses / 8
    found = loss_of("class_balanced", logits, LABELS, effective_beta=beta, label_smoothing=0.1)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_ends_of_class_balanced_are_no_weights_and_shares(logits: Tensor) -> None:
    alike = loss_of("class_balanced", logits, LABELS, effective_beta=0)
    assert alike.item() == pytest.approx(F.cross_entropy(logits, LABELS).item(), rel=1e-6)
    nearly, shares = (
        loss_of("class_balanced", logits, LABELS, effective_beta=beta) for beta in (1 - 1e-7, 1)
    )
    assert shares.item() == pytest.approx(nearly.item(), rel=1e-3)
    assert shares.item() != pytest.approx(alike.item(), rel=0.05)


def test_a_deferred_loss_is_plain_first(logits: Tensor) -> None:
    section = LossSection(classification="class_balanced", deferred=0.8)
    plain = F.cross_entropy(logits, LABELS, label_smoothing=0.1)
    later = make_criterion(section, COUNTS)(logits, LABELS)
    model = torch.nn.Flatten()
    for done, wanted in ((0.0, plain), (0.79, plain), (0.8, later), (1.0, later)):
        assert torch.equal(Criteria(section, COUNTS).at(done)(logits, LABELS), wanted)
        batch = Batch(logits[:, :, None, None], LABELS, torch.arange(8), done)
        method = CrossEntropy(section, Preprocess(size=16).model_copy(update={"size": 1}), COUNTS)
        assert torch.equal(method.loss(model, batch), wanted)


@pytest.mark.parametrize("tau", [0.5, 1.0])
def test_logit_adjusted_adds_the_prior(logits: Tensor, tau: float) -> None:
    prior = torch.tensor([count / sum(COUNTS) for count in COUNTS])
    expected = F.cross_entropy(logits + tau * prior.log(), LABELS, label_smoothing=0.1)
    found = loss_of("logit_adjusted", logits, LABELS, logit_adjustment=tau, label_smoothing=0.1)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_balanced_softmax_weighs_exponentials_by_class_sizes(logits: Tensor) -> None:
    weighted = logits.exp() * torch.tensor(COUNTS)
    p = weighted / weighted.sum(1, keepdim=True)
    expected = -p[torch.arange(8), LABELS].log().mean()
    assert loss_of("balanced_softmax", logits, LABELS).item() == pytest.approx(expected.item())


def test_margins_shrink_with_the_fourth_root(logits: Tensor) -> None:
    margins = 0.5 * (6 / torch.tensor(COUNTS)) ** 0.25
    lowered = logits.clone()
    lowered[torch.arange(8), LABELS] -= margins[LABELS]
    expected = F.cross_entropy(lowered, LABELS)
    found = loss_of("ldam", logits, LABELS, ldam_margin=0.5)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_rare_class_is_asked_for_more_only_where_sizes_are_known(name: str) -> None:
    even = torch.zeros(1, 3)
    rare, common = (loss_of(name, even, torch.tensor([label])).item() for label in (2, 0))
    if name in ("ce", "focal"):
        assert rare == common
    else:
        assert rare > common


@pytest.mark.parametrize("name", NAMES)
def test_every_loss_learns(name: str) -> None:
    logits = torch.zeros(8, 3, requires_grad=True)
    for _ in range(300):
        loss = loss_of(name, logits, LABELS)
        (slope,) = torch.autograd.grad(loss, logits)
        with torch.no_grad():
            logits -= 5 * slope
    assert (logits.argmax(1) == LABELS).all()


def test_classes_without_pictures_count_as_one() -> None:
    assert log_prior((0, 3)).tolist() == pytest.approx([math.log(0.25), math.log(0.75)])
    section = LossSection(classification="balanced_softmax")
    assert make_criterion(section, (0, 3))(torch.zeros(1, 2), torch.tensor([1])).isfinite()


def test_methods_use_the_recipes_loss(logits: Tensor) -> None:
    section = LossSection(classification="balanced_softmax", label_smoothing=0.0, kd_weight=0.0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 3))
    batch = Batch(torch.randn(8, 3, 16, 16), LABELS, torch.arange(8))
    expected = make_criterion(section, COUNTS)(model(batch.images), LABELS)
    seen = Preprocess(size=16)
    assert torch.equal(CrossEntropy(section, seen, COUNTS).loss(model, batch), expected)

    class Silent:
        views = ()

        def look(self, images: Tensor, indices: Tensor) -> object:
            from edge_fgir.training.soft_targets import SoftTargets

            return SoftTargets(torch.zeros(8, 3), None, None)

    distilled = TGDA(Silent(), section, seen, counts=COUNTS).loss(model, batch)
    assert distilled.item() == pytest.approx(expected.item())
