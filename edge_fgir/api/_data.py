"""Data as the functions of this room take it."""

from __future__ import annotations

from pathlib import Path

from edge_fgir.data import DataSet, open_data

Data = DataSet | Path | str
"""A data set, or what ``--data`` takes: a folder, or a built-in name."""


def data_set(data: Data, *, strict: bool = False) -> DataSet:
    """Return a data set, opened if it is not open already.

    Raises:
        InputError: There is no such data.
    """
    return data if isinstance(data, DataSet) else open_data(str(data), strict=strict)
