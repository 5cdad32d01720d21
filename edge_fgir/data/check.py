"""Everything that is wrong with a data set, at once: what ``edge-fgir data check`` lists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from edge_fgir._errors import InputError
from edge_fgir._progress import progress
from edge_fgir.data.dataset import SPLITS, DataSet, Sample, Split
from edge_fgir.data.likeness import BYTES, alike
from edge_fgir.data.source import read_source
from edge_fgir.runtime import Hashes, look_hash

Kind = Literal["path", "unreadable", "class", "duplicate"]


@dataclass(frozen=True)
class Problem:
    """Something to mend.

    Attributes:
        kind: ``path``: a list names what is not there or has no business there; ``unreadable``: a
            picture cannot be decoded; ``class``: one has too few pictures; ``duplicate``: a picture
            of one split looks like one of another.
        message: What it is, in one line.
        files: The pictures, if it is about some.
    """

    kind: Kind
    message: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Findings:
    """What a check found.

    Attributes:
        data: The data set, without what its reader left out.
        problems: By kind, in the order of the splits.
    """

    data: DataSet
    problems: tuple[Problem, ...]


def check_data(
    source: str, *, strict: bool = False, min_images: int = 20, distance: int = 8
) -> Findings:
    """Decode every picture of a data set and look for what is wrong with it.

    Args:
        source: As :func:`~edge_fgir.data.open_data` takes it.
        strict: Pictures that are not upright 8-bit grey or RGB are a problem.
        min_images: Fewest pictures of a class in all splits together.
        distance: Bits of 128 in which the hashes of duplicates may differ.

    Raises:
        InputError: The source cannot be read as a data set at all.
    """
    data, _ = read_source(source, strict=strict)
    problems = [
        Problem(skipped.kind, skipped.reason, () if skipped.kind == "path" else (skipped.file,))
        for skipped in data.reading.skipped
    ]
    samples = [(split, sample) for split in SPLITS for sample in data.splits.get(split, ())]
    hashes, unreadable = _look(data, [sample for _, sample in samples])
    problems += [Problem("unreadable", str(e), (str(samples[i][1].path),)) for i, e in unreadable]
    problems += _small_classes(data, min_images)
    problems += _duplicates(data, samples, hashes, {i for i, _ in unreadable}, distance)
    return Findings(data, tuple(problems))


def _look(data: DataSet, samples: Sequence[Sample]) -> tuple[Hashes, list[tuple[int, InputError]]]:
    """Return the hash of each picture, (N, 16), and what cannot be decoded."""
    hashes = np.zeros((len(samples), BYTES), np.uint8)
    broken = []
    with progress(f"looking at {data.name}", len(samples)) as meter, ThreadPoolExecutor() as pool:
        for place, found in enumerate(pool.map(lambda sample: _hash(data, sample), samples)):
            if isinstance(found, InputError):
                broken.append((place, found))
            else:
                hashes[place] = found
            meter.advance()
    return hashes, broken


def _hash(data: DataSet, sample: Sample) -> Hashes | InputError:
    try:
        return look_hash(data.read(sample))
    except InputError as error:
        return error


def _small_classes(data: DataSet, min_images: int) -> Iterator[Problem]:
    present = [split for split in SPLITS if data.splits.get(split)]
    counts = np.array([data.counts(split) for split in present])
    for label, name in enumerate(data.classes):
        total = int(counts[:, label].sum())
        absent = [
            split for split, count in zip(present, counts[:, label], strict=True) if not count
        ]
        if absent:
            message = f"class {name} has no picture in {' and '.join(absent)}"
            yield Problem("class", message)
        elif total < min_images:
            message = f"class {name} has {total} pictures in all splits, fewer than {min_images}"
            yield Problem("class", message)


def _duplicates(
    data: DataSet,
    samples: Sequence[tuple[Split, Sample]],
    hashes: Hashes,
    unreadable: set[int],
    distance: int,
) -> Iterator[Problem]:
    known = np.array([place for place in range(len(samples)) if place not in unreadable], np.int64)
    groups = np.array([SPLITS.index(samples[place][0]) for place in known.tolist()], np.int64)
    if not len(known):
        return
    for first, second in alike(hashes[known], groups, distance):
        (split, one), (other_split, other) = samples[known[first]], samples[known[second]]
        message = f"{_shown(other.path)} of {other_split} looks like {_shown(one.path)} of {split}"
        if one.label != other.label:
            message += f", and is {data.classes[other.label]}, not {data.classes[one.label]}"
        yield Problem("duplicate", message, (str(other.path), str(one.path)))


def _shown(path: Path) -> str:
    return "/".join(path.parts[-2:])
