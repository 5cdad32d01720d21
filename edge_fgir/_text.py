"""Text from outside as a terminal may show it: file names, class names, manifests, messages."""

from __future__ import annotations

import unicodedata

_KEPT = "\n\t"
_DIRECTIONS = frozenset(
    map(chr, (0x061C, *range(0x200E, 0x2010), *range(0x202A, 0x202F), *range(0x2066, 0x206A)))
)
"""Marks that turn the direction of writing: with them a line reads as another one."""

# Not the joiners U+200C and U+200D: Persian, Indic scripts and emoji are written with them.
_INVISIBLE = _DIRECTIONS | frozenset("\u00ad\u200b\u2060\ufeff")
LONGEST_LABEL = 1000
"""Characters of a class name."""


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


def label_problem(name: str) -> str | None:
    """Say why a name cannot be a label; None if it can."""
    if not name:
        return "is blank"
    if name.encode(errors="ignore").decode() != name:
        return "is not UTF-8"
    if name.splitlines() != [name]:
        return "holds a line break"
    for character in name:
        if unicodedata.category(character) == "Cc":
            return f"holds the control character U+{ord(character):04X}"
        if character in _INVISIBLE:
            return f"holds the invisible character U+{ord(character):04X}"
    if len(name) > LONGEST_LABEL:
        return f"has {len(name)} characters, more than {LONGEST_LABEL}"
    if not name.strip():
        return "is blank"
    return None


def _plain(char: str) -> bool:
    # Surrogates stand for bytes of file names that are not UTF-8.
    return unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp") and char not in _DIRECTIONS


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()
