"""What a teacher tells about a batch: which maps it draws among, and what a cache would keep."""

import pytest
import torch
from torch import Tensor

from edge_fgir.models import CAL, Network
from edge_fgir.models.regions import hot_region
from edge_fgir.runs import TeacherSection, View
from edge_fgir.training.soft_targets import LiveTeacher
from edge_fgir.training.views import ViewSpec, make_views, sample_view_spec

pytestmark = pytest.mark.unit

VIEWS: tuple[View, ...] = ("crop", "drop")


def numbered_maps(batch: int, count: int) -> Tensor:
    """(batch, count, 2, 2) maps; map n is n + 1 everywhere."""
    return torch.arange(1.0, count + 1)[None, :, None, None].expand(batch, count, 2, 2)


@pytest.mark.parametrize(
    ("first_maps", "drawn"), [(0, {1, 2, 3, 4}), (2, {1, 2}), (9, {1, 2, 3, 4})]
)
def test_maps_are_drawn_among_the_first(first_maps: int, drawn: set[int]) -> None:
    torch.manual_seed(0)
    spec = sample_view_spec(numbered_maps(200, 4), VIEWS, first_maps=first_maps)
    assert set(spec.maps.unique().tolist()) == drawn


def make_teacher() -> CAL:
    torch.manual_seed(0)
    teacher = Network(name="lrnet14", attention_maps=4).build(3)
    assert isinstance(teacher, CAL)
    return teacher.eval()


def test_a_teacher_draws_among_the_maps_of_its_section() -> None:
    teacher, images = make_teacher(), torch.randn(5, 3, 64, 64)
    with torch.no_grad():
        first = teacher.look(images).attention[:, :1]
    live = LiveTeacher(teacher, TeacherSection(run="teacher", first_maps=1), VIEWS)
    _, spec = live.observe(images)
    assert spec is not None
    assert first.sum() > 0
    assert torch.equal(spec.maps, first.expand(-1, 2, -1, -1))


def test_compact_views_are_those_of_the_rounded_sight() -> None:
    images = torch.randn(5, 3, 64, 64)
    live = LiveTeacher(make_teacher(), TeacherSection(run="teacher"), VIEWS)
    torch.manual_seed(1)
    targets, spec = live.observe(images, compact=True)
    torch.manual_seed(1)
    _, exact = live.observe(images)
    assert spec is not None
    assert exact is not None
    assert targets.views is not None
    assert (spec.maps.dtype, spec.theta.dtype) == (torch.float16, torch.float32)
    assert torch.equal(spec.maps, exact.compact().maps)
    assert torch.equal(spec.theta, exact.theta)
    assert torch.equal(targets.views, make_views(images, spec, VIEWS))


@pytest.mark.parametrize("scale", [2.0**-30, 1.0, 2.0**20])
def test_compact_keeps_the_region_whatever_the_height(scale: float) -> None:
    torch.manual_seed(0)
    maps, theta = torch.rand(8, 2, 7, 7), torch.rand(8, 2) * 0.4 + 0.2
    compact = ViewSpec(maps * scale, theta).compact()
    assert torch.equal(compact.maps, ViewSpec(maps, theta).compact().maps)
    assert (compact.maps.amax(dim=(2, 3)) == 1).all()
    for view in range(2):
        kept, exact = (
            hot_region(m[:, view].float(), theta[:, view], (448, 448)) for m in (compact.maps, maps)
        )
        # Rounding to eleven bits moves a border by a fraction of a pixel.
        assert (kept != exact).float().mean() < 5e-3


def test_compact_leaves_an_empty_map_empty() -> None:
    compact = ViewSpec(torch.zeros(2, 1, 3, 3), torch.full((2, 1), 0.5)).compact()
    assert torch.equal(compact.maps, torch.zeros(2, 1, 3, 3, dtype=torch.float16))
