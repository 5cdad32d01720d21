"""Data sets whose pictures are listed in CSV files, as DAF:re's are.

Source: arXiv 2101.08674, docs/science/dafre.md#files and #splits.

    ROOT/labels/train.csv, test.csv, val.csv      or the same in ROOT itself
    ROOT/labels/classid_classname.csv             names; without it classes are called by their ids
    ROOT/faces/0291/1796291.jpg                   pictures, by the lists' paths below this folder

The source is ROOT; or the picture folder, where ROOT holds several; or the lists themselves, with
commas between them. One list alone is split as DAF:re was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_fgir._errors import InputError
from edge_fgir.data.csv_list import PICTURE, Row, check_ids, read_class_names, read_list
from edge_fgir.data.csv_paths import are_by_id, is_inside, path_problem, plain
from edge_fgir.data.csv_samples import CsvSamples
from edge_fgir.data.dataset import LICENCE_UNKNOWN, SPLITS, DataSet, Sample, Split
from edge_fgir.data.reading import Reading, Skipped
from edge_fgir.data.split import in_file_order, set_val_aside

NAMES = "classid_classname.csv"
PICTURE_FOLDERS = ("faces", "fullMin256", "data", "images")
"""Where pictures are looked for below ROOT, and then in ROOT itself."""

_STEMS: dict[str, Split] = {"train": "train", "train_val": "train", "val": "val", "test": "test"}
_TRAIN = ("train.csv", "train_val.csv")
_LOOKS = 64


@dataclass(frozen=True)
class CsvSource:
    """Where the lists and the pictures of a data set are.

    Attributes:
        lists: List of each split; ``train`` alone is split by the rule of DAF:re if ``whole``.
        folders: Where the pictures may lie.
        whole: The one list holds every picture.
    """

    lists: Mapping[Split, Path]
    folders: tuple[Path, ...]
    whole: bool = False

    @classmethod
    def find(cls, source: str) -> CsvSource | None:
        """Return the lists that a source names; None if it is data of another kind.

        Raises:
            InputError: It names lists that make no data set.
        """
        if source.lower().endswith(".csv") and not Path(source).is_dir():
            whole = Path(source).is_file()  # a comma may be part of its path
            names = [source] if whole else [name.strip() for name in source.split(",")]
            return cls._of_files([Path(name) for name in names])
        root = Path(source)
        if not root.is_dir() or _holds_folders(root / "train"):
            return None
        for folder in (root / "labels", root):
            if lists := _lists_in(folder):
                return cls(lists, _picture_folders(root))
        for folder in (root.parent / "labels", root.parent):
            if root.name in PICTURE_FOLDERS and (lists := _lists_in(folder)):
                return cls(lists, (root,))
        return None

    @classmethod
    def _of_files(cls, files: Sequence[Path]) -> CsvSource:
        parent = files[0].parent
        folders = _picture_folders(parent.parent if parent.name == "labels" else parent)
        if len(files) == 1:
            return cls({"train": files[0]}, folders, whole=True)
        lists: dict[Split, Path] = {}
        for file in files:
            split = _STEMS.get(file.stem)
            if split is None or split in lists:
                raise InputError(
                    f"{file} among {len(files)} lists",
                    "one each of train.csv or train_val.csv, val.csv, test.csv",
                )
            lists[split] = file
        if "train" not in lists:
            raise InputError(f"{', '.join(map(str, files))} without train.csv", "it too")
        return cls(lists, folders)

    def read(self, *, strict: bool = False) -> DataSet:
        """Read the lists; rows whose picture cannot be there are left out, and told.

        Without ``val.csv``, 10 % of train is set aside, by class, seeded.

        Raises:
            InputError: A list cannot be read, the class ids have a gap or differ between the lists,
                train lacks a class, or a picture is listed twice.
        """
        rows = {
            split: [plain(row, self.folders) for row in read_list(path, PICTURE)]
            for split, path in self.lists.items()
        }
        classes = self._classes(rows)
        self._check_once(rows)
        root = self._root(rows["train"])
        splits: dict[Split, Sequence[Sample]] = {}
        skipped: list[Skipped] = []
        by_id = are_by_id(rows["train"])
        for split in SPLITS:
            if split in rows:
                good = []
                for row in rows[split]:
                    problem = path_problem(row, self.lists[split], root, by_id=by_id)
                    if problem is None:
                        good.append(row)
                    else:
                        skipped.append(Skipped(row.text, str(problem), "path"))
                labels = np.array([row.class_id for row in good], np.int64)
                splits[split] = CsvSamples(root, [row.text for row in good], labels)
        return DataSet(
            self._name(root),
            LICENCE_UNKNOWN,
            classes,
            self._split(splits),
            strict,
            reading=Reading(skipped=tuple(skipped)),
        )

    def _name(self, root: Path) -> str:
        path = root.resolve()
        return f"{path.parent.name}, {path.name}" if path.name in PICTURE_FOLDERS else path.name

    def _classes(self, rows: Mapping[Split, Sequence[Row]]) -> tuple[str, ...]:
        train = {row.class_id: row for row in reversed(rows["train"])}
        path = self.lists["train"]
        names = path.with_name(NAMES)
        if names.is_file():
            classes = read_class_names(names)
        else:
            check_ids(train, path)
            classes = tuple(map(str, range(len(train))))
        for split, found in rows.items():
            for row in found:
                if row.class_id >= len(classes):
                    raise InputError(
                        f"line {row.line} of {self.lists[split]} has class {row.class_id}",
                        f"0 to {len(classes) - 1}, as {names.name if names.is_file() else path}",
                    )
        missing = next((label for label in range(len(classes)) if label not in train), None)
        if missing is not None:
            raise InputError(
                f"{path} has no picture of class {missing} ({classes[missing]})",
                "every class in train",
            )
        if len(classes) < 2:
            raise InputError(f"{path} has one class", "at least 2")
        return classes

    def _check_once(self, rows: Mapping[Split, Sequence[Row]]) -> None:
        seen: dict[str, tuple[Split, int]] = {}
        for split, found in rows.items():
            for row in found:
                if row.text in seen:
                    other, line = seen[row.text]
                    raise InputError(
                        f"{row.text} is on line {line} of {self.lists[other]} and on line "
                        f"{row.line} of {self.lists[split]}",
                        "each picture once, in one split",
                    )
                seen[row.text] = (split, row.line)

    def _root(self, rows: Sequence[Row]) -> Path:
        """Return the folder that the lists' paths start from."""
        few = rows[:_LOOKS]
        good = [
            folder
            for folder in self.folders
            if any(is_inside(row.text) and (folder / row.text).is_file() for row in few)
        ]
        if len(good) > 1:
            raise InputError(
                f"pictures of {self.lists['train']} lie in {' and in '.join(map(str, good))}",
                "one of them",
                f"name it: --data {good[0]}",
            )
        if not good:
            raise InputError(
                f"none of the first {len(few)} pictures of {self.lists['train']} is there, such as "
                f"{few[0].text}",
                f"them below {' or '.join(map(str, self.folders))}",
            )
        return good[0]

    def _split(self, splits: Mapping[Split, Sequence[Sample]]) -> dict[Split, Sequence[Sample]]:
        train = splits["train"]
        assert isinstance(train, CsvSamples)
        labels = train.labels.tolist()
        if self.whole:
            parts = in_file_order(labels)
            learned = set(train.labels[parts[0]].tolist())
            few = next((label for label in labels if label not in learned), None)
            if few is not None:
                raise InputError(
                    f"{self.lists['train']} has {labels.count(few)} picture of class {few}",
                    "at least 2 of each, as 70 % are for training",
                )
            return dict(zip(SPLITS, map(train.take, parts), strict=True))
        if "val" in splits:
            return dict(splits)
        kept, aside = set_val_aside(labels, str(self.lists["train"]), "val.csv")
        return {**splits, "train": train.take(kept), "val": train.take(aside)}


def _picture_folders(root: Path) -> tuple[Path, ...]:
    return (*(root / name for name in PICTURE_FOLDERS), root)


def _holds_folders(path: Path) -> bool:
    return path.is_dir() and any(entry.is_dir() for entry in path.iterdir())


def _lists_in(folder: Path) -> dict[Split, Path]:
    train = next((folder / name for name in _TRAIN if (folder / name).is_file()), None)
    if train is None:
        return {}
    others: tuple[Split, ...] = ("val", "test")
    # train_val is all of what is not test: a val list beside it would be part of it.
    wanted = others if train.name == _TRAIN[0] else others[1:]
    found = {split: folder / f"{split}.csv" for split in wanted}
    return {"train": train, **{split: path for split, path in found.items() if path.is_file()}}
