"""Generated long-tailed data in DAF:re's form: lists, and small pictures in folders by id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from edge_fgir.data.csv_paths import id_folder

ZIPF = tuple(max(20, round(715 / rank**1.1)) for rank in range(1, 31))
"""Pictures of 30 classes; 14 to 500 of them for training."""

Lists = Mapping[str, Sequence[tuple[int, str]]]


def picture_name(picture_id: int) -> str:
    """Return the path of a picture below the picture folder."""
    return f"{id_folder(picture_id)}/{picture_id}.png"


def rows_of(counts: Sequence[int], first_id: int = 1000) -> list[tuple[int, str]]:
    """Return (class, path) rows, class after class."""
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    return [(label, picture_name(first_id + 7 * n)) for n, label in enumerate(labels)]


def write_lists(root: Path, lists: Lists, *, header: bool = False, names: bool = True) -> Path:
    """Write ``labels/<list>.csv`` and every picture they name below ``faces``."""
    (root / "labels").mkdir(parents=True)
    for name, rows in lists.items():
        lines = ["class_id,dir"] if header else []
        lines += [f"{label},{path}" for label, path in rows]
        (root / "labels" / f"{name}.csv").write_text("".join(f"{line}\n" for line in lines))
        for label, path in rows:
            write_picture(root / "faces" / path, label)
    if names:
        labels = sorted({label for rows in lists.values() for label, _ in rows})
        lines = ["class_id,class_name"] if header else []
        lines += [f"{label},girl_{label}" for label in labels]
        (root / "labels" / "classid_classname.csv").write_text("\n".join(lines))
    return root


def write_picture(path: Path, label: int) -> None:
    """Write 12 x 12 pixels that no two file names share."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng([label, *path.name.encode()])
    Image.fromarray(random.integers(0, 256, (12, 12, 3), np.uint8)).save(path)
