"""Pictures that nobody has split: looked at, split fairly, and said so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge_fgir.data.dataset import SPLITS, DataSet, Sample, Split
from edge_fgir.data.fair_split import TEST_SHARE, VAL_SHARE, FairSplit, fair_split
from edge_fgir.data.looks import looks_of

_SHOWN = 5


def split_fairly(data: DataSet, root: Path, samples: Sequence[Sample]) -> DataSet:
    """Return ``data`` with ``samples``, split by class and name; those that are broken left out.

    Args:
        data: Without pictures.
        root: The folder below which they lie.
        samples: Its pictures.
    """
    files = [sample.path for sample in samples]
    hashes, broken = looks_of(root, files, strict=data.strict)
    good = [place for place in range(len(files)) if place not in broken]
    names = [files[place].relative_to(root).as_posix() for place in good]
    parts = fair_split(names, [samples[place].label for place in good], hashes[good])
    splits: dict[Split, tuple[Sample, ...]] = {
        split: tuple(samples[good[place]] for place in part)
        for split, part in zip(SPLITS, parts[:3], strict=True)
    }
    data = replace(data, splits=splits, reading=data.reading.skipping(broken.values()))
    return replace(data, reading=data.reading.noting(*_notes(data, parts)))


def _notes(data: DataSet, parts: FairSplit) -> list[str]:
    counts = ", ".join(f"{len(data.splits[split])} {split}" for split in SPLITS)
    shares = f"{100 * VAL_SHARE:g} and {100 * TEST_SHARE:g} %"
    notes = [
        f"split by class and file name into {counts} pictures (val and test are {shares} of each "
        "class)"
    ]
    if parts.together:
        notes[0] += f"; {parts.together} that look like another, or are of its visit, go with it"
    unable: tuple[tuple[Split, str], ...] = (("val", "chosen by"), ("test", "tested on"))
    for split, what in unable:
        few = [
            name for name, count in zip(data.classes, data.counts(split), strict=True) if not count
        ]
        if few:
            notes.append(f"{len(few)} classes have too few pictures to be {what}: {shown(few)}")
    if parts.too_alike:
        alike = shown([data.classes[label] for label in parts.too_alike])
        notes.append(f"pictures look much alike: only nearer copies are kept together in {alike}")
    if parts.too_few_visits:
        unsure = shown([data.classes[label] for label in parts.too_few_visits])
        notes.append(
            f"Frigate's names tell too few visits of {unsure}: frames of one may be learned from "
            "and tested on; sort the pictures of each visit on their own"
        )
    return notes


def shown(names: Sequence[str]) -> str:
    """Return the first of many names."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
