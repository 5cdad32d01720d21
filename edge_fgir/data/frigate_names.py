"""Visits by the names that Frigate gives to pictures.

What it has seen waits in ``train/`` as ``EVENT-TIME-LABEL-SCORE.webp``. What its user sorts is
renamed to ``CLASS-TIME-RANDOM.png``, where the time is that of sorting; its page shows the pictures
of an event as one card, and sorts all that are selected with one click (0.17: ``frigate/api/
classification.py``). So pictures of a class that were sorted at nearly the same time are taken for
one visit. They may be more than one, which costs nothing but choice.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

_SEEN = re.compile(r"(\d{9,11}\.\d+-[a-z0-9]{6})-\d{9,11}(?:\.\d+)?-[^-]+-\d\.\d+\.[a-z]+")
_SORTED = re.compile(r".+-(\d{9,11}\.\d+)-[a-z0-9]{6}\.[a-z]+")
_PAUSE_S = 2.0
"""A longer one between two pictures begins another visit: one click's take milliseconds each."""


def is_frigates(name: str) -> bool:
    """Say whether Frigate gives such a name to a picture, with folders or without."""
    file = name.rpartition("/")[2]
    return any(kind.fullmatch(file) is not None for kind in (_SEEN, _SORTED))


def frigate_visits(names: Sequence[str], labels: Sequence[int]) -> npt.NDArray[np.int64]:
    """Number pictures so that those of one visit share a number; others have one of their own.

    Args:
        names: Of each picture, with folders or without.
        labels: Its class.
    """
    keys: list[Hashable] = [("alone", place) for place in range(len(names))]
    times: list[tuple[int, float, int]] = []
    for place, (name, label) in enumerate(zip(names, labels, strict=True)):
        file = name.rpartition("/")[2]
        if (seen := _SEEN.fullmatch(file)) is not None:
            keys[place] = (label, seen[1])
        elif (found := _SORTED.fullmatch(file)) is not None:
            times.append((label, float(found[1]), place))
    visit, before = 0, (-1, 0.0)
    for label, time, place in sorted(times):
        visit += label != before[0] or time - before[1] > _PAUSE_S
        keys[place], before = ("sorted", visit), (label, time)
    number: dict[Hashable, int] = {}
    return np.array([number.setdefault(key, len(number)) for key in keys], np.int64)
