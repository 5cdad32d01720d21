import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from edge_fgir.models.regions import crop_and_resize, crop_boxes, hot_region

pytestmark = pytest.mark.unit


def test_threshold_is_a_share_of_the_low_resolution_peak_and_corners_are_aligned() -> None:
    maps = torch.zeros(2, 2, 2)
    maps[0, 0, 0], maps[1, 1, 1] = 4, 1
    hot = hot_region(maps, torch.tensor([0.5, 0.2]), (5, 5))
    fall = torch.linspace(1, 0, 5)
    plane = fall[:, None] * fall
    assert torch.equal(hot[0], plane >= 0.5)
    assert torch.equal(hot[1], plane.flip(0, 1) >= 0.2)


def test_an_empty_map_is_hot_everywhere() -> None:
    assert hot_region(torch.zeros(1, 2, 2), torch.tensor([0.5]), (6, 6)).all()


@pytest.mark.parametrize(
    ("padding", "expected"),
    [(0.1, [5, 15, 29, 45]), (0.05, [7, 18, 26, 42]), (0.5, [0, 0, 49, 60])],
)
def test_box_is_the_hot_region_padded_and_clipped(padding: float, expected: list[int]) -> None:
    hot = torch.zeros(1, 50, 60, dtype=torch.bool)
    hot[0, 10, 21] = hot[0, 24, 30] = hot[0, 15, 39] = True
    assert crop_boxes(hot, padding).tolist() == [expected]


@given(
    st.tuples(st.integers(0, 59), st.integers(0, 59)),
    st.tuples(st.integers(0, 59), st.integers(0, 59)),
)
def test_crop_box_follows_the_authors_integer_rule(a: tuple[int, int], b: tuple[int, int]) -> None:
    (top, bottom), (left, right) = sorted((a[0], b[0])), sorted((a[1], b[1]))
    hot = torch.zeros(1, 60, 60, dtype=torch.bool)
    hot[0, top : bottom + 1, left : right + 1] = True
    expected = [
        max(int(top - 0.1 * 60), 0),
        max(int(left - 0.1 * 60), 0),
        min(int(bottom + 0.1 * 60), 60),
        min(int(right + 0.1 * 60), 60),
    ]
    box = crop_boxes(hot)[0].tolist()
    assert box == expected
    assert box[0] < box[2]
    assert box[1] < box[3]


def test_crop_is_a_slice_stretched() -> None:
    images = torch.rand(2, 3, 20, 30)
    boxes = torch.tensor([[3, 4, 17, 21], [0, 0, 20, 30]])
    found = crop_and_resize(images, boxes)
    cut = images[:1, :, 3:17, 4:21]
    expected = F.interpolate(cut, (20, 30), mode="bilinear", align_corners=True)
    assert torch.allclose(found[:1], expected, atol=1e-5)
    assert torch.allclose(found[1], images[1], atol=1e-5)
