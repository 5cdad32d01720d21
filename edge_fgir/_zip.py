"""Zip files whose bytes follow from their files alone."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Iterable

_READABLE = (stat.S_IFREG | 0o644) << 16


def zipped(files: Iterable[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Return a zip of files, given as (name, content); no time and no user is in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files:
            entry = zipfile.ZipInfo(name)  # of 1980, the zip format's first day
            entry.external_attr = _READABLE
            entry.create_system = 3  # Unix, wherever it is written
            archive.writestr(entry, data, compression)
    return buffer.getvalue()
