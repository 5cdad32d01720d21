"""A data set: named classes, and for each split a list of labelled pictures."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from edge_fgir._errors import InputError
from edge_fgir._progress import progress
from edge_fgir.runtime import Pixels, Preprocess, check_image, read_image
from edge_fgir.runtime.manifest import DataInfo

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class Sample:
    """One picture file and the index of its class."""

    path: Path
    label: int


@dataclass(frozen=True)
class DataSet:
    """Pictures by split.

    Attributes:
        name: For reports.
        licence: Terms of use, printed where the data is used.
        classes: Class names in the order of the labels.
        splits: Samples of each split.
        convert: Pictures that are not plain 8-bit RGB are converted instead of refused.
    """

    name: str
    licence: str
    classes: tuple[str, ...]
    splits: dict[Split, tuple[Sample, ...]]
    convert: bool = False

    def split(self, name: Split) -> tuple[Sample, ...]:
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
        counted = Counter(sample.label for sample in self.splits.get(name, ()))
        return [counted[label] for label in range(len(self.classes))]

    @cached_property
    def info(self) -> DataInfo:
        """Name, licence and a hash over file names, sizes, labels and splits."""
        digest = hashlib.sha256("\n".join(self.classes).encode())
        for split in SPLITS:
            for sample in self.splits.get(split, ()):
                line = f"{split} {sample.path.name} {sample.path.stat().st_size} {sample.label}\n"
                digest.update(line.encode(errors="surrogateescape"))
        return DataInfo(name=self.name, licence=self.licence, hash=digest.hexdigest())

    def check(self) -> None:
        """Look at the header of every picture before anything long begins.

        Raises:
            InputError: Names the first unusable picture and says how many there are.
        """
        samples = [sample for split in SPLITS for sample in self.splits.get(split, ())]
        problems = []
        with ThreadPoolExecutor() as pool:
            for problem in pool.map(self._problem, samples):
                if problem is not None:
                    problems.append(problem)
        if len(problems) > 1:
            raise InputError(
                f"{len(problems)} of {len(samples)} pictures cannot be used, {problems[0]}"
            )
        if problems:
            raise problems[0]

    def _problem(self, sample: Sample) -> InputError | None:
        try:
            check_image(sample.path, convert=self.convert)
        except InputError as error:
            return error
        return None

    def read(self, sample: Sample) -> Pixels:
        """Decode one picture, (H, W, 3) ``uint8`` RGB."""
        return read_image(sample.path, convert=self.convert)


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


def labels_of(samples: Iterable[Sample]) -> np.ndarray:
    """Return the labels of samples, (N,) ``int64``."""
    return np.fromiter((sample.label for sample in samples), np.int64)


def draw_by_class(samples: Sequence[Sample], count: int) -> list[Sample]:
    """Draw up to ``count`` samples, seeded, one class after another, so that each is present."""
    order = np.random.default_rng(0).permutation(len(samples)).tolist()
    by_class: dict[int, list[Sample]] = {}
    for position in order:
        by_class.setdefault(samples[position].label, []).append(samples[position])
    drawn: list[Sample] = []
    while len(drawn) < min(count, len(samples)):
        for label in sorted(by_class):
            if by_class[label] and len(drawn) < count:
                drawn.append(by_class[label].pop())
    return drawn
