"""Class folders with lists of a split beside them, as Food-101 and DTD are unpacked.

    images/<class>/<image>
    meta/train.txt, meta/test.txt             Food-101: class/image, without its ending
    labels/train1.txt, val1.txt, test1.txt    DTD: class/image; the first of its ten splits

Sources: the READMEs of Food-101 (Bossard et al. 2014) and of DTD (Cimpoi et al. 2014).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edge_fgir._errors import InputError
from edge_fgir.data.dataset import SPLITS, DataSet, Split
from edge_fgir.data.listed import Listed, listed_data, plain_path
from edge_fgir.data.texts import read_text
from edge_fgir.runtime import is_picture

_LISTS = {"meta": "{split}.txt", "labels": "{split}1.txt"}
_FOLDER = "images"


def read(root: Path, strict: bool) -> tuple[DataSet, bool] | None:
    """Read class folders by the lists beside them; None if ``root`` is laid out otherwise."""
    if not (root / _FOLDER).is_dir():
        return None
    for folder, name in _LISTS.items():
        files: dict[Split, Path] = {
            split: file
            for split in SPLITS
            if (file := root / folder / name.format(split=split)).is_file()
        }
        if "train" in files and "test" in files:
            rows = [row for split, file in files.items() for row in _rows(file, split)]
            names = " and ".join(file.name for file in files.values())
            note = f"split as {names} of {folder} say"
            return listed_data(root.name, root / _FOLDER, rows, strict=strict, notes=[note])
    return None


def _rows(file: Path, split: Split) -> Iterator[Listed]:
    """Yield the pictures of a list."""
    for number, line in enumerate(read_text(file).splitlines(), 1):
        if path := plain_path(line.strip()):
            label, _, name = path.partition("/")
            if not label or not name or "/" in name:
                raise InputError(f"line {number} of {file} is {line[:80]!r}", "<class>/<image>")
            yield Listed(path if is_picture(Path(name)) else f"{path}.jpg", label, split)
