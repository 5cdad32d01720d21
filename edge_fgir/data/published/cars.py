"""Stanford Cars as it is unpacked.

    devkit/cars_meta.mat                   class names
    devkit/cars_train_annos.mat            file name and class of each picture in cars_train/
    cars_test_annos_withlabels.mat         the same for cars_test/; also in devkit/

Source: the README of the devkit (Krause et al. 2013).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_fgir._errors import InputError, MissingExtraError
from edge_fgir.data.dataset import DataSet, Split
from edge_fgir.data.listed import Listed, listed_data

_LISTS: dict[Split, str] = {
    "train": "cars_train_annos.mat",
    "test": "cars_test_annos_withlabels.mat",
}


def read(root: Path, strict: bool) -> tuple[DataSet, bool] | None:
    """Read Cars; None if ``root`` is laid out otherwise."""
    lists = {split: path for split, name in _LISTS.items() if (path := _find(root, name))}
    meta = _find(root, "cars_meta.mat")
    if "train" not in lists or meta is None:
        return None
    names = [str(name) for name in _load(meta, "class_names")]
    rows = []
    for split, path in lists.items():
        for annotation in _load(path, "annotations"):
            label = int(annotation["class"]) - 1
            if not 0 <= label < len(names):
                raise InputError(f"{path} has a class {label + 1}", f"1 to {len(names)}")
            rows.append(Listed(f"cars_{split}/{annotation['fname']}", names[label], split))
    notes = [] if "test" in lists else [f"no test split: {_LISTS['test']} is not there"]
    folder = root / "car_data" if (root / "car_data" / "cars_train").is_dir() else root
    return listed_data(root.name, folder, rows, strict=strict, classes=names, notes=notes)


def _find(root: Path, name: str) -> Path | None:
    places = (root, root / "devkit", root / "car_devkit" / "devkit")
    return next((path for place in places if (path := place / name).is_file()), None)


def _load(path: Path, key: str) -> Any:
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise MissingExtraError("scipy", "export", f"reading {path}") from error
    try:
        return loadmat(path, squeeze_me=True)[key]
    except Exception as error:  # the format has many ways to be wrong
        raise InputError(f"{path} is no list of Stanford Cars ({error})", key) from error
