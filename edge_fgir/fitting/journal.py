"""Decisions that a resumed fit must not take anew, because they follow from measured times."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pydantic import JsonValue, TypeAdapter

from edge_fgir._files import write_json
from edge_fgir._refusal import stored

_STORED = TypeAdapter(dict[str, JsonValue])


class Journal:
    """Remembers values by name in a file.

    Args:
        file: The file.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._values = stored(_STORED, file, {})

    def number(self, name: str, decide: Callable[[], float]) -> float:
        """Return a number that is decided once."""
        if name not in self._values:
            self._values[name] = decide()
            write_json(self._file, self._values)
        value = self._values[name]
        assert isinstance(value, int | float)
        return value
