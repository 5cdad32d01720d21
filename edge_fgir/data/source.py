"""From what a user calls a data set to the data set, whatever form it has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from edge_fgir._errors import InputError
from edge_fgir._progress import say
from edge_fgir.data.class_names import visible_folders
from edge_fgir.data.csv_source import CsvSource
from edge_fgir.data.dataset import DataSet
from edge_fgir.data.elpv import read_elpv
from edge_fgir.data.folder import read_folder
from edge_fgir.data.looks import without_broken
from edge_fgir.data.other_forms import refused_file, refused_folder
from edge_fgir.data.published import READERS
from edge_fgir.data.reading import Reading, refuse
from edge_fgir.data.shards import holds_shards, read_shards, shards_in
from edge_fgir.runtime import is_picture

BUILT_IN = {"elpv": read_elpv}
"""Data sets known by name."""

_DEEPEST = 3
"""Folders in folders, as ``download/VOCdevkit/VOC2012``."""


def read_source(source: str, *, strict: bool = False) -> tuple[DataSet, bool]:
    """Read a data set by built-in name or place.

    Returns:
        It without the pictures that are known to be unusable, and whether all have been looked at.

    Raises:
        InputError: It is missing, empty or no data set.
    """
    if source in BUILT_IN and not Path(source).is_dir():
        return BUILT_IN[source](), True
    path = Path(source)
    if holds_shards(path):
        return read_shards(path, strict=strict), True
    if path.exists():
        for place in (path, *_wrapped(path)):
            for read in READERS:
                if (data := read(place, strict)) is not None:
                    return data if place == path else _called(path, place, *data)
    if lists := CsvSource.find(source):
        return lists.read(strict=strict), False
    if path.is_file():
        raise refused_file(path)
    try:
        return read_folder(path, strict=strict)
    except InputError as error:
        raise (refused_folder(path, shards_in(path)) or error) from error


def open_data(source: str, *, strict: bool = False) -> DataSet:
    """Open a data set by built-in name or place, and look at every picture that is new.

    A folder holds pictures by class, split or not (:func:`read_folder`), webdataset shards, the
    files of a published data set (:data:`READERS`), or lists (:class:`CsvSource`); lists may also
    be named themselves, with commas between them.
    Pictures that cannot be used are left out. What was settled and left out is said once, on
    standard error, and is the data set's ``reading``.

    Args:
        source: The name or place.
        strict: Refuse instead of leaving anything out, and refuse pictures that are not upright
            8-bit grey or RGB instead of converting them.

    Raises:
        InputError: It is missing or empty, most of its pictures cannot be used, or a class has no
            usable training picture; with ``strict``, any picture cannot be used.
    """
    data, all_looked_at = read_source(source, strict=strict)
    data = data if all_looked_at else without_broken(data)
    skipped = data.reading.skipped
    refuse(skipped, sum(map(len, data.splits.values())) + len(skipped), strict=strict)
    _check_learnable(data)
    say(data.reading.lines(data.name))
    return data


def _wrapped(path: Path) -> Iterator[Path]:
    """Yield the only folder in a folder, as archives leave it, and the only one in that."""
    for _ in range(_DEEPEST):
        folders = visible_folders(path) if path.is_dir() else []
        if len(folders) != 1 or any(map(is_picture, path.iterdir())):
            return
        path = folders[0]
        yield path


def _called(path: Path, place: Path, data: DataSet, all_looked_at: bool) -> tuple[DataSet, bool]:
    """Return what was read from a folder in ``path`` as the data set of that name."""
    reading = Reading((f"read from {place}", *data.reading.notes), data.reading.skipped)
    return replace(data, name=path.name, reading=reading), all_looked_at


def _check_learnable(data: DataSet) -> None:
    """Raise InputError if what was left out leaves a class without training pictures."""
    if not data.reading.skipped or not data.splits.get("train"):
        return
    for name, count in zip(data.classes, data.counts("train"), strict=True):
        if not count:
            raise InputError(
                f"class {name} of {data.name} has no usable training picture",
                "at least one",
                "edge-fgir data check lists what is wrong with its pictures",
            )
