import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edge_fgir import InputError
from edge_fgir.data import open_data
from edge_fgir.data.loaders import Key, Schedule, TrainImages, all_images, train_batches

pytestmark = pytest.mark.unit


def images(photos: Path, seed: int = 0, *, trivial_augment: bool = True) -> TrainImages:
    data = open_data(str(photos))
    return TrainImages(
        data, data.split("train"), size=32, resize=40, trivial_augment=trivial_augment, seed=seed
    )


SCHEDULE = Schedule(images=72, batch=8, seed=3)


def batches(source: TrainImages, first: int, last: int, workers: int = 0, **changes: int) -> list:
    schedule = replace(SCHEDULE, **changes)
    return list(train_batches(source, schedule, first=first, last=last, workers=workers))


def test_batches_are_uint8_and_whole(photos: Path) -> None:
    found = batches(images(photos), 0, 9)
    assert len(found) == SCHEDULE.steps_per_epoch == 9
    pixels, labels, indices = found[0]
    assert (pixels.shape, pixels.dtype, labels.shape) == ((8, 3, 32, 32), torch.uint8, (8,))
    assert sorted(torch.cat([y for _, y, _ in found]).tolist()) == [0] * 24 + [1] * 24 + [2] * 24
    assert sorted(torch.cat([i for _, _, i in found]).tolist()) == list(range(72))
    assert len(indices) == 8


def test_pixels_depend_on_seed_epoch_and_picture_alone(photos: Path) -> None:
    source = images(photos)
    state = torch.get_rng_state()
    first = batches(source, 0, 18)
    torch.rand(5)
    again = batches(source, 4, 18, workers=1)
    assert all(torch.equal(a.pixels, b.pixels) for a, b in zip(first[4:], again, strict=True))
    assert not torch.equal(first[0].pixels, first[9].pixels)
    torch.set_rng_state(state)
    batches(source, 0, 2)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_share_of_the_pictures_is_sampled_without_antialias(tmp_path: Path) -> None:
    """Lines that alternate become grey under antialias, and keep some contrast without it."""
    for split in ("train", "test"):
        for label in ("lines", "turned"):
            folder = tmp_path / split / label
            folder.mkdir(parents=True)
            for number in range(60 if split == "train" else 1):
                pixels = np.zeros((200, 200, 3), np.uint8)
                pixels[::2] = 255
                pixels[0, 0] = number
                turned = pixels if label == "lines" else pixels.swapaxes(0, 1)
                Image.fromarray(turned).save(folder / f"{number}.png")
    data = open_data(str(tmp_path))

    def contrasts(share: float) -> np.ndarray:
        shown = TrainImages(
            data,
            data.split("train"),
            size=32,
            resize=40,
            trivial_augment=False,
            seed=0,
            resample_jitter=share,
        )
        pixels = [shown[Key(0, place)][0] for place in range(len(shown))]
        assert all(torch.equal(one, shown[Key(0, place)][0]) for place, one in enumerate(pixels))
        return np.array([each.float().std().item() for each in pixels])

    plain = contrasts(0.0)
    assert plain.max() < 10
    sampled = contrasts(0.5) > 10
    assert 0.15 < sampled.mean() < 0.55  # at the side itself; at 224 pixels lines stay lines
    assert (contrasts(1.0) > 10).mean() > sampled.mean()


def test_an_epoch_drops_the_incomplete_batch_and_shuffles_anew() -> None:
    schedule = Schedule(images=75, batch=8, seed=0)
    orders = [[key.place for keys in schedule.epoch(e) for key in keys] for e in range(2)]
    assert all(len(order) == len(set(order)) == 72 for order in orders)
    assert orders[0] != orders[1]
    assert schedule.epoch(0) == Schedule(images=75, batch=8, seed=0).epoch(0)


@given(st.integers(1, 60), st.integers(1, 4), st.integers(1, 5), st.integers(0, 9))
def test_processes_share_every_batch_of_one(
    images: int, share: int, processes: int, epoch: int
) -> None:
    batch = share * processes
    whole = Schedule(images=images, batch=batch, seed=1).epoch(epoch)
    parts = [
        Schedule(images=images, batch=batch, seed=1, rank=rank, processes=processes).epoch(epoch)
        for rank in range(processes)
    ]
    assert [[key for part in step for key in part] for step in zip(*parts, strict=True)] == whole


@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=8),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(0, 5),
)
def test_shards_are_dealt_to_processes(
    shards: list[int], share: int, processes: int, epoch: int
) -> None:
    images = sum(shards)
    ranks = [
        Schedule(
            images=images,
            batch=share * processes,
            seed=1,
            rank=rank,
            processes=processes,
            shards=tuple(shards),
        )
        for rank in range(processes)
    ]
    steps = [schedule.epoch(epoch) for schedule in ranks]
    assert all(len(part) == ranks[0].steps_per_epoch for part in steps)
    seen = [key.place for part in steps for keys in part for key in keys]
    assert len(seen) == len(set(seen)) == ranks[0].steps_per_epoch * share * processes


def test_variants_take_turns() -> None:
    schedule = Schedule(images=8, batch=8, seed=0, variants=3)
    assert [schedule.epoch(e)[0][0].variant for e in range(5)] == [0, 1, 2, 0, 1]
    assert [Schedule(8, 8, 0).epoch(e)[0][0].variant for e in range(3)] == [0, 1, 2]


def test_all_images_come_in_order_with_the_incomplete_batch(photos: Path) -> None:
    source = images(photos)
    found = list(all_images(source, 5, 20, workers=0))
    assert [len(part.labels) for part in found] == [20, 20, 20, 12]
    assert torch.cat([part.indices for part in found]).tolist() == list(range(72))
    assert torch.equal(found[0].pixels[3], source[Key(5, 3)][0])


def test_flips_and_crops_vary(photos: Path) -> None:
    source = images(photos, trivial_augment=False)
    views = {tuple(source[Key(epoch, 0)][0].flatten()[:50].tolist()) for epoch in range(12)}
    assert len(views) > 6


def test_a_picture_that_vanishes_while_it_trains_is_one_clear_line(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_fgir.data.loaders._CACHE_BYTES", 0)
    shutil.copytree(photos, tmp_path / "photos")
    source = images(tmp_path / "photos")
    for path in (tmp_path / "photos" / "train").rglob("*.*"):
        path.unlink()
    with pytest.raises(InputError, match=r"^/\S* does not exist; expected a picture file$"):
        batches(source, 0, 9, workers=1)
