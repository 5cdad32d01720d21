"""Training batches: augmentation, sampling and their exact place in a run (torch).

Every random choice depends only on (seed, epoch, picture), so a resumed run and a run with another
number of workers or processes see the same pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.transforms import v2

from edge_fgir._errors import InputError
from edge_fgir._progress import progress
from edge_fgir.data.dataset import DataSet, Sample
from edge_fgir.data.sampling import Sampler as DrawBy
from edge_fgir.data.sampling import draw
from edge_fgir.data.shards import shard_order
from edge_fgir.runtime import PIL_KERNEL, Kernel, Pixels, Preprocess

_CACHE_BYTES = 1 << 30
_SAMPLED_SIDE = 224
"""Pixels: what most programs hand to a model, Frigate among them."""
_AGAIN = 1 << 20
"""Between the draws of the augmentation for repeats of a picture: more epochs than a run has."""


class Key(NamedTuple):
    """A picture under one draw of the augmentation."""

    variant: int
    place: int


class Pictures(NamedTuple):
    """A batch: (B, 3, S, S) ``uint8`` pixels, (B,) labels, (B,) places in the train split."""

    pixels: Tensor
    labels: Tensor
    indices: Tensor


class TrainImages(Dataset[tuple[Tensor, int, int]]):
    """Augmented training pictures: (3, S, S) ``uint8``, their label and their place in the split.

    Resize to a square of ``resize`` pixels (antialiased), random crop of ``size``, horizontal flip,
    optional TrivialAugmentWide (arXiv 2507.12157, docs/science/tgda.md#pictures) or colour jitter
    (arXiv 2101.08674, docs/science/dafre.md#recipe). Some may be sampled without antialias first.
    Resized pictures are kept in memory while they fit one GiB.

    Args:
        data: Where the pictures come from.
        samples: Which of them.
        size: Side of the crop, pixels.
        resize: Side before the crop, pixels.
        trivial_augment: Apply TrivialAugmentWide.
        seed: Seed of the augmentation.
        kernel: Of the resize.
        color_jitter: Largest change of brightness, contrast, saturation and hue; 0: none.
        resample_jitter: Share of the pictures that are sampled without antialias first, at 224
            pixels or at ``resize``, as other programs resize before a model sees a picture.
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
        kernel: Kernel = "bicubic",
        color_jitter: float = 0.0,
        resample_jitter: float = 0.0,
    ) -> None:
        self._data, self._samples, self._seed = data, samples, seed
        self._resample_jitter = resample_jitter
        self._resize, self._kernel = resize, PIL_KERNEL[kernel]
        steps: list[torch.nn.Module] = [v2.RandomCrop(size), v2.RandomHorizontalFlip()]
        if trivial_augment:
            steps.append(v2.TrivialAugmentWide())
        if color_jitter:
            steps.append(v2.ColorJitter(*[color_jitter] * 4))
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
        return np.asarray(image.resize(side, self._kernel))

    def _sampled(self, sample: Sample) -> Pixels:
        """Return a picture whose first resize has no antialias, which keeps aliases and blocks."""
        side = _SAMPLED_SIDE if torch.rand(()) < 0.5 else self._resize
        rough = Preprocess(size=side, antialias=False).apply(self._data.read(sample))
        again = (self._resize, self._resize)
        return np.asarray(Image.fromarray(rough).resize(again, self._kernel))

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, key: Key) -> tuple[Tensor, int, int]:
        variant, index = key
        sample = self._samples[index]
        pixels = self._cache[index] if self._cache is not None else self._resized(sample)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(mixed_seed(self._seed, variant, index))
            if self._resample_jitter and torch.rand(()) < self._resample_jitter:
                pixels = self._sampled(sample)
            return self._augment(Image.fromarray(pixels)), sample.label, index


def mixed_seed(*parts: int) -> int:
    """Return a 64-bit seed that depends on every part."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0])


@dataclass(frozen=True)
class Schedule:
    """Which pictures each step of a run sees.

    Attributes:
        images: Pictures in the train split.
        batch: Pictures in a step, over all processes.
        seed: Of the order.
        variants: Draws of the augmentation, taken in turn by epoch; 0: a new one every epoch.
        rank: This process's number; it gets its share of every batch.
        processes: Number of processes; divides ``batch``.
        shards: Pictures in each shard; empty: they lie in files of their own. A process reads its
            own shards, so its batches are not those of another number of processes.
        sampler: How often each class is drawn. All but ``instance`` draw from all shards at random.
        labels: Class of each picture, for such a sampler.
    """

    images: int
    batch: int
    seed: int
    variants: int = 0
    rank: int = 0
    processes: int = 1
    shards: tuple[int, ...] = ()
    sampler: DrawBy = "instance"
    labels: tuple[int, ...] = ()

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch; the last incomplete one is dropped."""
        return self.images // self.batch

    def variant(self, epoch: int) -> int:
        """Return the draw of the augmentation that an epoch uses."""
        return epoch % self.variants if self.variants else epoch

    def epoch(self, number: int) -> list[list[Key]]:
        """Return this process's share of each batch of an epoch."""
        variant, share = self.variant(number), self.batch // self.processes
        starts = range(share * self.rank, self.steps_per_epoch * self.batch, self.batch)
        if self.sampler != "instance":
            keys = self._drawn(number)
            return [keys[i : i + share] for i in starts]
        if self.shards:
            order = shard_order(self.shards, self.seed, number, self.rank, self.processes).tolist()
            starts = range(0, self.steps_per_epoch * share, share)
        else:
            generator = torch.Generator().manual_seed(mixed_seed(self.seed, number, self.images))
            order = torch.randperm(self.images, generator=generator).tolist()
        return [[Key(variant, place) for place in order[i : i + share]] for i in starts]

    def _drawn(self, number: int) -> list[Key]:
        """Return the draws of an epoch, over all processes.

        A picture that is drawn again is augmented anew, unless all draws of an epoch must be of one
        variant.
        """
        seed = mixed_seed(self.seed, number, self.images)
        places, repeats = draw(np.asarray(self.labels), self.sampler, seed)
        variants = self.variant(number) + repeats * (0 if self.variants else _AGAIN)
        return [Key(*key) for key in zip(variants.tolist(), places.tolist(), strict=True)]


class _Batches(Sampler[list[Key]]):
    """The batches of a schedule between two steps of the run."""

    def __init__(self, schedule: Schedule, first: int, last: int) -> None:
        self._schedule, self._first, self._last = schedule, first, last

    def __iter__(self) -> Iterator[list[Key]]:
        length = self._schedule.steps_per_epoch
        for epoch in range(self._first // length, -(-self._last // length)):
            begin = epoch * length
            yield from self._schedule.epoch(epoch)[max(self._first - begin, 0) : self._last - begin]

    def __len__(self) -> int:
        return self._last - self._first


def train_batches(
    images: TrainImages, schedule: Schedule, *, first: int, last: int, workers: int
) -> Iterator[Pictures]:
    """Yield the batches of steps ``first`` to ``last - 1`` of a run.

    The workers read ahead over the ends of epochs.
    """
    yield from _load(images, _Batches(schedule, first, last), workers)


def all_images(images: TrainImages, variant: int, batch: int, workers: int) -> Iterator[Pictures]:
    """Yield every picture once, in order, under one draw of the augmentation."""
    keys = [Key(variant, index) for index in range(len(images))]
    batches = [keys[i : i + batch] for i in range(0, len(keys), batch)]
    yield from _load(images, batches, workers)


def _load(
    images: TrainImages, batches: Sampler | list[list[Key]], workers: int
) -> Iterator[Pictures]:
    # A generator of its own: starting an iterator draws from it, not from the run's stream.
    own = torch.Generator().manual_seed(0)
    loader = DataLoader(
        images,
        batch_sampler=batches,
        num_workers=workers,
        generator=own,
        pin_memory=torch.cuda.is_available(),  # a GPU copies pinned memory beside its work
    )
    try:
        for pixels, labels, indices in loader:
            yield Pictures(pixels, labels, indices)
    except InputError as error:
        # A loader process puts its traceback before the message.
        raise InputError(str(error).rpartition(f"{InputError.__name__}: ")[2]) from None
