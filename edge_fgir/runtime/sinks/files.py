"""Events as lines of a file."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from edge_fgir._errors import InputError

_COLUMNS = (
    "start_at",
    "end_at",
    "state",
    "visit",
    "label",
    "name",
    "scientific_name",
    "score",
    "is_unknown",
    "frames",
    "moments",
    "start",
    "end",
    "track",
)


class LinesFile:
    """Events appended to a file as JSON lines.

    A line is there whole or not at all, on a full disk too.

    Args:
        path: The file; an existing one grows.

    Raises:
        InputError: Its folder does not exist, or it is a folder.
    """

    def __init__(self, path: Path) -> None:
        if path.is_dir() or not path.parent.is_dir():
            raise InputError(f"{path} cannot be written", "a file in a folder that exists")
        self.name = str(path)
        self._path = path

    def deliver(self, values: dict[str, Any]) -> None:
        """Append an event."""
        self._append(json.dumps(values, ensure_ascii=False) + "\n")

    def _append(self, text: str) -> None:
        with self._path.open("ab", buffering=0) as file:
            size = file.tell()
            data = text.encode()
            try:
                written = file.write(data)
                if written != len(data):
                    raise OSError(f"{self._path}: the disk is full")
            except OSError:
                file.truncate(size)
                raise

    def close(self) -> None:
        """Nothing stays open."""


class CsvFile(LinesFile):
    """Events appended to a file as comma-separated values, with a header in its first line."""

    def deliver(self, values: dict[str, Any]) -> None:
        """Append an event."""
        text = io.StringIO()
        writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
        if not self._path.exists() or not self._path.stat().st_size:
            writer.writeheader()
        writer.writerow(values)
        self._append(text.getvalue())
