"""What pydantic refuses, as one line for the user."""

from __future__ import annotations

import difflib
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from edge_fgir._errors import InputError


def refused(
    error: ValidationError,
    source: object,
    expected: str = "",
    remedy: str = "",
    *,
    kind: type[BaseModel] | None = None,
) -> InputError:
    """Return the first broken rule of a text or a file: where it is broken, and how.

    Args:
        error: What pydantic says.
        source: The file, or what the text is.
        expected: What should be there.
        remedy: What to do or run.
        kind: The model that was read; then an unknown key is answered with the nearest known one.
    """
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if kind is not None and first["type"] == "extra_forbidden":
        known = _keys(kind, first["loc"][:-1])
        near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1) or known
        return InputError(f"{source} has an unknown key {where}", " or ".join(near), remedy)
    place = f"{where}: " if where else ""
    return InputError(f"{source}: {place}{_rule(first)}", expected, remedy)


def refused_option(error: ValidationError, what: str) -> InputError:
    """Return the first broken rule of options: the option, its value and what is expected.

    Args:
        error: What pydantic says.
        what: They are options of.
    """
    first = error.errors()[0]
    if not first["loc"]:  # a rule about several options names them itself
        return InputError(f"{what}: {_rule(first)}")
    expected = _rule(first).removeprefix("Input should be ")
    return InputError(f"{what}: {first['loc'][0]} {first['input']!r}", expected)


def _rule(details: Any) -> str:
    rule: str = details["msg"]
    return rule.removeprefix("Value error, ")


def _keys(kind: Any, path: tuple[int | str, ...]) -> list[str]:
    """Return the keys of the section at ``path``, as a file spells them."""
    for part in path:
        if isinstance(part, str):  # a number counts in a list, whose items are of one kind
            kind = kind.model_fields[part].annotation
            while items := [item for item in get_args(kind) if item not in (type(None), ...)]:
                kind = items[0]
    return [field.alias or name for name, field in kind.model_fields.items()]
