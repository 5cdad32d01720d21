"""YOLO's labels, a file a picture, where the boxes of a picture are of one class.

    images/, labels/            as label_files.py lists; a box a line: class id, then numbers
    data.yaml                   names: a list, or a mapping from class id to name
    classes.txt                 or obj.names, _darknet.labels: a name a line; also beside the labels
    train.txt, val.txt, test.txt    paths of pictures, where no folder is a split

Segments are read like boxes: their first number is the class too. Source: docs.ultralytics.com,
"Object Detection Datasets Overview" and "Instance Segmentation Datasets Overview" (2026).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from edge_fgir._errors import InputError
from edge_fgir._yaml import read_yaml
from edge_fgir.data.dataset import SPLITS, DataSet, Split
from edge_fgir.data.published.boxes import not_readable
from edge_fgir.data.published.label_files import (
    Labelled,
    Place,
    labelled_data,
    labelled_pictures,
    places,
)
from edge_fgir.data.split_names import split_of
from edge_fgir.data.texts import read_text

_KIND = "a YOLO detection data set"
_TEXTS = ("classes.txt", "obj.names", "_darknet.labels")
_YAML = "data.yaml"
_CVAT = "obj_train_data"
_LARGEST_BYTES = 16 << 20
_CLASS = re.compile(r"[0-9]{1,9}(?:\.0*)?")
_LINE = "a class id and four numbers or more a line"


class _Names(NamedTuple):
    """The class names of a file."""

    file: Path
    by_id: Mapping[int, str]


def read(root: Path, strict: bool) -> tuple[DataSet, bool] | None:
    """Read YOLO's labels; None if ``root`` is laid out otherwise."""
    if not root.is_dir():
        return None
    layouts = [*places(root, [("images", "labels")]), [Place(root / _CVAT, root / _CVAT, None)]]
    pictures = labelled_pictures(layouts, ".txt")
    if not pictures:
        # The names that tell what it is, and pictures; only labels are not there.
        found = (place.holds_pictures() for layout in layouts for place in layout)
        if (root / _YAML).is_file() and _of_yaml(root / _YAML) and any(found):
            raise not_readable(root, _KIND, "no picture has a file of labels")
        return None
    names = next(_names(root, pictures), None)
    if names is None:
        if not _are_boxes(pictures):
            return None
        raise InputError(
            f"{root} is {_KIND}, and no file names its classes",
            f"names in {_YAML}, or classes.txt",
            "write classes.txt, a name a line, that of class 0 first",
        )

    def classes(file: Path) -> set[str]:
        return {_name(names, number, file) for number in _class_ids(file)}

    in_folders = any(each.split is not None for each in pictures)
    lists = {} if in_folders else _lists(root)
    return labelled_data(root, _KIND, pictures, classes, lists, strict=strict)


def _lists(root: Path) -> dict[Split, Path]:
    """Return lists of paths in a data set whose folders are no splits; one alone splits nothing."""
    files = {split: file for file in root.glob("*.txt") if (split := split_of(file.stem))}
    return {split: files[split] for split in SPLITS if split in files} if len(files) > 1 else {}


def _names(root: Path, pictures: Iterable[Labelled]) -> Iterator[_Names]:
    """Yield the names that files of a data set give its classes."""
    others = sorted(path for path in root.glob("*.y*ml") if path.name != _YAML)
    for file in (root / _YAML, *others):
        if file.is_file() and (names := _of_yaml(file)):
            yield names
    labels = dict.fromkeys(each.labels.parent for each in pictures)
    for folder in dict.fromkeys([root, root / "labels", *labels]):
        for file in (folder / name for name in _TEXTS):
            if file.is_file():
                lines = read_text(file, _LARGEST_BYTES).splitlines()
                yield _Names(file, dict(enumerate(line.strip() for line in lines)))


def _of_yaml(file: Path) -> _Names | None:
    """Return the names of a YAML file; None if it has none."""
    names = read_yaml(file, texts=True).get("names")
    if names is None:
        return None
    if isinstance(names, list):
        names = {str(number): name for number, name in enumerate(names)}
    if (
        not isinstance(names, dict)
        or not all(isinstance(name, str) for name in names.values())
        or not all(re.fullmatch("0|[1-9][0-9]{0,8}", number) for number in names)
    ):
        raise InputError(f"names of {file} are something else", "a list, or ids and names")
    return _Names(file, {int(number): name for number, name in names.items()})


def _name(names: _Names, number: int, file: Path) -> str:
    try:
        return names.by_id[number]
    except KeyError as error:
        found = f"{file} has class {number}, which {names.file} does not name"
        raise InputError(found, f"one of its {len(names.by_id)} classes") from error


def _class_ids(file: Path) -> set[int]:
    """Return the ids of the classes of a file of labels."""
    found = set()
    for number, line in enumerate(read_text(file, _LARGEST_BYTES).splitlines(), 1):
        if words := line.split():
            if len(words) < 5 or not _CLASS.fullmatch(words[0]) or not all(map(_finite, words)):
                raise InputError(f"line {number} of {file} is {line[:80]!r}", _LINE)
            found.add(int(words[0].partition(".")[0]))
    return found


def _finite(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False


def _are_boxes(pictures: Iterable[Labelled]) -> bool:
    """Say whether the first file of labels that has a line has boxes."""
    for each in pictures:
        try:
            if each.labels.is_file() and _class_ids(each.labels):
                return True
        except InputError:
            return False
    return False
