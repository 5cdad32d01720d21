"""What people call a split."""

from __future__ import annotations

from collections.abc import Mapping

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
