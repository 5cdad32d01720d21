"""``bench`` on another machine: copy the bundle and this package there, run, follow, fetch."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from edge_fgir._errors import EdgeFgirError, InputError
from edge_fgir._files import sha256
from edge_fgir.benchmarking.remote_device import seal
from edge_fgir.benchmarking.remote_files import pack_bundle, pack_code
from edge_fgir.benchmarking.remote_link import Host, Link, printable
from edge_fgir.benchmarking.results import schema
from edge_fgir.runtime import Bundle, find_runtime
from edge_fgir.runtime.runtimes import runtimes

_OLDEST_PYTHON = (3, 10)
# What must be importable there, and what pip calls it.
_NEEDED = {
    "numpy": "numpy",
    "PIL": "pillow",
    "pydantic": "pydantic",
    "typer": "typer",
    "yaml": "pyyaml",
    "rich": "rich",
}
# Often enough for a person; each look wakes the device that is being measured.
_LOOK_S = 2.0
_LOOK_BYTES = 1 << 16
_SILENCE_S = 60.0
_LEAVE_S = 20.0
_MAX_RESULT_BYTES = 16 << 20
_ERROR = "error: "


def bench_there(
    host: str,
    bundle: Bundle,
    arguments: Sequence[str],
    *,
    device: str = "auto",
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Run ``edge-fgir bench`` on another machine, reached by ssh.

    There it is apart from the connection; one that is lost is made again, for five minutes.
    Whatever ends this call also ends the bench there and removes its folder. Where that cannot be
    done, the next call for the same bundle removes it, once it is a day old.

    Args:
        host: ``[user@]host[:port]``; its host key must be known and a key of ours accepted.
        bundle: What is measured.
        arguments: The command's other options.
        device: The one of ``arguments``: with the bundle it says which library is needed.
        say: Gets a line for the user: of the bench's progress, or about the connection.

    Returns:
        The body of the ``latency`` result, with that machine's ``environment``, and ``host``.

    Raises:
        InputError: The machine cannot be reached or is not trusted, it lacks something, or its
            bench refuses its input.
        MissingExtraError: asyncssh is not installed here.
        EdgeFgirError: The bench failed there, or the connection did not come back.
    """
    where = Host.parse(host)
    link = Link(where, lambda line: say(f"{where}: {line}"))
    library = find_runtime(bundle.manifest.runtime).library_for(device)
    found = asyncio.run(_Visit(link, bundle).whole(arguments, library))
    return {**found, "host": str(where)}


class _Visit:
    """One bench on one machine, from the work folder's making to its removal."""

    def __init__(self, link: Link, bundle: Bundle) -> None:
        self._link, self._bundle = link, bundle
        self._folder = ""

    async def whole(self, arguments: Sequence[str], library: str) -> dict[str, Any]:
        await self._link.open()
        try:
            await self._prepare(library)
            try:
                await self._start(arguments)
                return await self._result(await self._follow())
            finally:
                await self._leave()
        finally:
            await self._link.close()

    async def _prepare(self, library: str) -> None:
        key = sha256(self._bundle.manifest.dump().encode())[:16]
        modules = [*_NEEDED, library]
        found = await self._ask("prepare", key=key, oldest=_OLDEST_PYTHON, modules=modules)
        python = f"{self._link.host}: its python3 ({printable(found['python'])})"
        if missing := [name for name in modules if name in found["missing"]]:
            raise InputError(
                f"{python} cannot import {', '.join(missing)}",
                "what a bundle runs on",
                _remedy(missing),
            )
        if found["folder"] is None:
            raise InputError(
                f"{python} is too old",
                f"{'.'.join(map(str, _OLDEST_PYTHON))} or newer",
                "put one first on the PATH of its ssh sessions",
            )
        self._folder = found["folder"]

    async def _start(self, arguments: Sequence[str]) -> None:
        with tempfile.TemporaryDirectory() as name:
            files = [Path(name) / "code.zip", Path(name) / "bundle.zip"]
            pack_code(files[0])
            pack_bundle(self._bundle, files[1])
            seals = {file.name: seal(file) for file in files}
            self._link.say(f"copying {sum(size for size, _ in seals.values()) / 1e6:.1f} MB")
            for file in files:
                await self._link.lasting(partial(self._link.send, file, self._path(file.name)))
        found = await self._ask(
            "start", folder=self._folder, files=seals, arguments=list(arguments)
        )
        if found["damaged"]:
            raise EdgeFgirError(f"{self._link.host}: {', '.join(found['damaged'])} arrived damaged")
        self._link.say("started")

    async def _follow(self) -> dict[str, Any]:
        """Show the bench's progress until it ends; return how it ended, and its last line."""
        shown, last, heard = 0, "", time.monotonic()
        while True:
            # In this order: what was said before the end is heard.
            ended = await self._read("ended.json")
            new = await self._read("progress", shown)
            for line in map(printable, new.decode(errors="replace").splitlines()):
                last = line
                if not line.startswith(_ERROR):
                    self._link.say(line)
            if new:
                shown, heard = shown + len(new), time.monotonic()
            if ended and len(new) < _LOOK_BYTES:
                return {**json.loads(ended), "last": last}
            if time.monotonic() - heard > _SILENCE_S:
                # Switched off and on, say: then nothing is left that could write how it ended.
                running = (await self._ask("running", folder=self._folder))["running"]
                if not running and not await self._read("ended.json"):
                    raise EdgeFgirError(f"{self._link.host}: the bench was ended from outside")
                heard = time.monotonic()
            await asyncio.sleep(_LOOK_S)

    async def _result(self, ended: dict[str, Any]) -> dict[str, Any]:
        if ended["code"] != 0:
            failure = InputError if ended["code"] == 2 else EdgeFgirError
            said = f"the bench ended with code {ended['code']}, its last words: {ended['last']}"
            if ended["last"].startswith(_ERROR):
                said = ended["last"].removeprefix(_ERROR)
            raise failure(f"{self._link.host}: {said}")
        size, digest = ended["seal"]
        data = await self._read("result.json", most=min(size, _MAX_RESULT_BYTES))
        if (len(data), sha256(data)) != (size, digest):
            raise EdgeFgirError(f"{self._link.host}: the result arrived damaged")
        found = json.loads(data)
        if found.pop("schema", None) != schema("latency"):
            raise EdgeFgirError(f"{self._link.host}: the result is no {schema('latency')}")
        return dict(found)

    async def _leave(self) -> None:
        try:
            done = await asyncio.wait_for(self._ask("finish", folder=self._folder), _LEAVE_S)
        except (EdgeFgirError, asyncio.TimeoutError):
            done = {"removed": False}
        if not done["removed"]:
            self._link.say(
                f"{printable(self._folder)} could not be removed; in a day, the next bench of "
                "this bundle does it"
            )

    async def _ask(self, action: str, **values: object) -> Any:
        return await self._link.lasting(partial(self._link.ask, action, **values))

    async def _read(self, name: str, offset: int = 0, most: int = _LOOK_BYTES) -> bytes:
        return await self._link.lasting(partial(self._link.read, self._path(name), offset, most))

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}"


def _remedy(missing: Sequence[str]) -> str:
    special = {spec.library: spec.install for spec in runtimes() if not spec.on_pypi}
    pip = [_NEEDED.get(name, name) for name in missing if name not in special]
    ways = [f"run there: python3 -m pip install {' '.join(pip)}"] if pip else []
    return "; ".join([*ways, *(f"there: {special[name]}" for name in missing if name in special)])
