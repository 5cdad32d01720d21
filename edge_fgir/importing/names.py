"""The authors' names of tensors and ours, declared once and read in both directions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

_PART = re.compile(r"\[(\d)\]")


@dataclass(frozen=True)
class Names:
    """Which of our tensors is which of theirs.

    Attributes:
        pairs: How a name begins, theirs and ours; ``#`` is a number that both have. The first pair
            that fits counts; a name that none fits is the same in both. ``[0]`` in ours is a part
            of a tensor that they have in several: the parts are joined along the first dimension.
        unused: Regular expressions of their names that the model does not use.
    """

    pairs: tuple[tuple[str, str], ...]
    unused: tuple[str, ...] = ()

    @cached_property
    def _forward(self) -> list[tuple[re.Pattern[str], str]]:
        return [(_pattern(theirs), _template(ours)) for theirs, ours in self.pairs]

    @cached_property
    def _backward(self) -> list[tuple[re.Pattern[str], str]]:
        return [(_pattern(_PART.sub("", ours)), _template(theirs)) for theirs, ours in self.pairs]

    def theirs(self, name: str) -> str:
        """Return the authors' name of one of our tensors, or of its first part."""
        return _renamed(name, self._backward)

    def renamed(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the authors' tensors by our names, parts joined, without what is not used."""
        found: dict[str, Tensor] = {}
        parts: dict[str, dict[int, Tensor]] = {}
        for name, value in tensors.items():
            if any(re.match(each, name) for each in self.unused):
                continue
            ours = _renamed(name, self._forward)
            if part := _PART.search(ours):
                parts.setdefault(_PART.sub("", ours), {})[int(part[1])] = value
            else:
                found[ours] = value
        for name, values in parts.items():
            found[name] = torch.cat([values[number] for number in sorted(values)])
        return found


def _pattern(begin: str) -> re.Pattern[str]:
    return re.compile(re.escape(begin).replace(r"\#", r"(\d+)"))


def _template(begin: str) -> str:
    """Return a replacement text: the n-th ``#`` stands for the n-th number."""
    first, *rest = begin.split("#")
    return first + "".join(f"\\g<{number}>{text}" for number, text in enumerate(rest, 1))


def _renamed(name: str, rules: list[tuple[re.Pattern[str], str]]) -> str:
    for pattern, template in rules:
        if found := pattern.match(name):
            return found.expand(template) + name[found.end() :]
    return name
