"""Roboflow's lists of classes: a row a picture and a column a class, with 1 where it is shown.

    train/_classes.csv    filename, a class, a class ...; pictures beside it; likewise valid, test

Source: roboflow.com/formats, "Multiclass Classification CSV" (2026).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from edge_fgir._errors import InputError
from edge_fgir.data.dataset import DataSet
from edge_fgir.data.listed import below, listed_data
from edge_fgir.data.published.boxes import Boxed, of_one_class
from edge_fgir.data.split_names import files_of_splits
from edge_fgir.data.texts import read_text

_NAME, _PICTURE = "_classes.csv", "filename"
_EXPECTED = f"{_PICTURE} and two classes or more, 1 where a picture shows one and else 0"


def read(root: Path, strict: bool) -> tuple[DataSet, bool] | None:
    """Read such lists; None if ``root`` is laid out otherwise."""
    files = files_of_splits(root, _NAME)
    if not files:
        return None
    pictures = (
        Boxed(below(root, file.parent, path), classes, split)
        for file, split in files
        for path, classes in _classes(file)
    )
    kind, remedy = "a data set with several labels a picture", "decide on one class a picture"
    rows, notes = of_one_class(root, kind, pictures, remedy)
    return listed_data(root.name, root, rows, strict=strict, notes=notes)


def _classes(file: Path) -> Iterator[tuple[str, set[str]]]:
    """Yield path and class names of each picture of a list."""
    reader = csv.reader(io.StringIO(read_text(file), newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if len(header) < 3 or header[0].lower() != _PICTURE:
            raise InputError(f"line 1 of {file} is {','.join(header)[:80]!r}", _EXPECTED)
        for fields in filter(None, reader):
            path, *shown = (field.strip() for field in fields)
            if len(fields) != len(header) or not set(shown) <= {"0", "1"}:
                found = f"line {reader.line_num} of {file} is {','.join(fields)[:80]!r}"
                raise InputError(found, _EXPECTED)
            yield path, {name for name, one in zip(header[1:], shown, strict=True) if one == "1"}
    except csv.Error as error:
        raise InputError(f"{file} is no CSV ({error})", "fields between commas") from error
