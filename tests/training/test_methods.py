from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_fgir.models import CAL, Network, class_activation_maps
from edge_fgir.runs import LossSection, TeacherSection
from edge_fgir.runtime import Preprocess
from edge_fgir.training import soft_targets
from edge_fgir.training.losses import distillation
from edge_fgir.training.methods import TGDA, Batch, CALTraining
from edge_fgir.training.soft_targets import LiveTeacher
from edge_fgir.training.student_size import to_student_size

pytestmark = pytest.mark.unit

SEEN = Preprocess(size=48)


class Recorder(nn.Module):
    """A student that remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Network(name="lrnet14").build(4)
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x)
        return self.net(x)


def make_teacher() -> CAL:
    torch.manual_seed(0)
    teacher = Network(name="lrnet14", attention_maps=6).build(4)
    assert isinstance(teacher, CAL)
    return teacher


def make_tgda(
    teacher: nn.Module, mode: str = "hybrid", views: tuple = ("crop", "drop"), **loss
) -> TGDA:
    live = LiveTeacher(teacher, TeacherSection(run="teacher", mode=mode), views)
    return TGDA(live, LossSection(**loss), SEEN)


def make_batch() -> Batch:
    return Batch(torch.randn(3, 3, 64, 64), torch.tensor([0, 1, 3]), torch.arange(3))


def test_one_step_is_two_teacher_and_two_student_forwards() -> None:
    teacher, student = make_teacher(), Recorder()
    forwards: list[tuple[int, bool]] = []
    teacher.backbone.stem.register_forward_hook(
        lambda m, i, o: forwards.append((len(o), torch.is_grad_enabled()))
    )
    make_tgda(teacher).loss(student, make_batch()).backward()
    assert forwards == [(3, False), (6, False)]
    assert [tuple(x.shape) for x in student.seen] == [(3, 3, 48, 48), (6, 3, 48, 48)]
    assert all(p.grad is None for p in teacher.parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in student.parameters())


def test_the_student_sees_the_teachers_own_views_resampled() -> None:
    teacher, student, batch = make_teacher(), Recorder(), make_batch()
    tgda = make_tgda(teacher)
    torch.manual_seed(1)
    tgda.loss(student, batch)
    torch.manual_seed(1)
    views = tgda.source.look(batch.images, batch.indices).views
    assert views is not None
    assert torch.equal(student.seen[0], to_student_size(batch.images, SEEN))
    assert torch.equal(student.seen[1], to_student_size(views, SEEN))


def test_a_joint_forward_is_one_batch_with_the_same_loss_weights() -> None:
    teacher, student, batch = make_teacher(), Recorder().eval(), make_batch()
    live = make_tgda(teacher).source
    losses = []
    for joint in (False, True):
        student.seen.clear()
        torch.manual_seed(1)
        losses.append(TGDA(live, LossSection(), SEEN, joint_forward=joint).loss(student, batch))
    assert [len(x) for x in student.seen] == [9]
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-5)


@pytest.mark.parametrize("t2_scaling", [True, False])
@pytest.mark.parametrize("views", [("crop",), ("crop", "drop"), ("crop", "drop", "mix")])
def test_loss_is_hard_labels_on_raw_and_soft_labels_on_every_view(
    views: tuple, t2_scaling: bool
) -> None:
    teacher, student = make_teacher(), Network(name="lrnet14").build(4).eval()
    loss = {"temperature": 0.7, "kd_weight": 3.0, "label_smoothing": 0.1}
    tgda = make_tgda(teacher, views=views, kd_t2_scaling=t2_scaling, **loss)
    batch = make_batch()
    torch.manual_seed(1)
    found = tgda.loss(student, batch)
    torch.manual_seed(1)
    look = tgda.source.look(batch.images, batch.indices)
    assert look.views is not None
    assert look.of_views is not None
    raw = student(to_student_size(batch.images, SEEN))
    seen = student(to_student_size(look.views, SEEN))
    expected = F.cross_entropy(raw, batch.labels, label_smoothing=0.1) + 3 * (
        0.5 * distillation(raw, look.raw, 0.7, t2_scaling)
        + len(views) / 2 * distillation(seen, look.of_views, 0.7, t2_scaling)
    )
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_views_come_in_order_and_only_those_asked_for() -> None:
    batch = make_batch()
    both = make_tgda(make_teacher()).source.look(batch.images, batch.indices)
    drop = make_tgda(make_teacher(), views=("drop",)).source.look(batch.images, batch.indices)
    assert both.views is not None
    assert drop.views is not None
    assert drop.of_views is not None
    assert len(both.views) == 6
    assert len(drop.views) == len(drop.of_views) == 3
    assert ((drop.views == 0) | (drop.views == batch.images)).all()


def test_without_views_it_is_plain_distillation() -> None:
    teacher, student, batch = make_teacher(), Network(name="lrnet14").build(4).eval(), make_batch()
    tgda = make_tgda(teacher, views=(), label_smoothing=0.0)
    raw = student(to_student_size(batch.images, SEEN))
    hard = F.cross_entropy(raw, batch.labels)
    expected = hard + distillation(raw, teacher(batch.images), 0.7, True)
    assert tgda.loss(student, batch).item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize(("mode", "moves"), [("train", True), ("eval", False), ("hybrid", False)])
def test_teacher_statistics_move_only_in_train_mode(mode: str, moves: bool) -> None:
    teacher = make_teacher()
    before = {k: v.clone() for k, v in teacher.named_buffers()}
    make_tgda(teacher, mode).loss(Network(name="lrnet14").build(4), make_batch()).backward()
    changed = any(not torch.equal(v, before[k]) for k, v in teacher.named_buffers())
    assert changed == moves
    assert all(p.grad is None for p in teacher.parameters())


@pytest.mark.parametrize(("mode", "draws"), [("train", True), ("eval", False), ("hybrid", True)])
def test_maps_are_drawn_except_in_eval_mode(
    mode: str, draws: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    means = []
    original = soft_targets.sample_view_spec  # type: ignore[attr-defined]

    def spy(*arguments: Any, **options: Any) -> Any:
        means.append(options["mean"])
        return original(*arguments, **options)

    monkeypatch.setattr(
        soft_targets,
        "sample_view_spec",
        spy,
    )
    make_tgda(make_teacher(), mode).loss(Network(name="lrnet14").build(4), make_batch())
    assert means == [not draws]


def test_a_plain_teacher_makes_views_by_what_it_predicts() -> None:
    teacher, batch = Network(name="lrnet14").build(4).eval(), make_batch()
    features = torch.zeros(1, 512, 4, 4)
    features[0, 7, 1, 2] = 1  # what class 3 is told by, second row, third column
    with torch.no_grad():
        teacher.get_classifier().weight.zero_()[3, 7] = 1
    teacher.forward_features = lambda x: features.expand(len(x), -1, -1, -1)  # type: ignore[assignment]
    look = make_tgda(teacher, "eval", views=("drop",)).source.look(batch.images, batch.indices)
    assert look.views is not None
    dropped = (look.views == 0).all(dim=1)
    assert dropped[:, 21, 42].all()
    assert not dropped[:, 40:].any()
    assert not dropped[:, :, :20].any()
    logits, maps = class_activation_maps(teacher, batch.images)
    assert torch.equal(look.raw, logits)
    assert maps.flatten(1).argmax(dim=1).tolist() == [6, 6, 6]


@pytest.mark.parametrize("views", [("crop", "drop"), ("crop", "drop", "mix")])
def test_cal_loss_has_the_papers_weights(views: tuple) -> None:
    teacher, batch = make_teacher().train(), make_batch()
    method = CALTraining(teacher, views)
    looks: list = []
    original = teacher.look
    teacher.look = lambda x, **k: looks.append(original(x, **k)) or looks[-1]  # type: ignore[method-assign]
    found = method.loss(teacher, batch)
    raw, seen = looks
    again = batch.labels.repeat(len(views))
    effects = torch.cat([raw.effect, seen.effect])
    expected = (
        F.cross_entropy(raw.logits, batch.labels) / 3
        + F.cross_entropy(seen.logits, again) * len(views) / 3
        + F.cross_entropy(effects, torch.cat([batch.labels, again])) * (len(views) + 1) / 3
        + raw.embedding.square().sum(1).mean()  # centres start at zero
    )
    assert len(seen.logits) == 3 * len(views)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
