"""Arrays that this package keeps beside data, read without trusting them."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from edge_fgir._errors import InputError
from edge_fgir._files import regular


@contextmanager
def read_arrays(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the arrays that ``numpy.savez`` wrote; each is read when it is asked for.

    They are stored, so that none can grow beyond the file that carries it.

    Raises:
        InputError: One is compressed.
        ValueError: It is no archive of arrays, or one holds objects.
    """
    with regular(path).open("rb") as file:
        if any(entry.compress_type for entry in zipfile.ZipFile(file).infolist()):
            raise InputError(f"{path} holds compressed arrays", "stored ones", "delete it")
        file.seek(0)
        with np.load(file, allow_pickle=False) as archive:
            yield archive
