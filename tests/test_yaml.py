"""Strict YAML: what documents are attacked with is one line, at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from edge_fgir import InputError
from edge_fgir._yaml import parse_yaml, read_yaml

pytestmark = pytest.mark.unit

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)
ATTACKS = {
    "alias bomb": BOMB,
    "merge bomb": "a: &a {b: 1}\n" + "c:\n" + "  <<: [*a, *a]\n" * 2,
    "itself": "&a [*a]",
    "3,000 levels of lists": "[" * 3000,
    "33 levels of lists": "[" * 33 + "]" * 33,
    "3,000 levels of mappings": "{a: " * 3000,
    "deep block": "".join(f"{' ' * depth}a:\n" for depth in range(1000)),
    "5,000 digits": f"a: {'9' * 5000}",
    "5,000 hexadecimal digits": f"a: 0x{'f' * 5000}",
    "base sixty": f"a: 1{':59' * 2000}",
    "infinite": "a: .inf",
    "not a number": "a: [.nan]",
    "a huge exponent": "a: 1.0e+9999",
    "python": "a: !!python/object/apply:os.system [id]",
    "binary": "a: !!binary x",
    "set": "a: !!set {b}",
    "date by tag": "a: !!timestamp 2024-99-99",
    "twice": "a: 1\nb: 2\na: 3",
    "a list for a key": "{[a, b]: 1}",
    "a mapping for a key": "{{a: 1}: 1}",
    "a number for a key": "1: 2",
    "two documents": "a: 1\n---\nb: 2",
    "a control character": "a: \x1b[2J",
    "a NUL": "a: \0",
    "a lone surrogate": "a: \udc80",
    "a tab": "a:\n\tb: 1",
    "an unclosed quote": 'a: "b',
    "a directive": "%YAML 9.9\n---\na: 1",
    "too long": "#" * (2 << 20),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_one_line(name: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_yaml(ATTACKS[name], "recipe x.yaml")
    assert str(caught.value).startswith("recipe x.yaml ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("a: {b: [1, 2.5, yes, null, x, 1e-3]}", {"a": {"b": [1, 2.5, True, None, "x", "1e-3"]}}),
        ("since: 2024-99-99", {"since": "2024-99-99"}),
        ("a: ~/photos", {"a": "~/photos"}),
        ("<<: x", {"<<": "x"}),
        ("a: =", {"a": "="}),
        ("[" * 32 + "]" * 32, None),
    ],
)
def test_plain_yaml_is_read(text: str, value: Any) -> None:
    read = parse_yaml(text, "it")
    assert text.startswith("[") or read == value


NUMBERS = ("5,000 digits", "5,000 hexadecimal digits", "base sixty", "infinite", "not a number")


@pytest.mark.parametrize(
    "name", sorted(set(ATTACKS) - {*NUMBERS, "a huge exponent", "a number for a key"})
)
def test_an_attack_is_one_where_all_values_are_texts(name: str) -> None:
    with pytest.raises(InputError):
        parse_yaml(ATTACKS[name], "data.yaml", texts=True)


def test_values_may_be_taken_as_they_are_written() -> None:
    text = "names: {0: no, 1: 0x1f, '2': ~, 1.5: .nan}\nnc: 1:59\nempty:"
    names = {"0": "no", "1": "0x1f", "2": "~", "1.5": ".nan"}
    assert parse_yaml(text, "it", texts=True) == {"names": names, "nc": "1:59", "empty": ""}


def test_marks_and_line_ends_of_other_systems_are_read(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert read_yaml(file) == {"a": 1, "b": 2}


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        with pytest.raises(InputError, match="is a pipe or a device"):
            read_yaml(path)
