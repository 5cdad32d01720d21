"""Results from files, of today's schema versions and of earlier ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar, overload

from edge_fgir._errors import InputError
from edge_fgir._files import read_utf8
from edge_fgir._refusal import validated
from edge_fgir.results.base import Result
from edge_fgir.results.evaluation import Evaluation
from edge_fgir.results.fit import Fit
from edge_fgir.results.latency import Latency
from edge_fgir.results.predictions import Predictions
from edge_fgir.results.profile import Profile
from edge_fgir.results.sweep import Sweep
from edge_fgir.results.training import Teachers, Training

KINDS: dict[str, type[Result]] = {
    kind.kind: kind
    for kind in (Evaluation, Fit, Latency, Predictions, Profile, Sweep, Teachers, Training)
}
"""Every kind of result, by its name."""

_LARGEST = 1 << 53
_MOST_DIGITS = 20

_R = TypeVar("_R", bound=Result)


@overload
def read_result(path: Path) -> Result: ...
@overload
def read_result(path: Path, kind: type[_R]) -> _R: ...
def read_result(path: Path, kind: type[Result] = Result) -> Result:
    """Read a result file.

    Args:
        path: The file.
        kind: What it must be; by default any result.

    Raises:
        InputError: The file is missing, is not JSON, is of another kind or schema, or one of its
            fields is missing, unknown or wrong.
    """
    text = read_utf8(path, "a result file")
    try:
        value = json.loads(text, parse_int=_bounded)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error})", "a result file") from error
    return parse_result(value, str(path), kind)


def _bounded(digits: str) -> int:
    """Return an integer that a float can hold exactly: what is larger counts nothing."""
    number = int(digits) if len(digits) < _MOST_DIGITS else None
    if number is None or abs(number) > _LARGEST:
        raise ValueError(f"the number {digits[:_MOST_DIGITS]} ... is too large")
    return number


@overload
def parse_result(value: Any, source: str) -> Result: ...
@overload
def parse_result(value: Any, source: str, kind: type[_R]) -> _R: ...
def parse_result(value: Any, source: str, kind: type[Result] = Result) -> Result:
    """Return the result that the JSON value of a result file (or of ``--json``) holds.

    Args:
        value: As :meth:`Result.to_dict` gives it.
        source: Where it is from, for the errors.
        kind: What it must be; by default any result.

    Raises:
        InputError: As for :func:`read_result`.
    """
    schema = value.get("schema") if isinstance(value, dict) else None
    possible = [known for known in KINDS.values() if issubclass(known, kind)]
    for known in possible:
        for version in range(1, known.version + 1):
            if schema == known.schema_name(version):
                fields = {name: field for name, field in value.items() if name != "schema"}
                known.upgrade(fields, version)
                return validated(
                    known, fields, source, f"a whole {known.kind} result", "write it again"
                )
    names = ", ".join(known.schema_name() for known in possible)
    raise InputError(f"{source} has schema {schema!r}", f"one of {names}")
