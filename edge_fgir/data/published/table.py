"""A table of pictures with a header, as contests hand them out: ``train.csv`` and a folder.

    train.csv, labels.csv   a column that names the picture, one that names its class
    train_images/<name>     or train/, images/ or beside the table; an ending may be left out

Lists of DAF:re, whose columns are ``class_id`` and ``dir``, are another form (``csv_source.py``).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from edge_fgir._errors import InputError
from edge_fgir.data.csv_list import CLASS_ID, PICTURE
from edge_fgir.data.dataset import DataSet
from edge_fgir.data.listed import Listed, listed_data, plain_path
from edge_fgir.data.texts import read_text

_NAMES = ("train.csv", "labels.csv")
_PICTURES = ("image_id", "image", "image_name", "image_path", "file_name", "filename", "file", "id")
_LABELS = ("label", "class", "class_name", "species", "category", "breed", "individual_id")
_FOLDERS = ("train_images", "train", "images", "img", "data", ".")
_ENDINGS = ("", ".jpg", ".jpeg", ".png", ".JPG", ".webp")


def read(root: Path, strict: bool) -> tuple[DataSet, bool] | None:
    """Read a table, or that of a folder; None if there is none with such a header."""
    files = [root / name for name in _NAMES] if root.is_dir() else [root]
    return next(filter(None, (_read(file, strict) for file in files)), None)


def _read(file: Path, strict: bool) -> tuple[DataSet, bool] | None:
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
    folder, ending = _place(file, rows)
    rows = [row._replace(path=row.path + ending) for row in rows]
    notes = (f"classes are the column {label} of {file.name}",)
    return listed_data(file.parent.resolve().name, folder, rows, strict=strict, notes=notes)


def _place(file: Path, rows: Sequence[Listed]) -> tuple[Path, str]:
    """Return the folder of the pictures, and what their names lack."""
    if not rows:
        raise InputError(f"{file} has a header and no rows", "a row for each picture")
    name = rows[0].path
    for folder in _FOLDERS:
        for ending in _ENDINGS:
            if name and (file.parent / folder / f"{name}{ending}").is_file():
                return file.parent / folder, ending
    raise InputError(
        f"the first picture of {file}, {name!r}, is not there",
        f"it below {', '.join(_FOLDERS[:-1])} or beside the list",
    )
