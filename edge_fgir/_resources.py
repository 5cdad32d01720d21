"""The YAML data shipped with the package: recipes, export targets, device descriptors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from edge_fgir._errors import InputError


def folder(kind: str) -> Path:
    """Return the folder ``kind`` (``recipes``, ``export`` or ``devices``).

    An installed wheel carries it inside the package; a source checkout has it at the top level.
    """
    package = Path(__file__).resolve().parent
    shipped = package / "_data" / kind
    return shipped if shipped.is_dir() else package.parent / kind


def names(kind: str, pattern: str = "*.yaml") -> list[str]:
    """Return the sorted names of the entries of ``kind`` that match ``pattern``."""
    found = folder(kind).glob(pattern)
    return sorted(p.parent.name if "/" in pattern else p.stem for p in found)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one YAML mapping.

    Raises:
        InputError: The file is missing, is not YAML, or is not a mapping.
    """
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", "a readable YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not YAML: {error}", "a YAML mapping") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} holds a {type(value).__name__}", "a YAML mapping")
    return value
