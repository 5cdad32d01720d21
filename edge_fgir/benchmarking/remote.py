"""A device behind ssh: the package is copied there once, then bundles, job by job."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_fgir._errors import EdgeFgirError, InputError
from edge_fgir._files import sha256
from edge_fgir._text import printable
from edge_fgir.benchmarking.device_handle import DeviceHandle
from edge_fgir.benchmarking.messages import (
    MOST_BYTES,
    Found,
    Identified,
    Identify,
    Request,
    Text,
    read_answer,
)
from edge_fgir.benchmarking.remote_agent import seal
from edge_fgir.benchmarking.remote_files import pack_bundle, pack_code
from edge_fgir.benchmarking.remote_link import Host, Link
from edge_fgir.benchmarking.worker import START
from edge_fgir.results import Environment
from edge_fgir.runtime import Bundle, Device
from edge_fgir.runtime.runtimes import RuntimeSpec
from edge_fgir.runtime.runtimes import runtimes as registered

_OLDEST_PYTHON = (3, 10)
# What must be importable there, and what pip calls it.
_NEEDED = {
    "numpy": "numpy",
    "PIL": "pillow",
    "pydantic": "pydantic",
    "yaml": "pyyaml",
    "rich": "rich",
}
# Often enough for a person; each look wakes the device that is being measured.
_LOOK_S = 2.0
_LOOK_BYTES = 1 << 16
_SILENCE_S = 60.0
_LEAVE_S = 20.0

_T = TypeVar("_T")


class _Reply(BaseModel):
    """What the agent on the device says; more or less than this is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class _Prepared(_Reply):
    python: Annotated[str, Field(max_length=100)]
    missing: Annotated[tuple[Text, ...], Field(max_length=100)]
    folder: Text | None


class _Received(_Reply):
    damaged: Annotated[tuple[Text, ...], Field(max_length=1000)]


class _Said(_Received):
    code: int | None
    answer: Annotated[str, Field(max_length=MOST_BYTES)]
    said: Text


class _Running(_Reply):
    running: bool


class _Removed(_Reply):
    removed: bool


class _Ended(_Reply):
    """How a worker ended, and the seal of its answer."""

    code: int | None
    size: Annotated[int | None, Field(ge=0, le=MOST_BYTES)]
    sha256: Annotated[str | None, Field(max_length=64)]


_SomeReply = TypeVar("_SomeReply", bound=_Reply)


class RemoteDevice(DeviceHandle):
    """A machine that is reached by ssh, from its identification to the removal of its work folder.

    A worker runs there apart from the connection; one that is lost is made again, for five
    minutes. Where the work folder cannot be removed, the next session removes it, once it is a day
    old.

    Args:
        host: ``[user@]host[:port]``; its host key must be known and a key of ours accepted.
        runtimes: Of the bundles, the preferred one first; one of them must be installed there.
        tell: Gets a line for the user: of a worker's progress, or about the connection.
        device: Of the runtime there.

    Raises:
        InputError: ``host`` is no such name.
        MissingExtraError: asyncssh is not installed here.
    """

    def __init__(
        self,
        host: str,
        runtimes: Sequence[RuntimeSpec],
        tell: Callable[[str], None],
        device: Device = "auto",
    ) -> None:
        where = Host.parse(host)
        super().__init__(str(where), device)
        self._libraries = [each.library_for(device) for each in runtimes]
        self._link = Link(where, lambda line: tell(f"{where}: {line}"))
        self._folder = ""
        self._jobs = 0

    def close(self) -> None:
        """Stop what runs there and remove the work folder."""
        if not self._folder:
            return
        leave = self._ask_agent("finish", _Removed, folder=self._folder)
        try:
            removed = asyncio.run(self._connected(asyncio.wait_for(leave, _LEAVE_S))).removed
        except (EdgeFgirError, asyncio.TimeoutError):
            removed = False
        if not removed:
            self._link.tell(
                f"{printable(self._folder)} could not be removed; in a day, the next session does"
            )
        self._folder = ""

    def _identify(self) -> Environment:
        try:
            return asyncio.run(self._begin())
        except BaseException:
            self.close()
            raise

    def _ask(self, request: Request, bundles: Sequence[Bundle], kind: type[Found]) -> Found:
        answer = asyncio.run(self._connected(self._job(request, bundles)))
        return read_answer(answer, kind, self.name)

    async def _begin(self) -> Environment:
        try:
            await self._link.open()
            await self._prepare()
            with tempfile.TemporaryDirectory() as name:
                code = Path(name) / "code.zip"
                pack_code(code)
                done = await self._ask_agent(
                    "identify",
                    _Said,
                    folder=self._folder,
                    files=await self._copy(self._folder, [code]),
                    start=START,
                    request=Identify().model_dump_json(),
                )
        finally:
            await self._link.close()
        self._check_arrived(done)
        if done.code:
            raise self._failure(done.code, done.said)
        return read_answer(done.answer.encode(), Identified, self.name).environment

    async def _prepare(self) -> None:
        prepared = await self._ask_agent(
            "prepare",
            _Prepared,
            oldest=_OLDEST_PYTHON,
            modules=[*_NEEDED],
            libraries=self._libraries,
        )
        python = f"{self.name}: its python3 ({printable(prepared.python)})"
        named = *_NEEDED, self._libraries[0]
        if missing := [name for name in named if name in prepared.missing]:
            raise InputError(
                f"{python} cannot import {', '.join(missing)}",
                "what a bundle runs on",
                _remedy(missing),
            )
        if prepared.folder is None:
            raise InputError(
                f"{python} is too old",
                f"{'.'.join(map(str, _OLDEST_PYTHON))} or newer",
                "put one first on the PATH of its ssh sessions",
            )
        self._folder = prepared.folder

    async def _job(self, request: Request, bundles: Sequence[Bundle]) -> bytes:
        """Copy bundles there, let a worker do something with them, and return its answer."""
        self._jobs += 1
        folder = f"{self._folder}/{self._jobs}"
        with tempfile.TemporaryDirectory() as name:
            files = [Path(name) / f"{number}.zip" for number in range(len(bundles))]
            for bundle, file in zip(bundles, files, strict=True):
                pack_bundle(bundle, file)
            arrived = await self._ask_agent(
                "run",
                _Received,
                folder=folder,
                files=await self._copy(folder, files),
                start=START,
                request=request.on([file.name for file in files]).model_dump_json(),
            )
        self._check_arrived(arrived)
        self._link.tell("started")
        ended, last = await self._follow(folder)
        if ended.code != 0:
            raise self._failure(ended.code, last)
        answer = await self._read(f"{folder}/answer.json", most=ended.size or 0)
        if (len(answer), sha256(answer)) != (ended.size, ended.sha256):
            raise EdgeFgirError(f"{self.name}: the answer arrived damaged")
        await self._ask_agent("finish", _Removed, folder=folder)
        return answer

    async def _copy(self, folder: str, files: Sequence[Path]) -> Mapping[str, list[Any]]:
        """Copy files into a folder there and return their seals."""
        self._link.tell(f"copying {sum(file.stat().st_size for file in files) / 1e6:.1f} MB")
        for file in files:
            path = f"{folder}/{file.name}"
            await self._link.lasting(partial(self._link.send, file, path))
        return {file.name: seal(file) for file in files}

    async def _follow(self, folder: str) -> tuple[_Ended, str]:
        """Show a worker's progress until it ends; return how it ended, and its last line."""
        shown, last, heard = 0, "", time.monotonic()
        while True:
            # In this order: what was said before the end is heard.
            ended = await self._read(f"{folder}/ended.json")
            new = await self._read(f"{folder}/progress", shown)
            for line in map(printable, new.decode(errors="replace").splitlines()):
                last = line
                self._link.tell(line)
            if new:
                shown, heard = shown + len(new), time.monotonic()
            if ended and len(new) < _LOOK_BYTES:
                return self._checked_reply(_Ended.model_validate_json, ended), last
            if time.monotonic() - heard > _SILENCE_S:
                # Switched off and on, say: then nothing is left that could write how it ended.
                going = await self._ask_agent("running", _Running, folder=folder)
                if not going.running and not await self._read(f"{folder}/ended.json"):
                    raise EdgeFgirError(f"{self.name}: the worker was ended from outside")
                heard = time.monotonic()
            await asyncio.sleep(_LOOK_S)

    async def _connected(self, step: Coroutine[Any, Any, _T]) -> _T:
        """Do ``step`` on a connection of its own, which is hung up behind it."""
        try:
            return await step
        finally:
            await self._link.close()

    async def _ask_agent(self, action: str, kind: type[_SomeReply], **values: object) -> _SomeReply:
        said = await self._link.lasting(partial(self._link.ask, action, **values))
        return self._checked_reply(kind.model_validate, said)

    def _checked_reply(self, parse: Callable[[Any], _SomeReply], said: object) -> _SomeReply:
        try:
            return parse(said)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = printable(".".join(map(str, first["loc"])))
            raise EdgeFgirError(f"{self.name}: its reply breaks the schema at {where}") from None

    async def _read(self, path: str, offset: int = 0, most: int = _LOOK_BYTES) -> bytes:
        return await self._link.lasting(partial(self._link.read, path, offset, most))

    def _check_arrived(self, received: _Received) -> None:
        if received.damaged:
            names = printable(", ".join(received.damaged))
            raise EdgeFgirError(f"{self.name}: {names} arrived damaged")

    def _failure(self, code: int | None, said: str) -> EdgeFgirError:
        lines = said.strip().splitlines() or ["nothing"]
        return EdgeFgirError(
            f"{self.name}: the worker ended with code {code}: {printable(lines[-1])}"
        )


def _remedy(missing: Sequence[str]) -> str:
    special = {spec.library: spec.install for spec in registered() if not spec.on_pypi}
    pip = [_NEEDED.get(name, name) for name in missing if name not in special]
    ways = [f"run there: python3 -m pip install {' '.join(pip)}"] if pip else []
    return "; ".join([*ways, *(f"there: {special[name]}" for name in missing if name in special)])
