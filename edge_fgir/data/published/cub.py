"""CUB-200-2011 as it is unpacked, and data sets that are laid out like it.

    images.txt                image id, path below images/
    image_class_labels.txt    image id, class id
    classes.txt               class id, class name
    train_test_split.txt      image id, 1 for train or 0 for test

NABirds is laid out so too; its ``classes.txt`` also names groups, which have no pictures.
Sources: the READMEs of Caltech-UCSD Birds-200-2011 (Wah et al. 2011) and of NABirds (Van Horn et
al. 2015).
"""

from __future__ import annotations

from pathlib import Path

from edge_fgir._errors import InputError
from edge_fgir.data.dataset import DataSet, Split
from edge_fgir.data.listed import Listed, listed_data
from edge_fgir.data.texts import read_pairs

_SPLITS: dict[str, Split] = {"1": "train", "0": "test"}


def read(root: Path, strict: bool) -> tuple[DataSet, bool] | None:
    """Read CUB; None if ``root`` is laid out otherwise."""
    if not (root / "images.txt").is_file() or not (root / "image_class_labels.txt").is_file():
        return None
    labels = dict(read_pairs(root / "image_class_labels.txt"))
    classes = dict(read_pairs(root / "classes.txt"))
    splits = dict(read_pairs(root / "train_test_split.txt"))
    rows = []
    for image, path in read_pairs(root / "images.txt"):
        label, split = classes.get(labels.get(image, "")), _SPLITS.get(splits.get(image, ""))
        if label is None or split is None:
            missing = "image_class_labels.txt" if label is None else "train_test_split.txt"
            raise InputError(f"image {image} of {root} has no line in {missing}", "one each")
        rows.append(Listed(path, label, split))
    shown = {row.label for row in rows}
    used = [name for name in classes.values() if name in shown]
    lost = len(classes) - len(used)
    notes = [f"names of classes.txt without pictures: {lost}, left out"] if lost else []
    folder = root / "images"
    return listed_data(root.name, folder, rows, strict=strict, classes=used, notes=notes)
