"""The user's cache folder: what can be made again, kept between commands."""

from __future__ import annotations

import os
from pathlib import Path

from edge_fgir._errors import InputError


def cache_path() -> Path:
    """Return ``$XDG_CACHE_HOME/edge-fgir``, by default ``~/.cache/edge-fgir``.

    Raises:
        InputError: The user has no home folder.
    """
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edge-fgir"
    except RuntimeError as error:
        raise InputError(
            "this user has no home folder",
            "a place for what is kept between commands",
            "set XDG_CACHE_HOME to a folder",
        ) from error


def own_cache() -> Path:
    """Return the folder, made if need be, for what is run or believed when it is read.

    Raises:
        InputError: Others can write to it, or the user has no home folder.
        OSError: It cannot be made.
    """
    folder = cache_path()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = folder.stat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise InputError(
            f"{folder} can be written to by others, and engines are native code",
            "a folder that is yours alone",
            f"run: chmod 700 {folder}, or set XDG_CACHE_HOME to another folder",
        )
    return folder


def own_cache_if_any() -> Path | None:
    """Return the folder of :func:`own_cache`; None where there is none to rely on."""
    try:
        return own_cache()
    except (InputError, OSError):
        return None
