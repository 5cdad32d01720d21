"""Training batches: augmentation, sampling and their exact place in a run (torch).

Every random choice depends only on (seed, epoch, picture), so a resumed run and a run with another
number of workers see the same pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.transforms import v2

from edge_fgir._progress import progress
from edge_fgir.data.dataset import DataSet, Sample
from edge_fgir.runtime import Pixels

_CACHE_BYTES = 1 << 30


class TrainImages(Dataset[tuple[Tensor, int]]):
    """Augmented training pictures: (3, S, S) ``uint8`` and their label.

    Resize to a square of ``resize`` pixels (bicubic, antialiased), random crop of ``size``,
    horizontal flip, optional TrivialAugmentWide (spec TGDA section 1.7). Resized pictures are kept
    in memory while they fit one GiB.

    Args:
        data: Where the pictures come from.
        samples: Which of them.
        size: Side of the crop, pixels.
        resize: Side before the crop, pixels.
        trivial_augment: Apply TrivialAugmentWide.
        seed: Seed of the run.
    """

    def __init__(
        self,
        data: DataSet,
        samples: Sequence[Sample],
        *,
        size: int,
        resize: int,
        trivial_augment: bool,
        seed: int,
    ) -> None:
        self._data, self._samples, self._seed = data, samples, seed
        self._resize = resize
        steps: list[torch.nn.Module] = [v2.RandomCrop(size), v2.RandomHorizontalFlip()]
        if trivial_augment:
            steps.append(v2.TrivialAugmentWide())
        self._augment = v2.Compose([*steps, v2.PILToTensor()])
        self._cache: list[Pixels] | None = None
        if resize * resize * 3 * len(samples) <= _CACHE_BYTES:
            self._cache = self._read_all()

    def _read_all(self) -> list[Pixels]:
        images = []
        with progress(f"reading {self._data.name} train", len(self._samples)) as meter:
            for sample in self._samples:
                images.append(self._resized(sample))
                meter.advance()
        return images

    def _resized(self, sample: Sample) -> Pixels:
        image = Image.fromarray(self._data.read(sample))
        side = (self._resize, self._resize)
        return np.asarray(image.resize(side, Image.Resampling.BICUBIC))

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, int]:
        epoch, index = key
        sample = self._samples[index]
        pixels = self._cache[index] if self._cache is not None else self._resized(sample)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_mix(self._seed, epoch, index))
            return self._augment(Image.fromarray(pixels)), sample.label


def _mix(seed: int, epoch: int, index: int) -> int:
    return int(np.random.SeedSequence((seed, epoch, index)).generate_state(1, np.uint64)[0])


class _EpochSampler(Sampler[list[tuple[int, int]]]):
    """Shuffled whole batches of (epoch, index), from a given step of the epoch on."""

    def __init__(self, length: int, batch: int, seed: int, epoch: int, first_step: int) -> None:
        order = torch.randperm(
            length, generator=torch.Generator().manual_seed(_mix(seed, epoch, length))
        ).tolist()
        self._batches = [
            [(epoch, index) for index in order[start : start + batch]]
            for start in range(first_step * batch, length - batch + 1, batch)
        ]

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return iter(self._batches)

    def __len__(self) -> int:
        return len(self._batches)


def steps_per_epoch(images: int, batch: int) -> int:
    """Return the number of whole batches in an epoch."""
    return images // batch


def train_batches(
    images: TrainImages, *, batch: int, seed: int, epoch: int, first_step: int, workers: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the batches of one epoch from ``first_step`` on: (B, 3, S, S) ``uint8`` and (B,)."""
    sampler = _EpochSampler(len(images), batch, seed, epoch, first_step)
    # A generator of its own: starting an iterator draws from it, not from the run's stream.
    own = torch.Generator().manual_seed(seed)
    yield from DataLoader(images, batch_sampler=sampler, num_workers=workers, generator=own)
