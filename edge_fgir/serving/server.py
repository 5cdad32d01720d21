"""Running the application until somebody ends it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import uvicorn

from edge_fgir._errors import InputError

_IDLE_S = 5
_BESIDE = 64
"""Connections beside those whose pictures wait: pages, figures, uploads under way."""


@contextmanager
def listening(host: str, port: int) -> Iterator[list[socket.socket]]:
    """Listen on all addresses of a host while the block runs.

    Args:
        host: A name or address of this machine; 0.0.0.0: all that it has.
        port: Port.

    Raises:
        InputError: It is no address of this machine, or the port is taken.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise InputError(
            f"--host {host}: {error.strerror}", "an address of this machine"
        ) from error
    with ExitStack() as opened:
        try:
            sockets = [
                opened.enter_context(socket.create_server(address, family=family))
                for family, *_, address in dict.fromkeys(found)
            ]
        except OSError as error:
            raise InputError(
                f"{host} port {port}: {os.strerror(error.errno or 0)}",
                "an address of this machine and a free port",
                "choose another --port or --host",
            ) from error
        yield sockets


def run_server(app: Any, sockets: list[socket.socket], waiting: int) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are answered first.

    Args:
        app: The ASGI application.
        sockets: What it listens on.
        waiting: Pictures that may wait; connections are limited by it.
    """
    config = uvicorn.Config(
        app,
        log_level="warning",
        limit_concurrency=waiting + _BESIDE,
        timeout_keep_alive=_IDLE_S,
        server_header=False,
    )
    with suppress(KeyboardInterrupt):  # which uvicorn raises again when it has ended
        uvicorn.Server(config).run(sockets)
