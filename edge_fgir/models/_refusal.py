"""Settings that break a rule, said in one line."""

from __future__ import annotations

from pydantic import ValidationError

from edge_fgir._errors import InputError


def refusal(error: ValidationError, what: str) -> InputError:
    """Return the first broken rule of some settings.

    Args:
        error: What pydantic says.
        what: They are settings of.
    """
    first = error.errors()[0]
    rule = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:  # a rule about several of them names them itself
        return InputError(f"{what}: {rule}")
    found = f"{what}: {first['loc'][0]} {first['input']!r}"
    return InputError(found, rule.removeprefix("Input should be "))
