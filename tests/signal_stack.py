"""The thread's alternate signal stack, which cores of OpenVINO that others make take away.

See ``edge_fgir.runtime.runtimes.openvino.openvino_core``: with a stack that is no longer mapped,
the next signal ends the process without a word, such as that a child has ended.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class _Stack(ctypes.Structure):
    _fields_ = (("place", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


def is_whole() -> bool:
    """Say whether this thread's signal stack is mapped, or there is none."""
    place = _swapped(None).place
    ranges = (
        line.split()[0].split("-") for line in Path("/proc/self/maps").read_text().splitlines()
    )
    return not place or any(int(low, 16) <= place < int(high, 16) for low, high in ranges)


def _swapped(stack: _Stack | None) -> _Stack:
    """Set the thread's signal stack, if one is given, and return the one before."""
    before = _Stack()
    given = None if stack is None else ctypes.byref(stack)
    if ctypes.CDLL(None, use_errno=True).sigaltstack(given, ctypes.byref(before)):
        raise OSError(ctypes.get_errno(), "sigaltstack")
    return before


@contextmanager
def kept_signal_stack() -> Iterator[None]:
    """Give the thread its signal stack back when the block has ended."""
    from edge_fgir.runtime.runtimes.openvino import has_bfloat16

    has_bfloat16()  # the plugin of the process's own core has its stack, which stays
    before = _swapped(None)
    try:
        yield
    finally:
        gc.collect()
        _swapped(before)


@pytest.fixture
def signal_stack() -> Iterator[None]:
    """Keep the thread's signal stack over a test in which a library makes cores of its own."""
    with kept_signal_stack():
        yield
