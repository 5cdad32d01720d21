"""Stanford Cars as it is unpacked.

    devkit/cars_meta.mat                   class names
    devkit/cars_train_annos.mat            file name and class of each picture in cars_train/
    cars_test_annos_withlabels.mat         the same for cars_test/; also in devkit/

Source: the README of the devkit (Krause et al. 2013).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge_fgir._errors import InputError
from edge_fgir.data.dataset import DataSet, Split
from edge_fgir.data.listed import Listed, listed_data
from edge_fgir.data.published.matlab import read_mat, whole_numbers

_LISTS: dict[Split, str] = {
    "train": "cars_train_annos.mat",
    "test": "cars_test_annos_withlabels.mat",
}
_WHAT = "a list of Stanford Cars"


def read(root: Path, strict: bool) -> tuple[DataSet, bool] | None:
    """Read Cars; None if ``root`` is laid out otherwise."""
    lists = {split: path for split, name in _LISTS.items() if (path := _find(root, name))}
    meta = _find(root, "cars_meta.mat")
    if "train" not in lists or meta is None:
        return None
    names = [str(name) for name in np.atleast_1d(read_mat(meta, "class_names", _WHAT))]
    rows = []
    for split, path in lists.items():
        found = np.atleast_1d(read_mat(path, "annotations", _WHAT))
        if not {"class", "fname"} <= set(found.dtype.names or ()):
            raise InputError(f"annotations of {path} lack class or fname", _WHAT)
        for annotation in found:
            label = whole_numbers(annotation["class"], len(names), f"a class of {path}", 1)[0]
            rows.append(Listed(f"cars_{split}/{annotation['fname']}", names[label - 1], split))
    notes = [] if "test" in lists else [f"no test split: {_LISTS['test']} is not there"]
    folder = root / "car_data" if (root / "car_data" / "cars_train").is_dir() else root
    return listed_data(root.name, folder, rows, strict=strict, classes=names, notes=notes)


def _find(root: Path, name: str) -> Path | None:
    places = (root, root / "devkit", root / "car_devkit" / "devkit")
    return next((path for place in places if (path := place / name).is_file()), None)
