"""YAML from outside, read strictly: recipes, sweeps, targets, devices and ``--set``.

Aliases, tags, dates and depth are what documents are attacked with, and what no file here needs:
they are refused before anything is built of them. A key that stands twice is refused too, as the
first one would be lost without a word.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import yaml

from edge_fgir._errors import InputError
from edge_fgir._files import read_utf8

_LARGEST_BYTES = 1 << 20
_DEEPEST = 32
_LONGEST_NUMBER = 40
_IMPLICIT = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    """Builds mappings with texts for keys, lists, texts, finite numbers, truth values and null."""

    def mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        """Return a mapping at once: nothing refers to it."""
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is no text", key_node.start_mark
                )
            if key in mapping:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key} stands twice", key_node.start_mark
                )
            mapping[key] = self.construct_object(value_node, deep=True)
        return mapping

    def number(self, node: yaml.ScalarNode) -> float | int:
        """Return a finite number that is written in few characters."""
        if len(node.value) > _LONGEST_NUMBER:
            raise yaml.constructor.ConstructorError(
                None, None, "a number of too many digits", node.start_mark
            )
        whole = node.tag.endswith(":int")
        value = self.construct_yaml_int(node) if whole else self.construct_yaml_float(node)
        if not math.isfinite(value):
            raise yaml.constructor.ConstructorError(
                None, None, f"{node.value} is no finite number", node.start_mark
            )
        return value

    def sequence(self, node: yaml.SequenceNode) -> list[Any]:
        """Return a list at once: nothing refers to it."""
        return [self.construct_object(each, deep=True) for each in node.value]


_Loader.yaml_constructors = {
    f"{_IMPLICIT}map": _Loader.mapping,
    f"{_IMPLICIT}seq": _Loader.sequence,
    f"{_IMPLICIT}str": yaml.SafeLoader.construct_yaml_str,
    f"{_IMPLICIT}int": _Loader.number,
    f"{_IMPLICIT}float": _Loader.number,
    f"{_IMPLICIT}bool": yaml.SafeLoader.construct_yaml_bool,
    f"{_IMPLICIT}null": yaml.SafeLoader.construct_yaml_null,
}
_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag.removeprefix(_IMPLICIT) not in ("timestamp", "merge", "value")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
"""Dates and merges are texts: no key here takes one."""


class _Texts(_Loader):
    """Builds every scalar as the text that stands there: ``no`` may be a name, and 0 a key."""


_Texts.yaml_implicit_resolvers = {}


def parse_yaml(text: str, source: str, *, texts: bool = False) -> Any:
    """Return the value of a YAML text.

    Args:
        text: The text.
        source: What it is, for the error.
        texts: Numbers, truth values and null are taken as they are written, keys among them.

    Raises:
        InputError: It is no YAML, or has aliases, tags, two documents, a key twice, more than 32
            levels, a number that is not finite, or more than a MiB.
    """
    expected = "plain YAML"
    if len(text) > _LARGEST_BYTES:
        raise InputError(f"{source} has {len(text)} characters", "at most a million")
    try:
        _check(text, source)
        return yaml.load(text, _Texts if texts else _Loader)
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{source} is not YAML: {error}", expected) from error


def read_yaml(path: Path, *, texts: bool = False) -> dict[str, Any]:
    """Read a file that holds one YAML mapping, with ``texts`` as :func:`parse_yaml` takes it.

    Raises:
        InputError: It is missing or no regular file, or as :func:`parse_yaml`.
    """
    value = parse_yaml(read_utf8(path, "a YAML file", _LARGEST_BYTES), str(path), texts=texts)
    if not isinstance(value, dict):
        raise InputError(f"{path} holds a {type(value).__name__}", "a YAML mapping")
    return value


def _check(text: str, source: str) -> None:
    """Refuse what would be built without end; the parser's events need no stack of ours."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise InputError(f"{source} has an anchor or alias", "YAML in which each value stands")
        if tag := getattr(event, "tag", None):
            raise InputError(f"{source} has the tag {tag}", "YAML without tags")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise InputError(f"{source} has more than {_DEEPEST} levels", "fewer")
