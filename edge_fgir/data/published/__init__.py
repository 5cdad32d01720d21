"""Data sets in the form in which they are published, a reader a module."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge_fgir.data.dataset import DataSet
from edge_fgir.data.published import (
    aircraft,
    cars,
    class_lists,
    coco,
    createml,
    cub,
    flowers,
    imagefolder,
    one_hot,
    pets,
    table,
    voc,
    yolo,
)

Reader = Callable[[Path, bool], tuple[DataSet, bool] | None]
"""Reads a folder or a file, strictly or not; None if it has another form.

With the data set it says whether every picture has been looked at. What has the form and cannot
be read raises InputError.
"""

READERS: tuple[Reader, ...] = (
    cub.read,
    aircraft.read,
    cars.read,
    flowers.read,
    pets.read,
    class_lists.read,
    imagefolder.read,
    one_hot.read,
    coco.read,
    createml.read,
    yolo.read,
    voc.read,
    table.read,
)

__all__ = ["READERS", "Reader"]
