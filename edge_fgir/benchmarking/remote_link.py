"""An ssh connection to a device: known hosts and keys only; it comes back when lost."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from edge_fgir._errors import EdgeFgirError, InputError, MissingExtraError
from edge_fgir._text import printable
from edge_fgir.benchmarking import remote_agent

if TYPE_CHECKING:
    from asyncssh import SFTPClient, SSHClientConnection

_LOG = logging.getLogger("edge_fgir.benchmarking")

PATIENCE_S = 300.0
"""How long a lost connection is tried again."""
_CONNECT_S, _LOGIN_S = 10, 30
_ALIVE_S = 10
_LONGEST_PAUSE_S = 30.0

_HOST = re.compile(
    r"(?:(?P<user>\w[\w.-]*)@)?(?P<name>\w[\w.-]*|\[[0-9A-Fa-f:.]+\])(?::(?P<port>\d{1,5}))?",
    re.ASCII,
)
_Got = TypeVar("_Got")


@dataclass(frozen=True)
class Host:
    """Where a device is reached; what is None, ``~/.ssh/config`` or ssh's own defaults say."""

    name: str
    user: str | None = None
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Host:
        """Read ``[user@]host[:port]``.

        Raises:
            InputError: It is something else.
        """
        match = _HOST.fullmatch(text)
        port = int(match["port"]) if match and match["port"] else None
        if match is None or (port is not None and not 0 < port < 65536):
            raise InputError(f"host {printable(text)}", "user@host or user@host:port")
        return cls(match["name"].strip("[]"), match["user"], port)

    def __str__(self) -> str:
        name = f"[{self.name}]" if ":" in self.name else self.name
        return name if self.port is None else f"{name}:{self.port}"

    @property
    def by_hand(self) -> str:
        """The command that logs in, for messages."""
        port = "" if self.port is None else f"-p {self.port} "
        return f"ssh {port}{self.user + '@' if self.user else ''}{self.name}"


class Link:
    """A device that is asked and written to over ssh.

    Args:
        host: Where it is.
        tell: Gets a line for the user.

    Raises:
        MissingExtraError: asyncssh is not installed.
    """

    def __init__(self, host: Host, tell: Callable[[str], None]) -> None:
        if find_spec("asyncssh") is None:
            raise MissingExtraError("asyncssh", "remote", "measuring over ssh")
        self.host = host
        self.tell = tell
        self._source = inspect.getsource(remote_agent)
        self._connection: SSHClientConnection | None = None
        self._sftp: SFTPClient | None = None

    async def open(self) -> None:
        """Connect.

        Raises:
            InputError: Nobody answers, the host's key is not known, or no key of ours is accepted.
        """
        import asyncssh

        try:
            await self._connect()
        except (OSError, asyncio.TimeoutError, asyncssh.Error) as error:
            reason = printable(str(error)) or "no answer"
            raise InputError(
                f"{self.host} cannot be reached ({reason})",
                "an ssh server",
                f"try: {self.host.by_hand}",
            ) from error

    async def _connect(self) -> None:
        import asyncssh

        await self.close()
        asyncio.get_running_loop().set_exception_handler(_unheard)
        try:
            self._connection = await asyncssh.connect(
                self.host.name,
                () if self.host.port is None else self.host.port,
                username=() if self.host.user is None else self.host.user,
                # Said here, so that no line of a configuration can turn it off.
                known_hosts=_known_hosts(),
                preferred_auth="publickey",
                connect_timeout=_CONNECT_S,
                login_timeout=_LOGIN_S,
                keepalive_interval=_ALIVE_S,
            )
            self._sftp = await self._connection.start_sftp_client()
        except asyncssh.HostKeyNotVerifiable as error:
            raise InputError(
                f"{self.host}: its host key is not the one in known_hosts, or none is there",
                "a host known by its key",
                f"compare its fingerprint and add it, once: {self.host.by_hand}",
            ) from error
        except asyncssh.PermissionDenied as error:
            raise InputError(
                f"{self.host} accepts none of your ssh keys",
                "a key of ~/.ssh or of the agent (passwords are not asked for)",
                f"run: ssh-copy-id{self.host.by_hand.removeprefix('ssh')}",
            ) from error

    async def close(self) -> None:
        """Close the connection; the next step makes it anew."""
        if self._connection is not None:
            self._connection.abort()
            await self._connection.wait_closed()
        self._connection = self._sftp = None

    async def lasting(self, step: Callable[[], Awaitable[_Got]]) -> _Got:
        """Do ``step``, and do it again on a new connection each time the connection is lost.

        Raises:
            EdgeFgirError: No connection for five minutes, a new one is refused, or the step fails.
        """
        import asyncssh

        lost = 0.0
        pause = 1.0
        while True:
            try:
                if self._connection is None:
                    await self._connect()
                    if lost:
                        self.tell("connected again")
                return await step()
            except (
                OSError,
                asyncio.TimeoutError,
                asyncssh.DisconnectError,
                asyncssh.ChannelOpenError,
                asyncssh.SFTPConnectionLost,
                asyncssh.SFTPNoConnection,
            ) as error:
                await self.close()
                if not lost:
                    lost = time.monotonic()
                    self.tell(f"connection lost; trying again for {PATIENCE_S / 60:.0f} minutes")
                if time.monotonic() - lost + pause > PATIENCE_S:
                    raise EdgeFgirError(f"{self.host}: the connection did not come back") from error
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
            except asyncssh.Error as error:
                raise EdgeFgirError(f"{self.host}: {printable(str(error))}") from error

    async def ask(self, action: str, **values: object) -> Any:
        """Let the device do one action of :mod:`remote_agent` and return its answer.

        The command is always the same: nothing of the request reaches a shell.

        Raises:
            InputError: There is no python3.
            EdgeFgirError: The action failed.
        """
        assert self._connection is not None
        request = json.dumps({"action": action, **values})
        done = await self._connection.run(
            "python3 -", input=f"{self._source}\n\nanswer({request!r})\n", errors="replace"
        )
        if done.exit_status is None:
            raise ConnectionResetError("cut off")
        if done.exit_status == 127:
            raise InputError(f"{self.host} has no python3", "Python 3.10 or newer there")
        try:
            return json.loads(str(done.stdout).splitlines()[-1])
        except (IndexError, ValueError):
            said = str(done.stderr).strip().splitlines() or ["no answer"]
            raise EdgeFgirError(f"{self.host}: {action}: {printable(said[-1])}") from None

    async def send(self, file: Path, path: str) -> None:
        """Copy ``file`` to ``path`` on the device, into a folder that is made where needed."""
        assert self._sftp is not None
        folder = path.rpartition("/")[0]
        if not await self._sftp.isdir(folder):
            await self._sftp.mkdir(folder)
        await self._sftp.put(str(file), path)

    async def read(self, path: str, offset: int = 0, most: int = 1 << 16) -> bytes:
        """Return up to ``most`` bytes of a file from ``offset`` on; none if it is not there."""
        import asyncssh

        assert self._sftp is not None
        try:
            async with self._sftp.open(path, "rb") as file:
                return cast("bytes", await file.read(most, offset))
        except asyncssh.SFTPNoSuchFile:
            return b""


def _unheard(_loop: asyncio.AbstractEventLoop, trouble: dict[str, Any]) -> None:
    """Note what became of a part of a step after the step was cancelled: asyncio prints it."""
    _LOG.debug("%s: %s", trouble["message"], trouble.get("exception"))


def _known_hosts() -> list[str]:
    files = [Path("/etc/ssh/ssh_known_hosts")]
    with suppress(RuntimeError):  # in a container without a home folder
        files.insert(0, Path("~/.ssh/known_hosts").expanduser())
    # An empty list is asyncssh's own default: the first of them, or no host at all.
    return [str(file) for file in files if file.is_file()]
