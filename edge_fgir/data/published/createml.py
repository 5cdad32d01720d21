"""Create ML's lists of boxes, one a split, where every picture shows one class.

    train/_annotations.createml.json    pictures beside it; likewise valid, test (Roboflow's)

Source: developer.apple.com/documentation/createml, "Building an object detector data source".
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_fgir._errors import InputError
from edge_fgir.data.dataset import DataSet
from edge_fgir.data.listed import below, listed_data
from edge_fgir.data.published.boxes import Boxed, of_one_class
from edge_fgir.data.split_names import files_of_splits
from edge_fgir.data.texts import read_json

_NAME = "_annotations.createml.json"
_EXPECTED = "image and annotations with a label each, as Create ML's lists have them"


def read(root: Path, strict: bool) -> tuple[DataSet, bool] | None:
    """Read Create ML's lists; None if ``root`` is laid out otherwise."""
    files = files_of_splits(root, _NAME)
    if not files:
        return None
    pictures = (
        Boxed(below(root, file.parent, path), labels, split)
        for file, split in files
        for path, labels in _labels(file)
    )
    rows, notes = of_one_class(root, "a Create ML detection data set", pictures)
    return listed_data(root.name, root, rows, strict=strict, notes=notes)


def _labels(file: Path) -> Iterator[tuple[str, set[str]]]:
    """Yield path and class names of each picture of a list."""
    found: Any = read_json(file)
    try:
        pictures = [
            (str(each["image"]), {str(box["label"]) for box in each["annotations"]})
            for each in found
        ]
    except (KeyError, TypeError) as error:
        raise InputError(f"{file} is no list of Create ML's ({error!r})", _EXPECTED) from error
    yield from pictures
