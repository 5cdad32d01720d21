"""MATLAB files of lists: read by scipy, where it is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edge_fgir._errors import InputError, MissingExtraError
from edge_fgir._files import regular

_LARGEST_BYTES = 64 << 20
"""Lists of a hundred thousand pictures have a few MiB."""


def read_mat(path: Path, key: str, what: str) -> Any:
    """Return a variable of a MATLAB file.

    Args:
        path: The file.
        key: The variable's name.
        what: What the file should be, for the error.

    Raises:
        InputError: It has no such variable, is larger than 64 MiB or no MATLAB file.
        MissingExtraError: scipy is not installed.
    """
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise MissingExtraError("scipy", "export", f"reading {path}") from error
    if regular(path).stat().st_size > _LARGEST_BYTES:
        raise InputError(f"{path} has more than {_LARGEST_BYTES >> 20} MiB", what)
    try:
        return loadmat(path, squeeze_me=True, variable_names=[key])[key]
    except Exception as error:  # the format has many ways to be wrong
        raise InputError(f"{path} is not {what} ({error})", key) from error


def whole_numbers(value: Any, most: int, source: str, count: int | None = None) -> list[int]:
    """Return a variable that holds numbers from 1 to ``most``, and ``count`` of them if it is set.

    Raises:
        InputError: It holds something else.
    """
    array = np.atleast_1d(np.asarray(value))
    counted = count is None or array.shape == (count,)
    if counted and array.ndim == 1 and array.dtype.kind in "iuf":
        # Of what no whole number is, NaN among it, the comparison is false.
        good = (array >= 1) & (array <= most)
        if good.all() and (array == np.floor(array)).all():
            return [int(number) for number in array]
        found = f"has {array[~good][0]:g}" if not good.all() else "has fractions"
    else:
        found = f"is an array {list(array.shape)} of {array.dtype.name[:20]}"
    raise InputError(f"{source} {found}", f"whole numbers from 1 to {most}")
