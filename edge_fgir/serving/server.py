"""Running the application until somebody ends it."""

from __future__ import annotations

from typing import Any

import uvicorn

_IDLE_S = 5
_BESIDE = 64
"""Connections beside those whose pictures wait: pages, figures, uploads under way."""


def run_server(app: Any, host: str, port: int, waiting: int) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are answered first.

    Args:
        app: The ASGI application.
        host: Address to listen on.
        port: Port.
        waiting: Pictures that may wait; connections are limited by it.
    """
    uvicorn.run(
        app,
        host=host,
        port=port,
        log_level="warning",
        limit_concurrency=waiting + _BESIDE,
        timeout_keep_alive=_IDLE_S,
        server_header=False,
    )
