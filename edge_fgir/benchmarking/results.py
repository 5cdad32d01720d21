"""Results: JSON with a schema version and the environment inside; reports need nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edge_fgir._errors import InputError
from edge_fgir._files import write_json
from edge_fgir.benchmarking.environment import environment

KINDS = ("evaluation", "latency", "predictions", "profile", "sweep", "teachers", "training")
"""What a result can be about."""

_VERSION = 1


def schema(kind: str) -> str:
    """Return the schema name of results of ``kind``."""
    return f"edge-fgir/{kind}/{_VERSION}"


def write_result(path: Path, kind: str, body: dict[str, Any]) -> None:
    """Write a result of ``kind`` to ``path``, atomically, with schema and environment.

    The environment is this machine's, unless ``body`` has that of the machine it was measured on.
    """
    where = body.get("environment") or environment().model_dump(mode="json")
    write_json(path, {"schema": schema(kind), **body, "environment": where})


def read_result(path: Path) -> tuple[str, dict[str, Any]]:
    """Read a result and return its kind and its body.

    Raises:
        InputError: The file is missing, is not JSON, or is of an unknown schema.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", "a result file") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error})", "a result file") from error
    found = value.get("schema") if isinstance(value, dict) else None
    for kind in KINDS:
        if found == schema(kind):
            return kind, value
    raise InputError(
        f"{path} has schema {found!r}", f"one of {', '.join(schema(kind) for kind in KINDS)}"
    )
