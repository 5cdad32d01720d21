"""Writing a data set as webdataset shards: the same input gives the same bytes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from edge_fgir._errors import InputError, MissingExtraError
from edge_fgir._files import new_folder, write_json
from edge_fgir._progress import progress
from edge_fgir.data.dataset import SPLITS, DataSet, Sample, Split
from edge_fgir.data.shards import CARD, LABELS, Card
from edge_fgir.runtime import ENDINGS, SUFFIXES, format_of

_SEED = 0
_STEM_LENGTH = 60


def pack(data: DataSet, out: Path, shard_bytes: int) -> Card:
    """Write ``data`` into the new folder ``out`` as shards of about ``shard_bytes``.

    The pictures' files go in unchanged, each split in an order shuffled with a fixed seed, so that
    every shard is a mix of classes. ``out`` appears when all is written, or not at all.

    Raises:
        InputError: ``out`` exists and is not empty, or neither the ending nor the first bytes of a
            picture say what it is.
        MissingExtraError: webdataset is not installed.
    """
    try:
        from webdataset import ShardWriter
    except ImportError as error:
        raise MissingExtraError("webdataset", "train", "writing shards") from error
    if out.is_dir() and not any(out.iterdir()):
        out.rmdir()
    if out.exists():
        raise InputError(f"{out} exists", "a new folder", "choose another --out")
    counts = {split: len(data.splits[split]) for split in SPLITS if data.splits.get(split)}
    card = Card(name=data.name, licence=data.licence, pictures=counts)
    with (
        new_folder(out, replaces=CARD) as draft,
        progress(f"packing {data.name}", sum(counts.values())) as meter,
    ):
        for split in counts:
            # A library that opens addresses: an absolute path is never taken for another kind.
            pattern = str(draft.resolve()).replace("%", "%%") + f"/{split}-%06d.tar"
            options: dict[str, Any] = {"encoder": False, "mtime": 0, "verbose": 0}
            with ShardWriter(pattern, maxsize=shard_bytes, **options) as writer:
                for sample in _entries(data, split):
                    writer.write(sample)
                    meter.advance()
        (draft / LABELS).write_text("".join(f"{name}\n" for name in data.classes), "utf-8")
        write_json(draft / CARD, card.model_dump())
    return card


def _entries(data: DataSet, split: Split) -> Any:
    samples = data.split(split)
    order = np.random.default_rng(_SEED).permutation(len(samples))
    for number, position in enumerate(order.tolist()):
        yield _entry(number, samples[position])


def _entry(number: int, sample: Sample) -> dict[str, str | bytes]:
    # A key ends at its first dot; plain ASCII fits the oldest tar format.
    stem = re.sub(r"[^A-Za-z0-9_-]", "_", sample.path.stem)[:_STEM_LENGTH]
    picture = sample.read_bytes()
    return {
        "__key__": f"{number:08d}_{stem}",
        "cls": str(sample.label).encode(),
        _ending(sample.path, picture).removeprefix("."): picture,
    }


def _ending(path: Path, picture: bytes) -> str:
    """Return a picture's ending: a reader of shards knows it by that alone."""
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return suffix
    if (kind := format_of(picture)) is None:
        raise InputError(
            f"{path} has no ending of a picture file",
            "one that says its format, such as .jpg or .png",
            "rename it",
        )
    return ENDINGS[kind][0]
