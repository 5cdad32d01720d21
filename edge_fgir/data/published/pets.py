"""Oxford-IIIT Pet as it is unpacked: the breed of a picture is in its name.

    annotations/trainval.txt, test.txt    Abyssinian_100, class id, species id, breed id
    images/Abyssinian_100.jpg

Source: the README of the data set's annotations (Parkhi et al. 2012).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from edge_fgir._errors import InputError
from edge_fgir.data.dataset import DataSet, Split
from edge_fgir.data.listed import Listed, listed_data
from edge_fgir.data.texts import read_pairs

_LISTS: dict[Split, str] = {"train": "trainval.txt", "test": "test.txt"}
_NAME = re.compile(r"(.+)_[0-9]+")
_IDS = re.compile(r"[0-9]{1,6} [0-9]{1,6} [0-9]{1,6}")


def read(root: Path, strict: bool) -> tuple[DataSet, bool] | None:
    """Read Pet; None if ``root`` is laid out otherwise."""
    lists = {split: root / "annotations" / name for split, name in _LISTS.items()}
    if not (root / "images").is_dir() or not all(file.is_file() for file in lists.values()):
        return None
    rows = [row for split, file in lists.items() for row in _rows(file, split)]
    return listed_data(root.name, root / "images", rows, strict=strict)


def _rows(file: Path, split: Split) -> Iterator[Listed]:
    for name, ids in read_pairs(file):
        breed = _NAME.fullmatch(name)
        if breed is None or not _IDS.fullmatch(" ".join(ids.split())):
            raise InputError(
                f"{file} has the line {f'{name} {ids}'[:80]!r}",
                "<breed>_<number> and three numbers, as Abyssinian_100 1 1 1",
            )
        yield Listed(f"{name}.jpg", breed[1], split)
