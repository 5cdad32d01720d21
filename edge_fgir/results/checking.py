"""Turning plain values into models, with an error that names the first wrong field."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from edge_fgir._errors import InputError

_M = TypeVar("_M", bound=BaseModel)


def validated(model: type[_M], value: Any, source: str, expected: str) -> _M:
    """Return ``value`` as a model.

    Raises:
        InputError: A field is missing, unknown or wrong; it is named behind ``source``.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "content"
        raise InputError(
            f"{source}: {field}: {first['msg']}", expected, "write it again"
        ) from error
