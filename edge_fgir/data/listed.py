"""Pictures that a data set's own files list: from rows to a data set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from edge_fgir._errors import InputError
from edge_fgir._paths import join_below, with_slashes
from edge_fgir._text import label_problem
from edge_fgir.data.class_names import blank_ends, composed
from edge_fgir.data.dataset import LICENCE_UNKNOWN, SPLITS, DataSet, Sample, Split
from edge_fgir.data.looks import without_broken
from edge_fgir.data.reading import Reading, Skipped
from edge_fgir.data.split_names import split_of
from edge_fgir.data.unsplit import split_fairly
from edge_fgir.data.val_aside import with_val_aside


class Listed(NamedTuple):
    """A picture of a list.

    Attributes:
        path: Relative to the folder of the pictures, with ``/``.
        label: The name of its class.
        split: Where the list puts it; None: nowhere.
    """

    path: str
    label: str
    split: Split | None = None


def below(root: Path, folder: Path, path: str) -> str:
    """Return a path of a list in ``folder``, relative to ``root``."""
    inside = folder.relative_to(root).as_posix()
    path = plain_path(path)
    return path if inside == "." else f"{inside}/{path}"


def plain_path(path: str) -> str:
    """Return a path of a list as it is written elsewhere: with ``/``, and without ``./``."""
    return with_slashes(path).removeprefix("./")


def told_by_folders(rows: Sequence[Listed]) -> list[Listed] | None:
    """Return rows with the splits whose folders their paths begin with, such as ``test/``.

    None: a row says a split itself, or not every path begins so, or all with the same.
    """
    found = [split_of(plain_path(row.path).partition("/")[0]) for row in rows]
    if None in found or len(set(found)) < 2 or any(row.split is not None for row in rows):
        return None
    return [row._replace(split=split) for row, split in zip(rows, found, strict=True)]


def listed_data(
    name: str,
    folder: Path,
    rows: Sequence[Listed],
    *,
    strict: bool,
    classes: Iterable[str] | None = None,
    notes: Sequence[str] = (),
    skipped: Iterable[Skipped] = (),
) -> tuple[DataSet, bool]:
    """Make a data set of rows.

    Where they name no split at all, and their paths do not begin with one's folder, the pictures
    are split by class and name; where they name no ``val``, 10 % of train is set aside.

    Args:
        name: Of the data set.
        folder: Where paths start.
        rows: The pictures.
        strict: As :func:`~edge_fgir.data.open_data` takes it.
        classes: Names in the order of the labels; None: sorted.
        notes: What the reader settled.
        skipped: Pictures that the reader left out.

    Returns:
        The data set, and whether every picture has been looked at.

    Raises:
        InputError: There are no rows or fewer than two classes, a picture is listed twice, a path
            leads out of the folder, or a name cannot be a label.
    """
    if (told := told_by_folders(rows)) is not None:
        rows, notes = told, (*notes, "splits are the folders that the listed paths begin with")
    names = list(dict.fromkeys(map(composed, classes or sorted({row.label for row in rows}))))
    for label in names:
        if (problem := label_problem(label)) is not None:
            raise InputError(f"{name} has a class {label!a} that {problem}", "one line of text")
    if len(names) < 2:
        raise InputError(f"{name} has {len(names)} classes", "at least 2")
    label_of = {label: place for place, label in enumerate(names)}
    samples: dict[Split | None, list[Sample]] = {}
    taken: dict[str, Split | None] = {}
    for row in (row._replace(path=plain_path(row.path)) for row in rows):
        if row.path in taken:
            raise InputError(f"{name} lists {row.path} twice", "each picture once")
        taken[row.path] = row.split
        sample = Sample(join_below(folder, row.path), label_of[composed(row.label)])
        samples.setdefault(row.split, []).append(sample)
    unsplit = samples.pop(None, [])
    reading = Reading((*notes, *blank_ends(names)), tuple(skipped))
    if not samples:
        data = DataSet(name, LICENCE_UNKNOWN, tuple(names), {}, strict, reading=reading)
        return split_fairly(data, folder, unsplit), True
    if unsplit:
        reading = reading.noting(f"{len(unsplit)} listed pictures are in no split: not read")
    splits = {split: tuple(samples[split]) for split in SPLITS if split in samples}
    if "train" not in splits:
        raise InputError(f"{name} lists no training pictures", "a list of train")
    data = DataSet(name, LICENCE_UNKNOWN, tuple(names), splits, strict, reading=reading)
    if "val" not in splits:
        data = with_val_aside(data, "a list of val")
    return without_broken(data), True
