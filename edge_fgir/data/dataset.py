"""A data set: named classes, and for each split a list of labelled pictures."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from edge_fgir._errors import InputError
from edge_fgir._paths import stays_below
from edge_fgir._progress import progress
from edge_fgir.data.part import Part
from edge_fgir.data.reading import Reading, Skipped
from edge_fgir.runtime import DataInfo, Pixels, Preprocess, read_image

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

LICENCE_UNKNOWN = "not stated; check the terms of your data"
"""The licence of data that does not state one."""


@dataclass(frozen=True)
class Sample:
    """One picture and the index of its class.

    Attributes:
        path: The picture's file; inside a shard, only a name for it: ``<shard>.tar/<member>``.
        label: Index of the class.
        part: Where a picture inside a shard lies.
    """

    path: Path
    label: int
    part: Part | None = None

    @property
    def file(self) -> Path:
        """The file on disk that holds the picture: its own, or the shard."""
        return self.path if self.part is None else self.part.file

    @property
    def size(self) -> int:
        """Bytes of the encoded picture."""
        return self.path.stat().st_size if self.part is None else self.part.size

    def read_bytes(self) -> bytes:
        """Return the encoded picture.

        Raises:
            InputError: The shard is gone, was cut, or holds something else there.
        """
        if self.part is None:
            return self.path.read_bytes()
        return self.part.read(self.path.relative_to(self.part.file).as_posix())


@runtime_checkable
class Table(Protocol):
    """Samples kept as arrays, for sets too large for an object a picture."""

    labels: npt.NDArray[np.int64]
    files: Sequence[Path]

    def entries(self) -> Iterator[tuple[str, int, int]]:
        """Yield file name, bytes and label of each sample."""

    def take(self, places: Sequence[int]) -> Sequence[Sample]:
        """Return some of the samples."""


@dataclass(frozen=True)
class DataSet:
    """Pictures by split.

    Attributes:
        name: For reports.
        licence: Terms of use, printed where the data is used.
        classes: Class names in the order of the labels.
        splits: Samples of each split.
        strict: Pictures that are not plain 8-bit RGB are refused instead of converted.
        shard_sizes: For a split that lies in shards, the number of its samples in each shard, in
            the order of the samples: what :func:`edge_fgir.data.shard_order` takes.
        reading: How it was read, and what was left out.
    """

    name: str
    licence: str
    classes: tuple[str, ...]
    splits: Mapping[Split, Sequence[Sample]]
    strict: bool = False
    shard_sizes: Mapping[Split, tuple[int, ...]] = field(default_factory=dict)
    reading: Reading = field(default_factory=Reading)

    def __post_init__(self) -> None:
        for name in self.classes:
            if not stays_below(
                name
            ):  # data sets come from elsewhere, and class names become folders
                raise InputError(
                    f"data {self.name} calls a class {name!r}",
                    "a name that can be a folder's: not .., and no / at either end",
                    "rename it",
                )

    def split(self, name: Split) -> Sequence[Sample]:
        """Return the samples of one split.

        Raises:
            InputError: There is no such split.
        """
        if not self.splits.get(name):
            have = ", ".join(split for split in SPLITS if self.splits.get(split))
            raise InputError(f"data {self.name} has no {name} split", f"one of {have}")
        return self.splits[name]

    def counts(self, name: Split) -> list[int]:
        """Return the number of pictures of each class in one split."""
        labels = labels_of(self.splits.get(name, ()))
        counted: list[int] = np.bincount(labels, minlength=len(self.classes)).tolist()
        return counted

    def with_val_in_train(self) -> DataSet:
        """Return it with val's pictures in train too; val stays as it is.

        Raises:
            InputError: There is no val.
        """
        splits = {**self.splits, "train": [*self.split("train"), *self.split("val")]}
        shards = {**self.shard_sizes}
        shards.pop("train", None)
        return replace(self, splits=splits, shard_sizes=shards)

    @cached_property
    def info(self) -> DataInfo:
        """Name, licence and a hash over file names, sizes, labels and splits."""
        digest = hashlib.sha256("\n".join(self.classes).encode())
        for split in SPLITS:
            for name, size, label in self.entries(split):
                line = f"{split} {name} {size} {label}\n"
                digest.update(line.encode(errors="surrogateescape"))
        return DataInfo(name=self.name, licence=self.licence, hash=digest.hexdigest())

    def entries(self, name: Split) -> Iterator[tuple[str, int, int]]:
        """Yield file name, bytes and label of each picture of a split, which may be empty."""
        return _entries(self.splits.get(name, ()))

    def without(self, skipped: Mapping[Split, Mapping[int, Skipped]]) -> DataSet:
        """Return it without pictures that cannot be used; :attr:`reading` lists them.

        Args:
            skipped: What is wrong with them, by split and place.
        """
        splits = {
            split: _without(samples, skipped[split]) if skipped.get(split) else samples
            for split, samples in self.splits.items()
        }
        lost = (picture for split in SPLITS for picture in skipped.get(split, {}).values())
        return replace(self, splits=splits, reading=self.reading.skipping(lost))

    def read_as(self, reading: Reading) -> DataSet:
        """Return it with another account of how it was read."""
        return replace(self, reading=reading)

    def read(self, sample: Sample) -> Pixels:
        """Decode one picture, (H, W, 3) ``uint8`` RGB."""
        return read_image(sample.path, convert=not self.strict, file=_content(sample))


def _content(sample: Sample) -> io.BytesIO | None:
    return None if sample.part is None else io.BytesIO(sample.read_bytes())


def _without(samples: Sequence[Sample], places: Container[int]) -> Sequence[Sample]:
    """Return samples but for those at some places."""
    kept = [place for place in range(len(samples)) if place not in places]
    if isinstance(samples, Table):
        return samples.take(kept)
    return tuple(samples[place] for place in kept)


def _entries(samples: Sequence[Sample]) -> Iterator[tuple[str, int, int]]:
    if isinstance(samples, Table):
        yield from samples.entries()
        return
    for sample in samples:
        yield sample.path.name, sample.size, sample.label


def prepared_images(data: DataSet, samples: Sequence[Sample], preprocess: Preprocess) -> Pixels:
    """Return samples as the device sees them: (N, S, S, 3) ``uint8`` RGB."""
    size = preprocess.size
    pixels = np.empty((len(samples), size, size, 3), np.uint8)
    with progress(f"reading {data.name}", len(samples)) as meter, ThreadPoolExecutor(2) as pool:
        ready = pool.map(lambda sample: preprocess.apply(data.read(sample)), samples)
        for index, image in enumerate(ready):
            pixels[index] = image
            meter.advance()
    return pixels


def labels_of(samples: Iterable[Sample]) -> npt.NDArray[np.int64]:
    """Return the labels of samples, (N,) ``int64``."""
    if isinstance(samples, Table):
        return samples.labels
    return np.fromiter((sample.label for sample in samples), np.int64)


def files_of(samples: Iterable[Sample]) -> list[Path]:
    """Return the files on disk that hold the samples, each once, in order."""
    if isinstance(samples, Table):
        return list(samples.files)
    return list(dict.fromkeys(sample.file for sample in samples))


def draw_by_class(samples: Sequence[Sample], count: int) -> list[Sample]:
    """Draw up to ``count`` samples, seeded, one class after another, so that each is present."""
    labels = labels_of(samples)
    order = np.random.default_rng(0).permutation(len(samples))
    # Class after class; within a class from the end of the order, as a pile is dealt from its top.
    order = order[::-1][np.argsort(labels[order[::-1]], kind="stable")]
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    rounds = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    drawn = order[np.argsort(rounds, kind="stable")][:count]
    return [samples[position] for position in drawn.tolist()]


def typical_images(data: DataSet, preprocess: Preprocess, count: int = 512) -> Pixels:
    """Return training pictures of every class as the device would see them, (N, S, S, 3)."""
    return prepared_images(data, draw_by_class(data.split("train"), count), preprocess)
