"""The file of a spool: events that wait, over a restart."""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from edge_fgir._errors import InputError
from edge_fgir._files import claimed, read_file, write_atomic
from edge_fgir.runtime.decisions import Event
from edge_fgir.runtime.sinks.files import LinesFile

_LOG = logging.getLogger("edge_fgir.sinks")

_MAY_LACK = {"scientific_name", "track"}
_ALWAYS = {field.name for field in fields(Event)} - _MAY_LACK - {"best"}

_OPEN: set[Path] = set()
_OPEN_LOCK = threading.Lock()


class SpoolFile:
    """Events that wait, a JSON line each, in a file that nobody else uses before it is closed.

    There is a file only while events wait. A power cut may leave a part of a line: lines that are
    no events are set aside in a file beside it, whose name ends in ``.damaged``.

    Args:
        path: The file. Beside it lies one to lock, whose name ends in ``.lock``.

    Raises:
        InputError: It cannot be read, or another sink or process has it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with ExitStack() as stack:
            stack.enter_context(_only_here(path))
            stack.enter_context(claimed(path.with_suffix(".lock"), f"spool {path}"))
            self._lines_file = LinesFile(path)
            lines = _lines_of(path)
            self.kept = deque(values for _, values in lines if values is not None)
            """Events that waited when it was opened; whoever opened it takes them away."""
            damaged = [line for line, values in lines if values is None]
            self.damaged = len(damaged)
            """Lines that were no events."""
            self.lines = len(self.kept)
            """Events in the file."""
            if damaged:
                self._set_aside(damaged)
            self._held = stack.pop_all()

    def _set_aside(self, damaged: list[bytes]) -> None:
        aside = self._path.with_suffix(".damaged")
        try:
            with aside.open("ab") as file:
                file.writelines(line + b"\n" for line in damaged)
            self.write(self.kept)
        except OSError as error:
            done = f"they cannot be set aside: {error}"
        else:
            done = f"they are in {aside} now"
        _LOG.error("%s: lines that are no events: %d; %s", self._path, len(damaged), done)

    def append(self, values: dict[str, Any]) -> None:
        """Write an event behind the others, whole or not at all.

        Raises:
            OSError: It cannot be written.
        """
        self._lines_file.deliver(values)
        self.lines += 1

    def write(self, events: Collection[dict[str, Any]]) -> None:
        """Write all events that wait, in place of the others; none need no file.

        Raises:
            OSError: They cannot be written.
        """
        if events:
            text = "".join(json.dumps(values, ensure_ascii=False) + "\n" for values in events)
            write_atomic(self._path, text)
        else:
            self._path.unlink(missing_ok=True)
        self.lines = len(events)

    def close(self) -> None:
        """Leave the file to others."""
        self._held.close()


@contextmanager
def _only_here(path: Path) -> Iterator[None]:
    """Have a file alone in this process, to which its own lock says nothing.

    Raises:
        InputError: Another sink of this process has it.
    """
    real = path.resolve()
    with _OPEN_LOCK:
        if real in _OPEN:
            raise InputError(
                f"spool {path} is in the hands of another sink",
                "each sink once",
                "name it once, or give it a spool folder of its own",
            )
        _OPEN.add(real)
    try:
        yield
    finally:
        _OPEN.discard(real)


def _lines_of(path: Path) -> list[tuple[bytes, dict[str, Any] | None]]:
    """Return lines, with the event of each that is one."""
    if not path.exists():
        return []
    content = read_file(path, "events that waited, a JSON line each")
    return [(line, _event_of(line)) for line in content.split(b"\n") if line.strip()]


def _event_of(line: bytes) -> dict[str, Any] | None:
    try:
        values = json.loads(line.decode())
    except ValueError:
        return None
    is_event = isinstance(values, dict) and _ALWAYS <= values.keys() <= _ALWAYS | _MAY_LACK
    return values if is_event else None
