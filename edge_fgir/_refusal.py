"""Values from outside as models; what pydantic refuses is one line for the user."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError

from edge_fgir._errors import InputError
from edge_fgir._files import read_file

_Model = TypeVar("_Model", bound=BaseModel)
_Value = TypeVar("_Value")


class BrokenRule(NamedTuple):
    """The first rule that values break.

    Attributes:
        where: Dotted key of the value; empty where the rule is about several values.
        value: What stands there.
        rule: What was expected, in pydantic's words or a validator's.
    """

    where: str
    value: Any
    rule: str


def broken_rule(error: ValidationError) -> BrokenRule:
    """Return the first of the rules that pydantic found broken."""
    first = error.errors()[0]
    rule = first["msg"].removeprefix("Value error, ")
    return BrokenRule(".".join(map(str, first["loc"])), first["input"], rule)


def validated(
    kind: type[_Model], values: Any, source: object, expected: str, remedy: str = ""
) -> _Model:
    """Return the content of a file as a model.

    Args:
        kind: The model.
        values: JSON text (bytes), or plain values as YAML gives them.
        source: The file, or what the values are.
        expected: What should be there.
        remedy: What to do or run.

    Raises:
        InputError: A value breaks a rule, or its key is unknown; it is named.
    """
    try:
        if isinstance(values, bytes):
            return kind.model_validate_json(values)
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where, _, rule = broken_rule(error)
        if first["type"] == "extra_forbidden":
            near = difflib.get_close_matches(
                str(first["loc"][-1]), _keys(kind, first["loc"][:-1]), n=1
            )
            raise InputError(
                f"{source} has an unknown key {where}",
                near[0] if near else expected,
                remedy or "correct the key",
            ) from error
        if not where and first["type"] != "value_error":  # such a rule is about several values
            where = "text"
        place = f"{where}: " if where else ""
        raise InputError(f"{source}: {place}{rule}", expected, remedy) from error


def stored(kind: TypeAdapter[_Value], file: Path, default: _Value) -> _Value:
    """Return what a file keeps that this package wrote for itself; ``default`` without one.

    Raises:
        InputError: It is damaged, or no regular file.
    """
    if not file.exists():
        return default
    try:
        return kind.validate_json(read_file(file, "a file of edge-fgir"))
    except ValidationError as error:
        where, _, rule = broken_rule(error)
        place = f"{where}: " if where else ""
        raise InputError(
            f"{file} is damaged ({place}{rule})",
            "it as edge-fgir wrote it",
            "delete it: what it kept is found anew",
        ) from error


def refused_option(error: ValidationError, what: str) -> InputError:
    """Return the first broken rule of options: the option, its value and what is expected.

    Args:
        error: What pydantic says.
        what: They are options of.
    """
    where, value, rule = broken_rule(error)
    if not where:  # a rule about several options names them itself
        return InputError(f"{what}: {rule}")
    return InputError(f"{what}: {where} {value!r}", rule.removeprefix("Input should be "))


def _keys(kind: Any, path: Sequence[int | str]) -> list[str]:
    """Return the keys of the section at ``path``; none where several models could stand there."""
    for part in path:
        if isinstance(part, int):  # counts in a list, whose items are of one kind
            continue
        fields = {field.alias or name: field for name, field in kind.model_fields.items()}
        models = list(_models(fields[part].annotation)) if part in fields else []
        if len(models) != 1:
            return []
        kind = models[0]
    return [field.alias or name for name, field in kind.model_fields.items()]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)
