"""webdataset shards: tars of ``key.jpg`` and ``key.cls`` pairs, and the order to train on them in.

    SHARDS/labels.txt                    class names, a line each, in the order of the labels
    SHARDS/train-000000.tar ...          or train/*.tar; the same for val and test
    SHARDS/dataset.json                  name, licence, counts; optional, ``data pack`` writes it

A ``.cls`` holds the number of a class, or its name where that is not a number. Nothing is ever
unpacked: a sample is a range of bytes in its tar.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from edge_fgir._errors import InputError
from edge_fgir._files import read_file
from edge_fgir._paths import join_below
from edge_fgir._refusal import validated
from edge_fgir._text import label_problem
from edge_fgir.data.dataset import LICENCE_UNKNOWN, SPLITS, DataSet, Sample, Split
from edge_fgir.data.part import Part
from edge_fgir.data.reading import Reading
from edge_fgir.data.shard_index import Contents, index_shards
from edge_fgir.data.split import set_val_aside
from edge_fgir.data.texts import read_text

CARD = "dataset.json"
LABELS = "labels.txt"

_LAYOUT = "labels.txt and train-*.tar or train/*.tar, and the same for test (and val)"
_WINDOW = 4
_BLOCK = 1 << 16


class Card(BaseModel):
    """``dataset.json``: what the data is and how many pictures each split has."""

    name: str
    licence: str
    pictures: dict[Split, int]


class ShardSamples(Sequence[Sample]):
    """Samples of a split's shards; about 60 bytes each, made into objects one at a time.

    Attributes:
        files: The shards.
        labels: (N,) ``int64``, class of each sample.
    """

    def __init__(self, files: Sequence[Path], contents: Sequence[Contents]) -> None:
        self.files = tuple(files)
        self.labels = np.concatenate([found.labels for found in contents])
        self._offsets = np.concatenate([found.offsets for found in contents])
        self._sizes = np.concatenate([found.sizes for found in contents])
        self._shards = np.repeat(np.arange(len(files), dtype=np.int32), [len(c) for c in contents])
        self._names = np.concatenate([found.names for found in contents])
        self._name_ends = np.cumsum(np.concatenate([found.lengths for found in contents]))
        self._name_starts = self._name_ends - np.concatenate([found.lengths for found in contents])

    @property
    def shard_sizes(self) -> tuple[int, ...]:
        """Number of samples in each shard, in the order of the samples."""
        return tuple(np.bincount(self._shards, minlength=len(self.files)).tolist())

    def take(self, rows: npt.NDArray[np.int64] | Sequence[int]) -> ShardSamples:
        """Return some of the samples, sharing the names."""
        taken = object.__new__(ShardSamples)
        taken.files, taken._names = self.files, self._names
        for column in ("labels", "_offsets", "_sizes", "_shards", "_name_starts", "_name_ends"):
            setattr(taken, column, getattr(self, column)[np.asarray(rows, np.int64)])
        return taken

    def entries(self) -> Iterator[tuple[str, int, int]]:
        """Yield file name, bytes and label of each sample."""
        columns = (self._name_starts, self._name_ends, self._sizes, self.labels)
        for first in range(0, len(self), _BLOCK):
            block = (column[first : first + _BLOCK].tolist() for column in columns)
            for start, end, size, label in zip(*block, strict=True):
                yield self._name(start, end).rsplit("/", 1)[-1], size, label

    def _name(self, start: int, end: int) -> str:
        return self._names[start:end].tobytes().decode(errors="surrogateescape")

    def __len__(self) -> int:
        return len(self.labels)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> ShardSamples: ...
    def __getitem__(self, index: int | slice) -> Sample | ShardSamples:
        if isinstance(index, slice):
            return self.take(range(*index.indices(len(self))))
        row = range(len(self))[index]
        file = self.files[self._shards[row]]
        part = Part(file, int(self._offsets[row]), int(self._sizes[row]))
        name = self._name(self._name_starts[row], self._name_ends[row])
        return Sample(join_below(file, name), int(self.labels[row]), part)


def holds_shards(root: Path) -> bool:
    """Say whether a folder holds shards, and no folders of classes below ``train``."""
    if not root.is_dir() or not shards_in(root):
        return False
    train = root / "train"
    return not (train.is_dir() and any(path.is_dir() for path in train.iterdir()))


def shards_in(root: Path) -> list[Path]:
    """Return the files that are shards by their names."""
    return [tar for split in SPLITS for tar in _tars(root, split)]


def _tars(root: Path, split: Split) -> list[Path]:
    found = [*root.glob(f"{split}-*.tar"), *root.glob(f"{split}/*.tar")]
    return sorted(path for path in found if path.is_file() and not path.name.startswith("."))


def read_shards(root: Path, *, strict: bool = False) -> DataSet:
    """Read a data set from shards. Without ``val``, 10 % of train is set aside, by class, seeded.

    Raises:
        InputError: ``labels.txt`` is missing or wrong, or a shard or a picture cannot be used.
    """
    classes = _read_classes(root / LABELS)
    tars = {split: found for split in SPLITS if (found := _tars(root, split))}
    every = [tar for found in tars.values() for tar in found]
    contents = dict(zip(every, index_shards(root, every, classes, strict=strict), strict=True))
    splits: dict[Split, ShardSamples] = {
        split: ShardSamples(found, [contents[tar] for tar in found])
        for split, found in tars.items()
    }
    skipped = {
        split: [picture for tar in found for picture in contents[tar].skipped]
        for split, found in tars.items()
    }
    name, licence = _described(
        root, {split: len(splits[split]) + len(skipped[split]) for split in splits}
    )
    if "train" in splits and "val" not in splits:
        train = splits["train"]
        parts = set_val_aside(train.labels.tolist(), "train", "val shards")
        splits["train"], splits["val"] = (train.take(part) for part in parts)
    reading = Reading().skipping(chain.from_iterable(skipped.values()))
    sizes = {split: samples.shard_sizes for split, samples in splits.items()}
    return DataSet(name, licence, classes, splits, strict, sizes, reading)


def _read_classes(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        raise InputError(
            f"{path.parent} holds shards and no {LABELS}",
            "class names, a line each, in the order of the labels",
            f"write {path}",
        )
    classes = tuple(read_text(path).splitlines())
    for name in classes:
        if name.strip() and (problem := label_problem(name)) is not None:
            raise InputError(f"{path} names a class {name!a}, which {problem}", "plain text")
    if len(classes) < 2 or len(set(classes)) < len(classes) or not all(map(str.strip, classes)):
        raise InputError(
            f"{path} has {len(classes)} lines, {len(set(classes))} of them different",
            "at least 2 class names, each once, and no empty line",
        )
    return classes


def _described(root: Path, pictures: dict[Split, int]) -> tuple[str, str]:
    """Return name and licence, if the card counts the pictures that are there."""
    path = root / CARD
    if not path.exists():
        return root.resolve().name, LICENCE_UNKNOWN
    card = validated(Card, read_file(path), path, "name, licence, pictures")
    for split in SPLITS:
        found, said = pictures.get(split, 0), card.pictures.get(split, 0)
        if found != said:
            raise InputError(
                f"{root} holds {found} {split} pictures and {CARD} says {said}",
                "every shard of the set",
                "copy it again",
            )
    return card.name, card.licence


def shard_order(
    shard_sizes: Sequence[int], seed: int, epoch: int, rank: int = 0, world: int = 1
) -> npt.NDArray[np.int64]:
    """Return the samples one process reads in an epoch, in the order it reads them.

    The shards are shuffled, laid end to end and cut into ``world`` equal stretches, so that a
    process reads its own shards (it shares at most the first and the last with a neighbour) and
    no sample is read twice. Along its stretch a process shuffles the samples of 4 shards at a
    time. The order is a function of its arguments alone: a resumed run takes it up at any step.

    webdataset's own ``split_by_node`` deals whole shards: processes then get different numbers of
    samples, and none at all where there are fewer shards than processes.

    Args:
        shard_sizes: Number of samples in each shard: ``DataSet.shard_sizes[split]``.
        seed: Of the run.
        epoch: Counted from 0.
        rank: This process.
        world: Number of processes.

    Returns:
        (sum of sizes // world,) indices into the split; the fewer than ``world`` samples left over
        are dropped, other ones every epoch.
    """
    sizes = np.asarray(shard_sizes, np.int64)
    starts = np.cumsum(sizes) - sizes
    shards = np.random.default_rng([seed, epoch]).permutation(len(sizes))
    ends = np.cumsum(sizes[shards])
    share = int(sizes.sum()) // world
    first, last = rank * share, (rank + 1) * share
    # Where the stretch begins and ends inside each of the shuffled shards.
    lows = np.clip(first - (ends - sizes[shards]), 0, sizes[shards])
    highs = np.clip(last - (ends - sizes[shards]), 0, sizes[shards])
    pieces = [
        np.arange(start + low, start + high)
        for start, low, high in zip(starts[shards], lows, highs, strict=True)
        if low < high
    ]
    random = np.random.default_rng(np.random.SeedSequence([seed, epoch], spawn_key=(rank,)))
    windows = [
        random.permutation(np.concatenate(pieces[i : i + _WINDOW]))
        for i in range(0, len(pieces), _WINDOW)
    ]
    return np.concatenate(windows) if windows else np.empty(0, np.int64)
