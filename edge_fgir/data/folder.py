"""Folders: ``train|val|test/<class>/<image>``."""

from __future__ import annotations

from pathlib import Path

from edge_fgir._errors import InputError
from edge_fgir.data.dataset import LICENCE_UNKNOWN, SPLITS, DataSet, Sample, Split
from edge_fgir.data.split import set_val_aside
from edge_fgir.runtime import pictures_below

_LAYOUT = "train/<class>/<image>, and the same under test (and val)"


def read_folder(root: Path, *, convert: bool = False) -> DataSet:
    """Read a data set from folders. Without ``val``, 10 % of train is set aside, by class, seeded.

    Raises:
        InputError: The folder is missing or empty, a class has no pictures, or a split holds a
            class that ``train`` does not.
    """
    if not root.is_dir():
        raise InputError(f"data folder {root} does not exist", _LAYOUT)
    classes = _class_names(root / "train")
    splits: dict[Split, tuple[Sample, ...]] = {}
    for split in SPLITS:
        if (root / split).is_dir():
            splits[split] = _read_split(root / split, classes)
    if "val" not in splits:
        train = splits["train"]
        parts = set_val_aside([sample.label for sample in train], "train", "a val folder")
        splits["train"], splits["val"] = (tuple(train[i] for i in part) for part in parts)
    return DataSet(root.name, LICENCE_UNKNOWN, classes, splits, convert)


def _class_names(train: Path) -> tuple[str, ...]:
    if not train.is_dir():
        raise InputError(f"{train} does not exist", _LAYOUT)
    classes = tuple(sorted(p.name for p in train.iterdir() if p.is_dir() and p.name[0] != "."))
    if len(classes) < 2:
        raise InputError(f"{train} holds {len(classes)} class folders", f"at least 2: {_LAYOUT}")
    for name in classes:
        if name.splitlines() != [name] or name.encode(errors="ignore").decode() != name:
            raise InputError(
                f"class folder {train / repr(name)} cannot be a line of labels.txt",
                "one line of UTF-8 text",
                "rename the folder",
            )
    return classes


def _read_split(root: Path, classes: tuple[str, ...]) -> tuple[Sample, ...]:
    label_of = {name: label for label, name in enumerate(classes)}
    samples = []
    for folder in sorted(p for p in root.iterdir() if p.is_dir() and p.name[0] != "."):
        if folder.name not in label_of:
            raise InputError(
                f"{folder} is a class that train does not have", "the class names of train"
            )
        files = pictures_below(folder)
        if not files:
            raise InputError(
                f"class folder {folder} holds no pictures",
                "at least one",
                "add pictures or remove the folder",
            )
        samples += [Sample(file, label_of[folder.name]) for file in files]
    if not samples:
        raise InputError(f"{root} is empty", _LAYOUT)
    return tuple(samples)
