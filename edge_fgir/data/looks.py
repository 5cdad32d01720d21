"""How every picture looks, and whether it can be decoded; kept between commands.

Every picture is decoded once before anything long begins: damage in its middle shows in no header.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_fgir._cache import cache_path
from edge_fgir._errors import InputError
from edge_fgir._files import sha256, write_atomic
from edge_fgir._progress import Meter, progress
from edge_fgir.data.arrays import read_arrays
from edge_fgir.data.dataset import SPLITS, DataSet, Split
from edge_fgir.data.likeness import BYTES
from edge_fgir.data.reading import Skipped
from edge_fgir.runtime import Hashes, look_hash, read_image

_VERSION = 1
_MANY = 500
_SIDE = 64
"""Pixels that a hash needs; a JPEG is decoded no larger than that takes."""


def without_broken(data: DataSet) -> DataSet:
    """Decode every picture of a data set that has not been decoded before.

    Returns:
        It without those that cannot be used.
    """
    places = [
        (split, place) for split in SPLITS for place in range(len(data.splits.get(split, ())))
    ]
    files = [sample.path for split in SPLITS for sample in data.splits.get(split, ())]
    if not files:
        return data
    _, broken = looks_of(common_root(data), files, strict=data.strict)
    skipped: dict[Split, dict[int, Skipped]] = {split: {} for split in SPLITS}
    for row, picture in broken.items():
        split, place = places[row]
        skipped[split][place] = picture
    return data.without(skipped)


def common_root(data: DataSet) -> Path:
    """Return the folder that holds all pictures of a data set, by which its looks are kept."""
    samples = (sample for split in data.splits.values() for sample in split)
    return Path(os.path.commonpath([sample.path.parent for sample in samples]))


def looks_of(
    root: Path, files: Sequence[Path], *, strict: bool
) -> tuple[Hashes, dict[int, Skipped]]:
    """Decode pictures and say how they look.

    Answers are kept in the user's cache folder, and used again for files of the same size and time
    of change.

    Args:
        root: The folder of the data set.
        files: Pictures below it.
        strict: Pictures that are not upright 8-bit grey or RGB are unusable.

    Returns:
        (N, 16) hashes, and what is wrong with the pictures that cannot be used, by place.
    """
    marks = np.array([_mark(file) for file in files], np.int64)
    names = [file.relative_to(root).as_posix() for file in files]
    kept = _Kept(root, strict=strict)
    hashes, known = kept.find(names, marks.reshape(-1, 2))
    new = np.flatnonzero(~known).tolist()
    broken: dict[int, Skipped] = {}
    # A few are looked at in no time.
    shown = progress if len(new) >= _MANY else _quiet
    with shown(f"looking at {root.name}", len(new)) as meter, ThreadPoolExecutor() as pool:
        look = pool.map(lambda place: _look(files[place], strict=strict), new)
        for place, answer in zip(new, look, strict=True):
            if isinstance(answer, Skipped):
                broken[place] = answer
            else:
                hashes[place] = answer
            meter.advance()
    if new:
        good = [place for place in range(len(files)) if place not in broken]
        kept.keep([names[place] for place in good], marks[good], hashes[good])
    return hashes, broken


def _mark(file: Path) -> tuple[int, int]:
    try:
        stat = file.stat()
    except OSError:
        return -1, -1  # gone, or out of reach: looking at it will tell
    return stat.st_size, stat.st_mtime_ns


@contextmanager
def _quiet(title: str, total: int) -> Iterator[Meter]:
    yield Meter()


def _look(file: Path, *, strict: bool) -> Hashes | Skipped:
    try:
        return look_hash(read_image(file, convert=not strict, at_least=_SIDE))
    except InputError as error:
        return Skipped(str(file), str(error))


class _Kept:
    """The answers of earlier commands about one folder."""

    def __init__(self, root: Path, *, strict: bool) -> None:
        place = sha256(f"{_VERSION} {strict} {root.resolve()}".encode(errors="surrogateescape"))
        # Without a home folder nothing is kept.
        self._path: Path | None = None
        with suppress(InputError):
            self._path = cache_path() / "looks" / f"{place}.npz"

    def find(
        self, names: Sequence[str], marks: npt.NDArray[np.int64]
    ) -> tuple[Hashes, npt.NDArray[np.bool_]]:
        """Return the kept hashes of files, and which there are."""
        hashes, known = np.zeros((len(names), BYTES), np.uint8), np.zeros(len(names), bool)
        table = self._table()
        for place, (name, mark) in enumerate(zip(names, marks.tolist(), strict=True)):
            if (found := table.get((name, *mark))) is not None:
                hashes[place], known[place] = found, True
        return hashes, known

    def _table(self) -> dict[tuple[str, int, int], Hashes]:
        try:
            assert self._path is not None
            with read_arrays(self._path) as archive:
                names = archive["names"].tobytes().decode(errors="surrogateescape").split("\0")
                marks = archive["marks"].astype(np.int64, casting="same_kind")
                hashes = archive["hashes"].astype(np.uint8, casting="same_kind")
            keys = [(name, *mark) for name, mark in zip(names, marks.tolist(), strict=True)]
            return dict(zip(keys, hashes.reshape(-1, BYTES), strict=True))
        except Exception:  # whatever is wrong with it, it can be made again
            return {}

    def keep(self, names: Sequence[str], marks: npt.NDArray[np.int64], hashes: Hashes) -> None:
        """Keep the hashes of files in place of all that was kept."""
        if self._path is None:
            return
        text = np.frombuffer("\0".join(names).encode(errors="surrogateescape"), np.uint8)
        buffer = io.BytesIO()
        np.savez(buffer, names=text, marks=marks, hashes=hashes)
        with suppress(OSError):
            write_atomic(self._path, buffer.getvalue())
