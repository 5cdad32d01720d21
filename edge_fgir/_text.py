"""Text from outside as a terminal may show it: file names, class names, manifests, messages."""

from __future__ import annotations

import unicodedata

_KEPT = "\n\t"
_DIRECTIONS = frozenset(
    map(chr, (0x061C, *range(0x200E, 0x2010), *range(0x202A, 0x202F), *range(0x2066, 0x206A)))
)
"""Marks that turn the direction of writing: with them a line reads as another one."""


def printable(text: str) -> str:
    """Return text with what a terminal obeys, and what turns its direction, as escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _plain(char) else _escaped(char) for char in text)


def printable_lines(text: str) -> str:
    """Return text as :func:`printable` does, with its line ends and tabs."""
    return "".join(char if char in _KEPT else printable(char) for char in text)


def printable_json(text: str) -> str:
    """Return JSON with the same characters as JSON's own escapes: its values stay as they are."""
    return "".join(char if char == "\n" or _plain(char) else f"\\u{ord(char):04x}" for char in text)


def _plain(char: str) -> bool:
    # Surrogates stand for bytes of file names that are not UTF-8.
    return unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp") and char not in _DIRECTIONS


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()
