"""What people call a split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from edge_fgir.data.dataset import Split

SPLIT_NAMES: Mapping[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""The split that each name means, in lower case."""


def split_of(name: str) -> Split | None:
    """Return the split that a folder's name means; None if it means none."""
    return SPLIT_NAMES.get(name.lower())


def split_folders(root: Path) -> Iterator[tuple[Path, Split]]:
    """Yield the folders in ``root`` whose names mean a split, such as ``train2017``."""
    if root.is_dir():
        meant = ((path, split_of(path.name.rstrip("0123456789"))) for path in root.iterdir())
        for path, split in sorted((path, split) for path, split in meant if split is not None):
            if path.is_dir():
                yield path, split


def files_of_splits(root: Path, name: str) -> list[tuple[Path, Split]]:
    """Return the files of a name in such folders, with their splits."""
    found = ((folder / name, split) for folder, split in split_folders(root))
    return [(file, split) for file, split in found if file.is_file()]
