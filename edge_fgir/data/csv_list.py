"""Label lists as CSV, in both conventions of DAF:re: with a header, or without.

Source: arXiv 2101.08674, docs/science/dafre.md#files.

Which one a file follows is read from its first line. Everything that would silently drop or shift a
row is refused: another delimiter, a field too many, a class id that is no whole number.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from edge_fgir._errors import InputError
from edge_fgir._files import read_file
from edge_fgir._text import label_problem

CLASS_ID, PICTURE, CLASS_NAME = "class_id", "dir", "class_name"

_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_SAVE_AGAIN = "save it as UTF-8 text with commas"
_LARGEST_BYTES = 1 << 30
_OTHER_TEXT = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


class Row(NamedTuple):
    """One row: the line it stands on, the class, and the picture or the name."""

    line: int
    class_id: int
    text: str


def read_list(path: Path, column: str) -> list[Row]:
    """Read ``class_id`` and one more column, with or without a header.

    A byte order mark (UTF-8) and empty lines are passed over; with a header, columns may stand in
    any order, and others beside them.

    Args:
        path: The file.
        column: ``dir`` or ``class_name``: the second column where there is no header.

    Raises:
        InputError: The file is missing or empty, is not UTF-8 or not separated by commas, or a row
            has other fields than it should.
    """
    rows = _records(path)
    first = next(rows, None)
    if first is None:
        raise InputError(f"{path} is empty", f"rows of {CLASS_ID},{column}")
    line, fields = first
    if _NUMBER.fullmatch(fields[0].strip()):
        places, width = (0, 1), 2
        found = [_row(path, line, fields, places, width, column)]
    else:
        places, width, found = _header(path, line, fields, column), len(fields), []
    found += [_row(path, number, row, places, width, column) for number, row in rows]
    if not found:
        raise InputError(f"{path} has a header and no rows", f"rows of {CLASS_ID},{column}")
    return found


def read_class_names(path: Path) -> tuple[str, ...]:
    """Read ``class_id,class_name`` rows, in any order.

    Raises:
        InputError: As :func:`read_list`; or an id is missing or there twice, or a name is no line
            of text or names two classes.
    """
    rows = read_list(path, CLASS_NAME)
    names: dict[int, Row] = {}
    for row in rows:
        if row.class_id in names:
            raise InputError(
                f"{path} names class {row.class_id} on lines {names[row.class_id].line} and "
                f"{row.line}",
                "each class id once",
            )
        names[row.class_id] = row
    check_ids(names, path)
    taken: dict[str, Row] = {}
    for row in rows:
        if label_problem(row.text) is not None:
            raise InputError(
                f"line {row.line} of {path} names a class {row.text!r}", "one line of text"
            )
        if row.text in taken:
            raise InputError(
                f"{path} calls classes {taken[row.text].class_id} and {row.class_id} {row.text!r}",
                "a name of its own for each class",
            )
        taken[row.text] = row
    return tuple(names[class_id].text for class_id in range(len(names)))


def check_ids(ids: dict[int, Row], path: Path) -> None:
    """Raise InputError unless class ids are 0, 1, 2 and so on without a gap."""
    gap = next((wanted for wanted in range(len(ids)) if wanted not in ids), None)
    if gap is not None:
        above = min(class_id for class_id in ids if class_id > gap)
        raise InputError(
            f"{path} has no class {gap} but a class {above} (line {ids[above].line})",
            "class ids 0, 1, 2 and so on without a gap",
            "take 1 from every id" if not gap and above == 1 else "",
        )


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and fields of each row that is not empty."""
    content = read_file(path, "a CSV file", _LARGEST_BYTES)
    for mark, name in _OTHER_TEXT.items():
        if content.startswith(mark):
            raise InputError(f"{path} is {name} text", "UTF-8", _SAVE_AGAIN)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 ({error.reason})", "UTF-8", _SAVE_AGAIN) from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                yield reader.line_num, fields
    except csv.Error as error:
        raise InputError(
            f"line {reader.line_num} of {path} is no CSV ({error})", "fields between commas"
        ) from error


def _header(path: Path, line: int, fields: Sequence[str], column: str) -> tuple[int, int]:
    names = [field.strip().lower() for field in fields]
    _check_delimiter(path, line, fields)
    for name in (CLASS_ID, column):
        if names.count(name) != 1:
            raise InputError(
                f"line {line} of {path} is {','.join(fields)!r}",
                f"a class id, or a header with {CLASS_ID} and {column}",
            )
    return names.index(CLASS_ID), names.index(column)


def _row(
    path: Path, line: int, fields: Sequence[str], places: tuple[int, int], width: int, column: str
) -> Row:
    if len(fields) != width:
        _check_delimiter(path, line, fields)
        raise InputError(
            f"line {line} of {path} has {len(fields)} fields",
            str(width),
            "put a text that holds commas between quotes",
        )
    number, text = (fields[place].strip() for place in places)
    if not _NUMBER.fullmatch(number):
        raise InputError(f"line {line} of {path} has the class id {number!r}", "a whole number")
    if not text:
        raise InputError(f"line {line} of {path} has no {column}", f"{CLASS_ID},{column}")
    return Row(line, int(number), text)


def _check_delimiter(path: Path, line: int, fields: Sequence[str]) -> None:
    for delimiter, name in _DELIMITERS.items():
        if len(fields) == 1 and delimiter in fields[0]:
            raise InputError(f"line {line} of {path} is separated by {name}", "commas", _SAVE_AGAIN)
