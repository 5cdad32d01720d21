"""COCO's lists, one a split, where every picture shows one class.

    train/_annotations.coco.json            pictures beside it (as Roboflow exports them)
    annotations/instances_train2017.json    pictures in train2017/ or images/train2017/

Source: cocodataset.org/#format-data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_fgir._errors import InputError
from edge_fgir.data.dataset import DataSet, Split
from edge_fgir.data.listed import below, listed_data
from edge_fgir.data.published.boxes import Boxed, of_one_class
from edge_fgir.data.split_names import split_folders, split_of
from edge_fgir.data.texts import read_json

_EXPECTED = "images, annotations and categories, as COCO's lists have them"
_INSTANCES = re.compile(r"instances_((?:train|val|test)(?:\d{4})?)\.json")


def read(root: Path, strict: bool) -> tuple[DataSet, bool] | None:
    """Read COCO's lists; None if ``root`` is laid out otherwise."""
    if not root.is_dir():
        return None
    lists = list(_lists(root))
    if not lists:
        return None
    pictures = (
        Boxed(below(root, folder, path), labels, split)
        for file, folder, split in lists
        for path, labels in _labels(file)
    )
    rows, notes = of_one_class(root, "a COCO detection data set", pictures)
    return listed_data(root.name, root, rows, strict=strict, notes=notes)


def _lists(root: Path) -> Iterator[tuple[Path, Path, Split]]:
    """Yield each list, the folder of its pictures, and their split."""
    for folder, named in split_folders(root):
        if (file := folder / "_annotations.coco.json").is_file():
            yield file, folder, named
    for file in sorted((root / "annotations").glob("instances_*.json")):
        match = _INSTANCES.fullmatch(file.name)
        split = split_of(match[1].rstrip("0123456789")) if match else None
        if match and split is not None:
            places = (root / match[1], root / "images" / match[1], root / "images", root)
            yield file, next(place for place in places if place.is_dir()), split


def _labels(file: Path) -> Iterator[tuple[str, set[str]]]:
    """Yield path and class names of each picture of a list."""
    found: Any = read_json(file)
    try:
        names = {category["id"]: str(category["name"]) for category in found["categories"]}
        labels: dict[Any, set[str]] = {image["id"]: set() for image in found["images"]}
        for annotation in found["annotations"]:
            labels[annotation["image_id"]].add(names[annotation["category_id"]])
        pictures = [(str(image["file_name"]), labels[image["id"]]) for image in found["images"]]
    except KeyError as error:
        raise InputError(f"{file} lacks {error}", _EXPECTED) from error
    except TypeError as error:
        raise InputError(f"{file} is no list of COCO's ({error})", _EXPECTED) from error
    yield from pictures
