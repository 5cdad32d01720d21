"""Oxford Flowers-102 as it is downloaded; it names no classes, so they are called by their numbers.

    jpg/image_00001.jpg
    imagelabels.mat       labels: the class of each picture, 1 to 102
    setid.mat             trnid, valid, tstid: the pictures of each split

Source: the README of Flowers-102 (Nilsback and Zisserman 2008).
"""

from __future__ import annotations

from pathlib import Path

from edge_fgir.data.dataset import DataSet, Split
from edge_fgir.data.listed import Listed, listed_data
from edge_fgir.data.published.matlab import read_mat, whole_numbers

_PARTS: dict[Split, str] = {"train": "trnid", "val": "valid", "test": "tstid"}
_MOST_CLASSES = 10_000


def read(root: Path, strict: bool) -> tuple[DataSet, bool] | None:
    """Read Flowers-102; None if ``root`` is laid out otherwise."""
    labels_file, split_file = root / "imagelabels.mat", root / "setid.mat"
    if not (root / "jpg").is_dir() or not labels_file.is_file() or not split_file.is_file():
        return None
    labels = whole_numbers(
        read_mat(labels_file, "labels", "the labels of Flowers-102"),
        _MOST_CLASSES,
        f"labels of {labels_file}",
    )
    rows = []
    for split, part in _PARTS.items():
        listed = read_mat(split_file, part, "the split of Flowers-102")
        for image in whole_numbers(listed, len(labels), f"{part} of {split_file}"):
            rows.append(Listed(f"image_{image:05d}.jpg", str(labels[image - 1]), split))
    classes = map(str, sorted({int(row.label) for row in rows}))
    notes = ["the data set names no classes: they are called by their numbers"]
    return listed_data(root.name, root / "jpg", rows, strict=strict, classes=classes, notes=notes)
