"""The YAML data shipped with the package: recipes, export targets, device descriptors."""

from __future__ import annotations

from pathlib import Path


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
