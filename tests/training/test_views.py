import numpy as np
import pytest
import torch
import torch.nn.functional as F

from edge_fgir.models import regions
from edge_fgir.models.regions import crop_boxes, hot_region
from edge_fgir.training import views

pytestmark = pytest.mark.unit


def peak(h: int = 7, w: int = 7, row: int = 3, column: int = 4) -> torch.Tensor:
    maps = torch.zeros(1, h, w)
    maps[0, row, column] = 1.0
    return maps


def test_drop_view_blanks_exactly_the_hot_region() -> None:
    images, maps, theta = (
        torch.rand(2, 3, 28, 28) + 1,
        torch.rand(2, 7, 7),
        torch.tensor([0.3, 0.4]),
    )
    hot = views.hot_region(maps, theta, (28, 28))  # type: ignore[attr-defined]
    view = views.drop_view(images, maps, theta)
    assert (view[hot[:, None].expand_as(view)] == 0).all()
    assert torch.equal(view[~hot[:, None].expand_as(view)], images[~hot[:, None].expand_as(view)])
    assert 0 < hot.float().mean() < 1


def test_all_zero_maps_give_the_whole_image() -> None:
    images, maps, theta = torch.rand(1, 3, 28, 28), torch.zeros(1, 7, 7), torch.tensor([0.5])
    assert torch.allclose(views.crop_view(images, maps, theta), images, atol=1e-5)
    assert torch.equal(views.drop_view(images, maps, theta), images)


def test_crop_zooms_on_a_single_peak() -> None:
    theta = torch.tensor([0.5])
    box = views.crop_boxes(views.hot_region(peak(), theta, (70, 70)))[0].tolist()  # type: ignore[attr-defined]
    row, column = 3 * 69 / 6, 4 * 69 / 6
    assert box[0] < row < box[2]
    assert box[1] < column < box[3]
    assert box[2] - box[0] < 35


def test_crop_view_is_the_padded_box_stretched() -> None:
    images, theta = torch.rand(2, 3, 70, 70), torch.tensor([0.4, 0.6])
    maps = torch.cat([peak(), peak(row=1, column=2)])
    found = views.crop_view(images, maps, theta)
    up = F.interpolate(maps[:, None], (70, 70), mode="bilinear", align_corners=True)[:, 0]
    for number in range(2):
        hot = (up[number] >= theta[number]).nonzero()
        top, left = (hot.amin(dim=0) - 7).clamp(min=0).tolist()
        bottom, right = (hot.amax(dim=0) + 7).tolist()
        cut = images[number, None, :, top:bottom, left:right]
        assert cut.shape[2] < 40
        wanted = F.interpolate(cut, (70, 70), mode="bilinear", align_corners=True)[0]
        assert torch.allclose(found[number], wanted, atol=1e-4)


def test_maps_are_drawn_in_proportion_to_the_root_of_their_mass() -> None:
    torch.manual_seed(0)
    attention = torch.zeros(1, 3, 2, 2)
    attention[0, 1], attention[0, 2] = 1.0, 4.0
    expected = np.array([0.001, 2.0, 4.0])
    expected /= expected.sum()
    assert views.map_probabilities(attention)[0].numpy() == pytest.approx(expected, abs=1e-4)
    drawn = views.sample_maps(attention.expand(4000, -1, -1, -1), 2)[:, :, 0, 0]
    assert (drawn == 4.0).float().mean().item() == pytest.approx(2 / 3, abs=0.03)
    both = (drawn[:, 0] == drawn[:, 1]).float().mean().item()
    assert both > 0.4  # with replacement


def test_mean_maps_are_the_same_for_every_view() -> None:
    attention = torch.rand(2, 5, 3, 3)
    maps = views.mean_maps(attention, 2)
    assert torch.equal(maps[:, 0], maps[:, 1])
    assert torch.allclose(maps[:, 0], attention.mean(1))


@pytest.mark.parametrize("bounds", [views.CROP_THETA, views.DROP_THETA])
def test_theta_is_drawn_per_image_within_its_range(bounds: tuple[float, float]) -> None:
    theta = views.sample_theta(5000, bounds, torch.device("cpu"))
    assert theta.min() >= bounds[0]
    assert theta.max() <= bounds[1]
    assert theta.mean().item() == pytest.approx(sum(bounds) / 2, abs=0.01)
    assert len(theta.unique()) > 1000


def test_ranges_are_the_papers() -> None:
    assert views.CROP_THETA == (0.4, 0.6)
    assert views.DROP_THETA == (0.2, 0.5)
    assert regions.CROP_PADDING == 0.1


# Rows and columns of a 7 x 7 map that are hot, of each image.
SPOTS = ((0, 2, 1, 3), (2, 6, 3, 5), (1, 3, 1, 6), (4, 7, 0, 2), (0, 7, 5, 7), (3, 5, 2, 5))


def mixed(count: int, size: int = 56) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images, their mix views and the images' boxes (B, 4)."""
    torch.manual_seed(0)
    images, maps = torch.rand(count, 3, size, size), torch.zeros(count, 7, 7)
    for own, (top, bottom, left, right) in zip(maps, SPOTS, strict=False):
        own[top:bottom, left:right] = 1.0
    theta = views.sample_theta(count, views.MIX_THETA, torch.device("cpu"))
    boxes = crop_boxes(hot_region(maps, theta, (size, size)), padding=0.0)
    return images, views.mix_view(images, maps, theta), boxes


def test_mix_view_puts_the_partners_box_into_ones_own() -> None:
    images, found, boxes = mixed(6)
    for number, (top, left, bottom, right) in enumerate(boxes.tolist()):
        partner = number ^ 1
        y0, x0, y1, x1 = boxes[partner].tolist()
        content = F.interpolate(
            images[partner, None, :, y0:y1, x0:x1],
            (bottom - top, right - left),
            mode="bilinear",
            align_corners=True,
        )[0]
        assert (bottom - top, right - left) != (y1 - y0, x1 - x0)
        inside = torch.zeros(56, 56, dtype=torch.bool)
        inside[top:bottom, left:right] = True
        seen = found[number, :, top:bottom, left:right]
        assert torch.allclose(seen, content, atol=1e-4)
        assert torch.equal(found[number][:, ~inside], images[number][:, ~inside])


def test_the_last_image_of_an_odd_batch_is_left_as_it_is() -> None:
    images, found, _ = mixed(5)
    assert torch.allclose(found[4], images[4], atol=1e-4)
    assert not torch.allclose(found[3], images[3], atol=1e-2)


def test_all_zero_maps_mix_the_partners_whole_image_in() -> None:
    images = torch.rand(2, 3, 28, 28)
    found = views.mix_view(images, torch.zeros(2, 7, 7), torch.tensor([0.6, 0.8]))
    # The authors' box ends before its last row and column when nothing is added around it.
    inner = (..., slice(0, -1), slice(0, -1))
    assert torch.allclose(found[inner], images.flip(0)[inner], atol=1e-4)
    assert torch.equal(found[..., -1, :], images[..., -1, :])


def test_mix_theta_is_the_papers_and_each_view_draws_its_own() -> None:
    assert views.MIX_THETA == (0.6, 0.8)
    theta = views.sample_view_spec(torch.rand(3000, 2, 2, 2), ("drop", "mix", "crop")).theta
    ranges = (views.DROP_THETA, views.MIX_THETA, views.CROP_THETA)
    for column, bounds in zip(theta.T, ranges, strict=True):
        assert bounds[0] <= column.min() < bounds[0] + 0.01
        assert bounds[1] - 0.01 < column.max() <= bounds[1]
