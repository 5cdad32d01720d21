"""From what a user calls a data set to the data set, whatever form it has."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from edge_fgir._errors import InputError
from edge_fgir.data.csv_source import CsvSource
from edge_fgir.data.dataset import DataSet, refuse
from edge_fgir.data.elpv import read_elpv
from edge_fgir.data.folder import read_folder
from edge_fgir.data.shards import holds_shards, read_shards

BUILT_IN = {"elpv": read_elpv}
"""Data sets known by name."""


class Found(NamedTuple):
    """A data set as it lies there.

    Attributes:
        data: Its pictures.
        problems: Rows of lists that cannot be used; they are left out.
        checked: Every picture's header has been looked at.
    """

    data: DataSet
    problems: list[InputError]
    checked: bool


def read_source(source: str, *, convert: bool = False) -> Found:
    """Read a data set by built-in name or place.

    Raises:
        InputError: It is missing, empty or no data set.
    """
    if source in BUILT_IN and not Path(source).is_dir():
        return Found(BUILT_IN[source](), [], checked=True)
    if holds_shards(Path(source)):
        return Found(read_shards(Path(source), convert=convert), [], checked=True)
    if lists := CsvSource.find(source):
        return Found(*lists.read(convert=convert), checked=False)
    return Found(read_folder(Path(source), convert=convert), [], checked=False)


def open_data(source: str, *, convert: bool = False) -> DataSet:
    """Open a data set by built-in name or place, and check the header of every picture.

    A folder holds pictures by class, webdataset shards, or lists (:class:`CsvSource`); lists may
    also be named themselves, with commas between them.

    Raises:
        InputError: It is missing, empty, or holds pictures that cannot be used.
    """
    found = read_source(source, convert=convert)
    refuse(found.problems, sum(map(len, found.data.splits.values())) + len(found.problems))
    if not found.checked:
        found.data.check()
    return found.data
