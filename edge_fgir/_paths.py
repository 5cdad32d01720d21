"""Names from outside that become paths: class names, tar members, rows of lists."""

from __future__ import annotations

from pathlib import Path

from edge_fgir._errors import InputError


def stays_below(name: str) -> bool:
    """Say whether a relative POSIX path leads nowhere but below the folder it is joined to.

    It has no empty part and none that is ``.`` or ``..``, and no NUL; so it is not absolute.
    """
    return "\0" not in name and not {"", ".", ".."} & set(name.split("/"))


def with_slashes(name: str) -> str:
    """Return a path as Windows wrote it with the separators of everyone else."""
    return name.replace("\\", "/")


def join_below(folder: Path, *names: str) -> Path:
    """Join names that come from outside to a folder.

    Raises:
        InputError: One of them would lead out of the folder, or back to it.
    """
    for name in names:
        if not stays_below(name):
            raise InputError(f"the name {name!r}", f"one that stays below {folder}")
    return folder.joinpath(*names)
