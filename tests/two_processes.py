"""Two processes that a launcher might have started, for what they do together."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

WAIT_S = 1800
"""A busy machine is no failure."""

Pair = Callable[..., list[Any]]
"""Calls a function in both processes at once; returns their results by rank."""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def two_processes() -> Iterator[Pair]:
    """Start two processes, each with a pool of its own: no call runs twice in one of them."""
    context, port = get_context("spawn"), free_port()
    with (
        ProcessPoolExecutor(1, context, _become_one_of_two, (port, 0)) as first,
        ProcessPoolExecutor(1, context, _become_one_of_two, (port, 1)) as second,
    ):

        def run(function: Callable[..., Any], *arguments: Any, **options: Any) -> list[Any]:
            both = [pool.submit(function, *arguments, **options) for pool in (first, second)]
            return [one.result(WAIT_S) for one in both]

        yield run


def _become_one_of_two(port: int, rank: int) -> None:
    """Tell a fresh process what a launcher tells it."""
    told = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ.update(told, MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    os.environ.update(ACCELERATE_USE_CPU="true", OMP_NUM_THREADS="1")
