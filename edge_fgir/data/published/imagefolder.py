"""Hugging Face's imagefolder with metadata: pictures in one folder, and their labels in a file.

    train/metadata.jsonl or metadata.csv     file_name and label (or another column, if it is alone)
    test/metadata.jsonl                      the same; or one metadata file for all in the folder

Source: huggingface.co/docs/datasets/image_dataset.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edge_fgir._errors import InputError
from edge_fgir.data.dataset import DataSet, Split
from edge_fgir.data.listed import Listed, below, listed_data
from edge_fgir.data.split_names import split_of
from edge_fgir.data.texts import read_text

_FILE = "file_name"
_LABELS = ("label", "class", "category", "text")
_NAMES = ("metadata.jsonl", "metadata.csv")


def read(root: Path, strict: bool) -> tuple[DataSet, bool] | None:
    """Read an imagefolder with metadata; None if ``root`` is laid out otherwise."""
    files: list[tuple[Path, Split | None]] = []
    folders = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    for folder in [root, *folders]:
        split = None if folder == root else split_of(folder.name)
        file = next((folder / name for name in _NAMES if (folder / name).is_file()), None)
        if file is not None and (split is not None or folder == root):
            files.append((file, split))
    rows = [
        Listed(below(root, file.parent, path), label, split)
        for file, split in files
        for path, label in _labels(file)
    ]
    return listed_data(root.name, root, rows, strict=strict) if rows else None


def _labels(file: Path) -> Iterator[tuple[str, str]]:
    """Yield path and label of each picture that a metadata file lists."""
    records = _lines(file) if file.suffix == ".jsonl" else _table(file)
    for number, record in records:
        others = [key for key in record if key != _FILE]
        column = next((key for key in _LABELS if key in record), None)
        column = others[0] if column is None and len(others) == 1 else column
        path, label = record.get(_FILE), record.get(column or "")
        if not isinstance(path, str) or not isinstance(label, str | int) or label == "":
            raise InputError(
                f"line {number} of {file} has {', '.join(map(str, record)) or 'nothing'}",
                f"{_FILE} and one of {', '.join(_LABELS)}",
            )
        yield path, str(label)


def _lines(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(read_text(file).splitlines(), 1):
        if line.strip():
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"line {number} of {file} is no JSON ({error})", "JSON") from error
            yield number, record if isinstance(record, dict) else {}


def _table(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(read_text(file), newline=""), strict=True)
    try:
        for record in reader:
            yield reader.line_num, {key: value for key, value in record.items() if key}
    except csv.Error as error:
        raise InputError(f"{file} is no CSV ({error})", "fields between commas") from error
