"""Data sets, splits and what turns pictures into batches. Torch only in ``loaders``."""

from __future__ import annotations

from pathlib import Path

from edge_fgir.data.dataset import (
    SPLITS,
    DataSet,
    Sample,
    Split,
    draw_by_class,
    files_of,
    labels_of,
    prepared_images,
    typical_images,
)
from edge_fgir.data.elpv import read_elpv
from edge_fgir.data.folder import read_folder
from edge_fgir.data.packing import pack
from edge_fgir.data.shards import holds_shards, read_shards, shard_order
from edge_fgir.data.split import stratified

BUILT_IN = {"elpv": read_elpv}
"""Data sets known by name."""


def open_data(source: str, *, convert: bool = False) -> DataSet:
    """Open a data set by built-in name or folder, and check the header of every picture.

    A folder holds pictures by class, or webdataset shards.

    Raises:
        InputError: It is missing, empty, or holds pictures that cannot be used.
    """
    if source in BUILT_IN and not Path(source).is_dir():
        return BUILT_IN[source]()
    if holds_shards(Path(source)):
        return read_shards(Path(source), convert=convert)
    data = read_folder(Path(source), convert=convert)
    data.check()
    return data


__all__ = [
    "BUILT_IN",
    "SPLITS",
    "DataSet",
    "Sample",
    "Split",
    "draw_by_class",
    "files_of",
    "labels_of",
    "open_data",
    "pack",
    "prepared_images",
    "shard_order",
    "stratified",
    "typical_images",
]
