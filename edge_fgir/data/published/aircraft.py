"""FGVC-Aircraft as it is unpacked: by variant, the finest of its labels.

    images_variant_train.txt, ..._val.txt, ..._test.txt    image id, variant
    images/<id>.jpg

Source: the README of FGVC-Aircraft (arXiv 1306.5151).
"""

from __future__ import annotations

from pathlib import Path

from edge_fgir.data.dataset import SPLITS, DataSet, Split
from edge_fgir.data.listed import Listed, listed_data
from edge_fgir.data.texts import read_pairs


def read(root: Path, strict: bool) -> tuple[DataSet, bool] | None:
    """Read Aircraft from its folder or the ``data`` in it; None if it is laid out otherwise."""
    for folder in (root, root / "data"):
        lists: dict[Split, Path] = {
            split: path
            for split in SPLITS
            if (path := folder / f"images_variant_{split}.txt").is_file()
        }
        both = folder / "images_variant_trainval.txt"
        if "train" not in lists and both.is_file():
            lists["train"] = both
        if "train" in lists:
            rows = [
                Listed(f"{image}.jpg", variant, split)
                for split, path in lists.items()
                for image, variant in read_pairs(path)
            ]
            return listed_data(root.name, folder / "images", rows, strict=strict)
    return None
