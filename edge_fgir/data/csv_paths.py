"""Paths in lists of pictures, and DAF:re's rule for them.

Source: arXiv 2101.08674, docs/science/dafre.md#files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from edge_fgir._errors import InputError
from edge_fgir._paths import stays_below, with_slashes
from edge_fgir.data.csv_list import Row

_BY_ID = re.compile(r"([0-9]{4})/([0-9]{1,18})\.\w+", re.ASCII)


def id_folder(picture_id: int) -> str:
    """Return the folder of a DAF:re picture: its id modulo 1000, four digits."""
    return f"{picture_id % 1000:04d}"


def follows_id_rule(name: str) -> bool:
    """Say whether a path is ``NNNN/ID.jpg`` with the folder that the id belongs in."""
    match = _BY_ID.fullmatch(name)
    return match is not None and id_folder(int(match[2])) == match[1]


def are_by_id(rows: Sequence[Row]) -> bool:
    """Say whether the lists follow DAF:re's path rule: most rows do, and none would by chance."""
    return 2 * sum(follows_id_rule(row.text) for row in rows) > len(rows)


def plain(row: Row, folders: Sequence[Path]) -> Row:
    """Return a row whose path is relative to the picture folder, where it says the same otherwise.

    Args:
        row: Its path may begin with ``./``, be absolute, or have the separators of Windows.
        folders: Where pictures may lie.
    """
    row = row._replace(text=with_slashes(row.text))
    if row.text.startswith("./"):
        return row._replace(text=row.text.removeprefix("./"))
    if row.text.startswith("/"):
        for folder in map(Path.absolute, folders):
            if Path(row.text).is_relative_to(folder):
                return row._replace(text=Path(row.text).relative_to(folder).as_posix())
    return row


def is_inside(name: str) -> bool:
    """Say whether a path of a list is a plain one that leads nowhere else."""
    return name.isprintable() and "\\" not in name and stays_below(name)


def path_problem(row: Row, path: Path, root: Path, *, by_id: bool) -> InputError | None:
    """Say what is wrong with a row's path; None if its picture is there.

    Args:
        row: The row.
        path: Its list.
        root: Where paths start.
        by_id: DAF:re's rule holds.
    """
    where = f"line {row.line} of {path}"
    if not is_inside(row.text):
        return InputError(f"{where} names {row.text!r}", f"a path below {root}, with /")
    if by_id and not follows_id_rule(row.text):
        match = _BY_ID.fullmatch(row.text)
        wanted = f"{id_folder(int(match[2]))}/..." if match else "NNNN/ID.jpg"
        return InputError(f"{where} names {row.text}", f"{wanted}: the id modulo 1000, four digits")
    file = root / row.text
    if file.is_file():
        return None
    short = root / row.text[1:]
    hint = "its folders have three digits: rename 291 to 0291 and so on"
    return InputError(
        f"{where} names {file}, which is not there",
        "every listed picture",
        hint if by_id and short.is_file() else "copy the pictures again, or drop the row",
    )
