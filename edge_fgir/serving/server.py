"""Running the application until somebody ends it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

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


class Impatient(H11Protocol):
    """Hangs up where a request does not begin, or its head is not whole, in time.

    uvicorn waits without end for the first one, so that few idle connections would take all places.
    """

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take what has come of a request."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        super().connection_lost(exc)
        self._stop()

    def _watch(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()
        elif self._late is None:
            self._late = self.loop.call_later(_IDLE_S, self._hang_up)

    def _stop(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _hang_up(self) -> None:
        self._late = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


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
        http=Impatient,
    )
    with suppress(KeyboardInterrupt):  # which uvicorn raises again when it has ended
        uvicorn.Server(config).run(sockets)
