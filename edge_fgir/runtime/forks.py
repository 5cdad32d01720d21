"""Telling objects that their process is a forked child: of the parent's threads none came along."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forked(Protocol):
    """What holds threads, or locks that threads hold."""

    def forked(self) -> None:
        """Do without the parent's threads."""


_watched: WeakSet[Forked] = WeakSet()


def tell_forked(thing: Forked) -> None:
    """Call ``thing.forked`` in every child that is forked from now on, while ``thing`` lives."""
    _watched.add(thing)


def _in_child() -> None:
    for thing in list(_watched):
        thing.forked()


if hasattr(os, "register_at_fork"):  # Windows knows no fork
    os.register_at_fork(after_in_child=_in_child)
