"""Limits of time and memory on work with a stranger's model, whatever library is busy with it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 300.0
"""A model of this package answers its golden pictures in a few."""
MEGABYTES = 4096
"""More than at the start: the largest models take a tenth of it."""

_WATCH = """
import os, signal, sys, time
process, megabytes, seconds, what = *map(int, sys.argv[1:3]), float(sys.argv[3]), sys.argv[4]
def used():
    try:
        with open(f"/proc/{process}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20
    except (OSError, ValueError, IndexError):
        return None
first, end = used(), time.monotonic() + seconds
while os.getppid() == process:
    now = used()
    grown = now is not None and first is not None and now - first > megabytes
    if grown or time.monotonic() > end:
        limit = f"{megabytes} MiB" if grown else f"{seconds:g} s"
        sys.stderr.write(f"error: {what} takes more than {limit}; do not use it\\n")
        sys.stderr.flush()
        os.kill(process, signal.SIGKILL)
        break
    time.sleep(0.02)
"""
"""A process of its own, as a library may hold Python's lock for as long as it is busy."""


@contextmanager
def limited(what: str, seconds: float = SECONDS, megabytes: int = MEGABYTES) -> Iterator[None]:
    """Kill this process, with one line on stderr, if the block takes too long or too much memory.

    Where no other process can be started, a line says that nothing is limited.

    Args:
        what: What is worked with, for the line.
        seconds: Of wall time.
        megabytes: Of resident memory, beyond what is used now. Only Linux tells.
    """
    arguments = [str(os.getpid()), str(megabytes), str(seconds), what]
    try:
        watcher = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _WATCH, *arguments], stdin=subprocess.DEVNULL
        )
    except OSError as error:
        sys.stderr.write(f"{what} is looked at without limits of time and memory: {error}\n")
        yield
        return
    try:
        yield
    finally:
        watcher.kill()
        watcher.wait()
