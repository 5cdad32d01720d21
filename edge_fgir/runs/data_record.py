"""The pictures that a run was trained on, so that it knows other ones when it sees them."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from edge_fgir._errors import InputError
from edge_fgir._files import regular, write_atomic
from edge_fgir.data import SPLITS, DataSet, Split

Digests = npt.NDArray[np.uint64]
_Pictures = Counter[tuple[int, int]]
"""Name and content of pictures, and how often they occur."""


@dataclass(frozen=True)
class SplitChange:
    """How the pictures of a split differ from those of the record.

    Attributes:
        split: Which.
        added: Pictures that it did not have.
        removed: Pictures that it no longer has.
        replaced: Pictures of the same class and file name, and of another size.
        renamed: Pictures of the same class and size, and of another name, as packing gives them.
        learned: Of those that are new here, the ones that were learned from.
    """

    split: Split
    added: int = 0
    removed: int = 0
    replaced: int = 0
    renamed: int = 0
    learned: int = 0

    def __str__(self) -> str:
        figures = {
            "added": self.added,
            "removed": self.removed,
            "replaced": self.replaced,
            "renamed": self.renamed,
        }
        parts = [f"{count} {what}" for what, count in figures.items() if count]
        if self.learned:
            parts.append(f"{self.learned} of them learned")
        return f"{self.split}: {', '.join(parts)}"


@dataclass(frozen=True)
class DataChange:
    """How data differs from what a run was trained on, in pictures of the same classes.

    Attributes:
        splits: Those that changed.
        unknown: The run is of a version that recorded a hash alone, which is another one.
    """

    splits: tuple[SplitChange, ...] = ()
    unknown: bool = False

    def __bool__(self) -> bool:
        return bool(self.splits) or self.unknown

    @property
    def other_pictures(self) -> bool:
        """Whether there is more to it than other file names."""
        return self.unknown or any(
            each.added or each.removed or each.replaced for each in self.splits
        )

    def learned(self, split: Split) -> int:
        """Return how many pictures of a split the run was trained on, and did not find there."""
        return sum(each.learned for each in self.splits if each.split == split)

    def __str__(self) -> str:
        if self.unknown:
            return "which ones, a run of an earlier version does not know"
        return "; ".join(map(str, self.splits))


@dataclass(frozen=True)
class DataRecord:
    """Which pictures a data set has, in 16 bytes a picture.

    Attributes:
        hash: Of the data set, as its ``info`` has it.
        names: Of each split (N,): a digest of class and file name.
        contents: Of each split (N,): a digest of class and bytes of the file.
    """

    hash: str
    names: Mapping[Split, Digests]
    contents: Mapping[Split, Digests]

    @classmethod
    def of(cls, data: DataSet) -> DataRecord:
        """Return the record of a data set; no picture is opened."""
        names: dict[Split, Digests] = {}
        contents: dict[Split, Digests] = {}
        for split in SPLITS:
            entries = list(data.entries(split))
            names[split] = _digests(f"{label} {name}" for name, _, label in entries)
            contents[split] = _digests(f"{label} {size}" for _, size, label in entries)
        return cls(data.info.hash, names, contents)

    @classmethod
    def read(cls, path: Path) -> DataRecord:
        """Read what :meth:`write` wrote.

        Raises:
            InputError: It is damaged.
        """
        try:
            with safe_open(regular(path), framework="numpy") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
                about = json.loads((file.metadata() or {})["about"])
            columns = [
                {split: _column(tensors[f"{split}/{kind}"]) for split in SPLITS}
                for kind in ("names", "contents")
            ]
            for split in SPLITS:
                if len(columns[0][split]) != len(columns[1][split]):
                    raise ValueError(f"{split} has columns of two lengths")
            return cls(str(about["hash"]), *columns)
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path} cannot be read ({error})",
                "the record of the run's data as saved",
                "delete it: the run then knows its data by a hash alone",
            ) from error

    def write(self, path: Path) -> None:
        """Write it, atomically."""
        tensors = {
            f"{split}/{kind}": column[split]
            for kind, column in (("names", self.names), ("contents", self.contents))
            for split in SPLITS
        }
        write_atomic(path, save(tensors, {"about": json.dumps({"hash": self.hash})}))

    def change(self, data: DataSet, *, learned_val: bool = False) -> DataChange:
        """Return how a data set of the same classes differs.

        Args:
            data: As it is now.
            learned_val: The validation split was learned from too.
        """
        if data.info.hash == self.hash:
            return DataChange()
        now = DataRecord.of(data)
        learned = self._pictures("train")
        if learned_val:
            learned += self._pictures("val")
        changes = (self._split_change(now, split, learned) for split in SPLITS)
        return DataChange(tuple(each for each in changes if each != SplitChange(each.split)))

    def _split_change(self, now: DataRecord, split: Split, learned: _Pictures) -> SplitChange:
        before, after = self._pictures(split), now._pictures(split)
        gone, new = before - after, after - before
        known = 0 if split == "train" else (new & learned).total()
        # A file's name tells it from others better than its size.
        replaced, renamed = _matched(gone, new, 0), _matched(gone, new, 1)
        return SplitChange(split, new.total(), gone.total(), replaced, renamed, known)

    def _pictures(self, split: Split) -> _Pictures:
        return Counter(zip(self.names[split].tolist(), self.contents[split].tolist(), strict=True))


def _matched(gone: _Pictures, new: _Pictures, part: int) -> int:
    """Take pictures that are equal in a part out of both, and return how many they were."""
    alike: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for picture in gone.elements():
        alike[picture[part]].append(picture)
    count = 0
    for picture in list(new.elements()):
        if alike[picture[part]]:
            gone[alike[picture[part]].pop()] -= 1
            new[picture] -= 1
            count += 1
    return count


def _digests(texts: Iterable[str]) -> Digests:
    """Return 8 bytes of a hash of each text, (N,)."""
    raw = (blake2b(each.encode(errors="surrogateescape"), digest_size=8) for each in texts)
    return np.frombuffer(b"".join(digest.digest() for digest in raw), np.uint64)


def _column(tensor: npt.NDArray[np.generic]) -> Digests:
    if tensor.dtype != np.uint64 or tensor.ndim != 1:
        raise ValueError(f"a column of {tensor.dtype}, {tensor.ndim} axes")
    return tensor.astype(np.uint64)
