import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_fgir import InputError
from edge_fgir.models import CAL, create_model
from edge_fgir.training import methods
from edge_fgir.training.losses import distillation
from edge_fgir.training.methods import TGDA, CALTraining, to_student_size
from edge_fgir.training.recipe import LossSection, TeacherSection

pytestmark = pytest.mark.unit


class Recorder(nn.Module):
    """A student that remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.net = create_model("lrnet14", 4)
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x)
        return self.net(x)


def make_teacher() -> CAL:
    torch.manual_seed(0)
    teacher = create_model("lrnet14", 4, attention_maps=6)
    assert isinstance(teacher, CAL)
    return teacher


def make_tgda(
    teacher: nn.Module, mode: str = "hybrid", views: tuple = ("crop", "drop"), **loss
) -> TGDA:
    section = TeacherSection(run="teacher", mode=mode, views=views)
    return TGDA(teacher, section, LossSection(**loss), 48, with_views=bool(views))


def batch() -> tuple[Tensor, Tensor]:
    return torch.randn(3, 3, 64, 64), torch.tensor([0, 1, 3])


def test_one_step_is_two_teacher_and_two_student_forwards() -> None:
    teacher, student = make_teacher(), Recorder()
    forwards: list[tuple[int, bool]] = []
    teacher.backbone.stem.register_forward_hook(
        lambda m, i, o: forwards.append((len(o), torch.is_grad_enabled()))
    )
    images, labels = batch()
    make_tgda(teacher).loss(student, images, labels).backward()
    assert forwards == [(3, False), (6, False)]
    assert [tuple(x.shape) for x in student.seen] == [(3, 3, 48, 48), (6, 3, 48, 48)]
    assert all(p.grad is None for p in teacher.parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in student.parameters())


def test_loss_is_hard_labels_on_raw_and_soft_labels_on_every_view() -> None:
    teacher, student = make_teacher(), create_model("lrnet14", 4).eval()
    tgda = make_tgda(teacher, temperature=0.7, kd_weight=3.0, label_smoothing=0.1)
    images, labels = batch()
    torch.manual_seed(1)
    found = tgda.loss(student, images, labels)
    torch.manual_seed(1)
    raw_target, augmented, target = tgda.look(images)
    assert augmented is not None
    assert target is not None
    raw = student(to_student_size(images, 48))
    seen = student(to_student_size(augmented, 48))
    expected = F.cross_entropy(raw, labels, label_smoothing=0.1) + 3 * (
        0.5 * distillation(raw, raw_target, 0.7, True) + distillation(seen, target, 0.7, True)
    )
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_views_come_in_order_and_only_those_asked_for() -> None:
    images, _ = batch()
    _, both, _ = make_tgda(make_teacher()).look(images)
    _, drop, target = make_tgda(make_teacher(), views=("drop",)).look(images)
    assert both is not None
    assert drop is not None
    assert target is not None
    assert len(both) == 6
    assert len(drop) == len(target) == 3
    unchanged = drop == images
    assert ((drop == 0) | unchanged).all()


def test_without_views_it_is_plain_distillation() -> None:
    teacher, student = make_teacher(), create_model("lrnet14", 4).eval()
    images, labels = batch()
    tgda = make_tgda(teacher, views=(), label_smoothing=0.0)
    raw = student(to_student_size(images, 48))
    expected = F.cross_entropy(raw, labels) + distillation(raw, teacher(images), 0.7, True)
    assert tgda.loss(student, images, labels).item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize(("mode", "moves"), [("train", True), ("eval", False), ("hybrid", False)])
def test_teacher_statistics_move_only_in_train_mode(mode: str, moves: bool) -> None:
    teacher = make_teacher()
    before = {k: v.clone() for k, v in teacher.named_buffers()}
    make_tgda(teacher, mode).look(batch()[0])
    changed = any(not torch.equal(v, before[k]) for k, v in teacher.named_buffers())
    assert changed == moves


@pytest.mark.parametrize(("mode", "draws"), [("train", True), ("eval", False), ("hybrid", True)])
def test_maps_are_drawn_except_in_eval_mode(
    mode: str, draws: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    original = methods.views.sample_maps
    monkeypatch.setattr(
        methods.views, "sample_maps", lambda a, n: calls.append(n) or original(a, n)
    )
    make_tgda(make_teacher(), mode).look(batch()[0])
    assert bool(calls) == draws


def test_views_of_a_teacher_without_maps_are_refused() -> None:
    with pytest.raises(InputError, match="no attention maps"):
        make_tgda(create_model("lrnet14", 4))


def test_cal_loss_has_the_papers_weights() -> None:
    teacher = make_teacher().train()
    images, labels = batch()
    method = CALTraining(teacher)
    looks: list = []
    original = teacher.look
    teacher.look = lambda x, **k: looks.append(original(x, **k)) or looks[-1]  # type: ignore[method-assign]
    found = method.loss(teacher, images, labels)
    raw, seen = looks
    thrice = labels.repeat(3)
    expected = (
        F.cross_entropy(raw.logits, labels) / 3
        + 2 * F.cross_entropy(seen.logits, thrice[3:]) / 3
        + F.cross_entropy(torch.cat([raw.effect, seen.effect]), thrice)
        + raw.embedding.square().sum(1).mean()  # centres start at zero
    )
    assert len(seen.logits) == 6
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_student_input_is_bicubic_without_antialiasing() -> None:
    images = torch.rand(1, 3, 64, 64)
    expected = F.interpolate(images, (20, 20), mode="bicubic", align_corners=False, antialias=False)
    assert torch.equal(to_student_size(images, 20), expected)
    assert to_student_size(images, 64) is images
