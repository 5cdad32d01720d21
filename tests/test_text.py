"""Text from outside on a terminal: nothing is obeyed, nothing is turned around, nothing is lost."""

from __future__ import annotations

import json

import pytest

from edge_fgir._text import printable, printable_json, printable_lines

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plain", "plain"),
        ("Grünfink 雀 👩‍🔬", "Grünfink 雀 👩‍🔬"),
        ("می‌خواهم", "می‌خواهم"),
        ("\x1b[2J\x1b]0;x\x07", r"\x1b[2J\x1b]0;x\x07"),
        ("a\x9b31m", r"a\x9b31m"),
        ("gpj.\u202etxt", r"gpj.\u202etxt"),
        ("a\u2066b\u2069", r"a\u2066b\u2069"),
        ("a\r\nb", r"a\r\nb"),
        ("a\u2028b", r"a\u2028b"),
        ("m\udcfcnchen", r"m\udcfcnchen"),
    ],
)
def test_what_a_terminal_obeys_is_an_escape(text: str, said: str) -> None:
    assert printable(text) == said
    printable(text).encode()


def test_lines_stay_lines() -> None:
    assert printable_lines("a\tb\n\x1bc\r\n") == "a\tb\n\\x1bc\\r\n"


@pytest.mark.parametrize("text", ["a\x9b\x7f\u202e\u2028\udcfcé雀", "plain"])
def test_json_keeps_its_values(text: str) -> None:
    dumped = printable_json(json.dumps({"name": text}, ensure_ascii=False, indent=2) + "\n")
    assert json.loads(dumped) == {"name": text}
    assert printable_lines(dumped) == dumped
