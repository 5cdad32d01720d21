"""Text files from outside: UTF-8 with or without a byte order mark, any line ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edge_fgir._errors import InputError
from edge_fgir._files import read_file

_OTHER = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_LARGEST_BYTES = 1 << 30
SAVE_AGAIN = "save it as UTF-8 text"


def read_text(path: Path, most: int = _LARGEST_BYTES) -> str:
    """Return a file's text without its byte order mark.

    Raises:
        InputError: It is missing, no regular file, larger than ``most`` bytes, or not UTF-8.
    """
    content = read_file(path, "a text file", most)
    for mark, name in _OTHER.items():
        if content.startswith(mark):
            raise InputError(f"{path} is {name} text", "UTF-8", SAVE_AGAIN)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text ({error})", "UTF-8", SAVE_AGAIN) from error


def read_pairs(path: Path) -> list[tuple[str, str]]:
    """Return the lines of a file that holds a word and a text a line; empty lines are left out.

    Raises:
        InputError: As :func:`read_text`; or a line has one word.
    """
    pairs = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if line.strip():
            first, _, rest = line.strip().partition(" ")
            if not rest:
                raise InputError(f"line {number} of {path} is {line!r}", "two words or more")
            pairs.append((first, rest.strip()))
    if not pairs:
        raise InputError(f"{path} is empty", "two words or more a line")
    return pairs


def read_json(path: Path) -> Any:
    """Return the value of a JSON file.

    Raises:
        InputError: As :func:`read_text`; or it is no JSON.
    """
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON ({error})", "JSON") from error
