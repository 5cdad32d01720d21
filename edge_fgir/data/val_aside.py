"""A validation share of train, where nobody has made one: look-alikes stay on one side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edge_fgir.data.dataset import DataSet, Split
from edge_fgir.data.likeness import groups_alike
from edge_fgir.data.looks import common_root, looks_of
from edge_fgir.data.split import set_val_aside, val_share
from edge_fgir.runtime import Hashes

_DISTANCES = (8, 4, 2, 0)
"""Bits; the nearer ones where the pictures of a class look so much alike that few could go."""


def with_val_aside(data: DataSet, instead: str) -> DataSet:
    """Return ``data`` with 10 % of its train as val, by class, seeded.

    Args:
        data: Without val.
        instead: What would make this unnecessary, for the error.

    Raises:
        InputError: There are too few to set any aside.
    """
    train = data.split("train")
    labels = np.array([sample.label for sample in train])
    alone = set_val_aside(labels.tolist(), "train", instead)
    hashes, broken = looks_of(
        common_root(data), [sample.path for sample in train], strict=data.strict
    )
    seen = ~np.isin(np.arange(len(train)), list(broken))
    wanted = np.bincount(labels[alone[1]], minlength=len(data.classes))
    groups = np.arange(len(train))
    for label, count in enumerate(wanted.tolist()):
        members = np.flatnonzero((labels == label) & seen)
        groups[members] = members[_groups(hashes[members], count)]
    kept, aside = val_share(labels.tolist(), groups.tolist())
    parts: dict[Split, list[int]] = (
        {"train": kept, "val": aside} if aside else dict(zip(("train", "val"), alone, strict=True))
    )
    splits = {split: tuple(train[place] for place in part) for split, part in parts.items()}
    return replace(data, splits={**data.splits, **splits})


def _groups(hashes: Hashes, count: int) -> npt.NDArray[np.int64]:
    """Number the pictures of a class, of which ``count`` shall go, so that alike ones share it."""
    for distance in _DISTANCES:
        groups = groups_alike(hashes, distance)
        _, sizes = np.unique(groups, return_counts=True)
        fitting = sizes[sizes <= count].sum()
        if 2 * fitting >= count or (len(sizes) > 1 and sizes.min() <= 2 * count):
            break
    return groups
