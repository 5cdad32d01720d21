"""A table of pictures with a header, as contests hand them out: ``train.csv`` and a folder.

    train.csv, labels.csv   a column that names the picture, one that names its class
    train_images/<name>     or train/, images/ or beside the table; an ending may be left out

Lists of DAF:re, whose columns are ``class_id`` and ``dir``, are another form (``csv_source.py``).
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from edge_fgir._errors import InputError
from edge_fgir.data.class_names import visible_folders
from edge_fgir.data.csv_list import CLASS_ID, PICTURE
from edge_fgir.data.dataset import DataSet
from edge_fgir.data.listed import Listed, listed_data, plain_path
from edge_fgir.data.split_names import split_of
from edge_fgir.data.texts import read_text

_NAMES = ("train.csv", "labels.csv")
_PICTURES = ("image_id", "image", "image_name", "image_path", "file_name", "filename", "file", "id")
_LABELS = ("label", "class", "class_name", "species", "category", "breed", "individual_id")
_FOLDERS = ("train_images", "train", "images", "img", "data", ".")
_ENDINGS = ("", ".jpg", ".jpeg", ".png", ".JPG", ".webp")


def read(root: Path, strict: bool) -> tuple[DataSet, bool] | None:
    """Read a table, or that of a folder; None if there is none with such a header, or it lists no
    pictures of a folder that is split into folders of classes."""
    if not root.is_dir():
        return _read(root, strict, named=True)
    found = (_read(root / name, strict, named=False) for name in _NAMES)
    return next(filter(None, found), None)


def _read(file: Path, strict: bool, *, named: bool) -> tuple[DataSet, bool] | None:
    """Read a table, which the user has ``named``, or whose folder."""
    if not file.is_file() or file.suffix.lower() != ".csv":
        return None
    reader = csv.DictReader(io.StringIO(read_text(file), newline=""), strict=True)
    try:
        header = {(name or "").strip().lower(): name for name in reader.fieldnames or ()}
        picture = next((header[name] for name in _PICTURES if name in header), None)
        label = next((header[name] for name in _LABELS if name in header), None)
        if picture is None or label is None or {CLASS_ID, PICTURE} <= header.keys():
            return None
        rows = [
            Listed(plain_path((record[picture] or "").strip()), (record[label] or "").strip())
            for record in reader
        ]
    except csv.Error as error:
        raise InputError(f"{file} is no CSV ({error})", "fields between commas") from error
    if not rows:
        raise InputError(f"{file} has a header and no rows", "a row for each picture")
    if (place := _place(file, rows[0].path)) is None:
        if not named and _holds_classes(file.parent):
            return None  # a list of something else, such as the classes' numbers
        raise InputError(
            f"the first picture of {file}, {rows[0].path!r}, is not there",
            f"it below {', '.join(_FOLDERS[:-1])} or beside the list",
        )
    folder, ending = place
    rows = [row._replace(path=row.path + ending) for row in rows]
    notes = (f"classes are the column {label} of {file.name}",)
    return listed_data(file.parent.resolve().name, folder, rows, strict=strict, notes=notes)


def _place(file: Path, name: str) -> tuple[Path, str] | None:
    """Return the folder of a picture, and what its name lacks; None: it is nowhere."""
    for folder in _FOLDERS:
        for ending in _ENDINGS:
            if name and (file.parent / folder / f"{name}{ending}").is_file():
                return file.parent / folder, ending
    return None


def _holds_classes(root: Path) -> bool:
    """Say whether the pictures of a folder are split into folders of classes."""
    return any(
        split_of(folder.name) == "train" and visible_folders(folder)
        for folder in visible_folders(root)
    )
