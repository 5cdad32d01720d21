"""A few pictures of a data set as files of their own, to try a bundle on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from edge_fgir._files import write_atomic
from edge_fgir._paths import join_below
from edge_fgir.data.dataset import DataSet, Sample, Split

_SEED = 0


def copy_excerpt(data: DataSet, split: Split, count: int, out: Path) -> list[Path]:
    """Copy up to ``count`` pictures of a split, drawn at random (seeded), into a folder.

    Returns:
        The copies, ``<out>/<class>/<image>``; of two pictures of one name the second is numbered.

    Raises:
        InputError: There is no such split, or a picture cannot be read.
    """
    samples = data.split(split)
    drawn: Sequence[Sample] = random.Random(_SEED).sample(samples, min(count, len(samples)))
    copies: list[Path] = []
    for sample in drawn:
        copy = join_below(out, data.classes[sample.label], sample.path.name)
        if copy in copies:
            copy = copy.with_name(f"{copy.stem}-{len(copies)}{copy.suffix}")
        write_atomic(copy, sample.read_bytes())
        copies.append(copy)
    return copies
