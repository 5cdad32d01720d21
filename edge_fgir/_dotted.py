"""Nested values by dotted key, as ``--set`` names them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def dotted(values: Mapping[str, Any], section: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value that is no section, with its key: ``optimizer.lr``."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from dotted(value, f"{section}{key}.")
        else:
            yield f"{section}{key}", value
