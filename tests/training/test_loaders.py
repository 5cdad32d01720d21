from pathlib import Path

import pytest
import torch

from edge_fgir.data import open_data
from edge_fgir.data.loaders import TrainImages, steps_per_epoch, train_batches

pytestmark = pytest.mark.unit


def images(photos: Path, seed: int = 0, *, trivial_augment: bool = True) -> TrainImages:
    data = open_data(str(photos))
    return TrainImages(
        data, data.split("train"), size=32, resize=40, trivial_augment=trivial_augment, seed=seed
    )


def batches(source: TrainImages, epoch: int, first_step: int = 0, workers: int = 0) -> list:
    return list(
        train_batches(source, batch=8, seed=3, epoch=epoch, first_step=first_step, workers=workers)
    )


def test_batches_are_uint8_and_whole(photos: Path) -> None:
    found = batches(images(photos), 0)
    assert len(found) == steps_per_epoch(72, 8) == 9
    pixels, labels = found[0]
    assert (pixels.shape, pixels.dtype, labels.shape) == ((8, 3, 32, 32), torch.uint8, (8,))
    assert sorted(torch.cat([y for _, y in found]).tolist()) == [0] * 24 + [1] * 24 + [2] * 24


def test_pixels_depend_on_seed_epoch_and_picture_alone(photos: Path) -> None:
    source = images(photos)
    state = torch.get_rng_state()
    first = batches(source, 0)
    torch.rand(5)
    again = batches(source, 0, first_step=4, workers=1)
    assert all(torch.equal(a[0], b[0]) for a, b in zip(first[4:], again, strict=True))
    assert not torch.equal(first[0][0], batches(source, 1)[0][0])
    torch.set_rng_state(state)
    batches(source, 0)
    assert torch.equal(torch.get_rng_state(), state)


def test_flips_and_crops_vary(photos: Path) -> None:
    source = images(photos, trivial_augment=False)
    views = {tuple(source[(epoch, 0)][0].flatten()[:50].tolist()) for epoch in range(12)}
    assert len(views) > 6
