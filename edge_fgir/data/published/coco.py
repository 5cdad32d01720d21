"""COCO's lists, one a split, where every picture shows one class.

    train/_annotations.coco.json            pictures beside it (as Roboflow exports them)
    annotations/instances_train2017.json    pictures in train2017/ or images/train2017/
    annotations/, or the folder itself      any other list, such as train2019.json (iNaturalist) or
                                            instances_default.json (CVAT); pictures where it says

Source: cocodataset.org/#format-data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_fgir._errors import InputError
from edge_fgir.data.dataset import DataSet, Split
from edge_fgir.data.listed import below, listed_data, plain_path
from edge_fgir.data.published.boxes import Boxed, of_one_class
from edge_fgir.data.split_names import files_of_splits, split_folders, split_of
from edge_fgir.data.texts import read_json, read_text

_Picture = tuple[str, set[str]]
"""A path, and the names of the classes that are shown."""

_EXPECTED = "images, annotations and categories, as COCO's lists have them"
_KEYS = ("images", "annotations", "categories")
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
        for listed, folder, split in lists
        for path, labels in listed
    )
    rows, notes = of_one_class(root, "a COCO detection data set", pictures)
    return listed_data(root.name, root, rows, strict=strict, notes=notes)


def _lists(root: Path) -> Iterator[tuple[list[_Picture], Path, Split | None]]:
    """Yield what each list says, the folder of its pictures, and their split."""
    for file, named in files_of_splits(root, "_annotations.coco.json"):
        yield _pictures(file), file.parent, named
    found = [*sorted((root / "annotations").glob("*.json")), *sorted(root.glob("*.json"))]
    instances = [(file, match) for file in found if (match := _INSTANCES.fullmatch(file.name))]
    for file, match in instances:
        places = (root / match[1], root / "images" / match[1], root / "images", root)
        split = split_of(match[1].rstrip("0123456789"))
        yield _pictures(file), next(place for place in places if place.is_dir()), split
    for file in found if not instances else ():
        text = read_text(file)
        if all(f'"{key}"' in text for key in _KEYS) and (pictures := _pictures(file)):
            words = re.split("[^a-z]+", file.stem.lower())
            split = next((split for word in words if (split := split_of(word))), None)
            yield pictures, _place(root, pictures[0][0], split), split


def _place(root: Path, picture: str, split: Split | None) -> Path:
    """Return the folder in which the first picture of a list lies."""
    named = [folder for folder, meant in split_folders(root) if meant == split]
    for folder in (root, root / "images", *named):
        if (folder / plain_path(picture)).is_file():
            return folder
    return root


def _pictures(file: Path) -> list[_Picture]:
    """Return path and class names of each picture of a list."""
    found: Any = read_json(file)
    try:
        names = {category["id"]: str(category["name"]) for category in found["categories"]}
        labels: dict[Any, set[str]] = {image["id"]: set() for image in found["images"]}
        for annotation in found["annotations"]:
            labels[annotation["image_id"]].add(names[annotation["category_id"]])
        return [(str(image["file_name"]), labels[image["id"]]) for image in found["images"]]
    except KeyError as error:
        raise InputError(f"{file} lacks {error}", _EXPECTED) from error
    except TypeError as error:
        raise InputError(f"{file} is no list of COCO's ({error})", _EXPECTED) from error
