"""Samples of a list: names and labels, made into objects one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt

from edge_fgir.data.dataset import Sample


class CsvSamples(Sequence[Sample]):
    """Samples of one list: a name and a number each, not an object.

    Attributes:
        labels: (N,) ``int64``, class of each sample.
    """

    def __init__(self, root: Path, names: Sequence[str], labels: npt.NDArray[np.int64]) -> None:
        self.labels = labels
        self._root, self._names = root, names

    @property
    def files(self) -> list[Path]:
        """The pictures' files."""
        return [self._root / name for name in self._names]

    def entries(self) -> Iterator[tuple[str, int, int]]:
        """Yield file name, bytes and label of each sample."""
        for file, label in zip(self.files, self.labels.tolist(), strict=True):
            yield file.name, file.stat().st_size, label

    def take(self, places: Sequence[int]) -> CsvSamples:
        """Return some of the samples."""
        names = [self._names[place] for place in places]
        return CsvSamples(self._root, names, self.labels[np.asarray(places, np.int64)])

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> CsvSamples: ...
    def __getitem__(self, index: int | slice) -> Sample | CsvSamples:
        if isinstance(index, slice):
            return self.take(range(*index.indices(len(self))))
        return Sample(self._root / self._names[index], int(self.labels[index]))
