"""A request's body, read within limits of size and time."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect


async def read_upload(request: Request, most_bytes: int, seconds: float) -> bytes:
    """Return a request's body.

    Raises:
        HTTPException: 413, it has more than ``most_bytes``; 408, it did not arrive within
            ``seconds``; 400, there is none, or the client left before it was whole.
    """
    try:
        body = await asyncio.wait_for(_read(request, most_bytes), seconds)
    except (asyncio.TimeoutError, TimeoutError):
        raise HTTPException(408, f"the picture did not arrive within {seconds:g} s") from None
    except ClientDisconnect:  # nobody reads the answer, but it is counted
        raise HTTPException(400, "the client left before the picture was whole") from None
    if not body:
        raise HTTPException(400, "no picture; expected the bytes of a picture file as the body")
    return body


async def drop_upload(request: Request, most_bytes: int, seconds: float) -> None:
    """Let a body arrive and keep none of it: a client that is still sending misses the answer."""
    with suppress(asyncio.TimeoutError, TimeoutError, ClientDisconnect):
        await asyncio.wait_for(_drop(request, most_bytes), seconds)


async def _drop(request: Request, most_bytes: int) -> None:
    left = most_bytes
    async for part in request.stream():
        left -= len(part)
        if left < 0:
            return


async def _read(request: Any, most_bytes: int) -> bytes:
    too_large = HTTPException(413, f"more than {most_bytes / 1e6:g} MB; send a smaller picture")
    claimed = request.headers.get("content-length", "")
    if claimed.isdecimal() and int(claimed) > most_bytes:
        raise too_large
    body = bytearray()
    async for part in request.stream():  # what is claimed need not be so
        body += part
        if len(body) > most_bytes:
            raise too_large
    return bytes(body)
