"""Writes that are whole or absent, and hashes."""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from edge_fgir._errors import InputError

_DRAFT = ".draft-"
_SCRATCH = "edge-fgir-scratch-"
_FRESH_S = 60.0
"""A folder younger than this may not be held yet."""
MOST_TEXT = 256 << 20
"""Bytes of a text that is read at once: results of the largest data sets have a tenth of it."""


def to_json(value: Any) -> str:
    """Serialise ``value`` as all JSON here: indented, keys in the given order."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def sha256(data: bytes) -> str:
    """Return the hex SHA-256 of ``data``."""
    return hashlib.sha256(data).hexdigest()


def regular(path: Path, expected: str = "a file", remedy: str = "") -> Path:
    """Return a path at which a regular file lies: a pipe would be waited for, a device never ends.

    Args:
        path: The path; links are followed.
        expected: What should be there.
        remedy: What to run where it is not.

    Raises:
        InputError: There is something else, or nothing that may be looked at.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist", expected, remedy) from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", expected, remedy) from error
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
        raise InputError(f"{path} is {kind}", expected, remedy)
    return path


def read_file(path: Path, expected: str = "a file", most: int = MOST_TEXT) -> bytes:
    """Return the bytes of a regular file.

    Raises:
        InputError: As :func:`regular`; or it has more than ``most`` bytes, or may not be read.
    """
    try:
        with regular(path, expected).open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", expected) from error
    if len(content) > most:
        raise InputError(f"{path} has more than {most >> 20} MiB", expected)
    return content


def read_utf8(path: Path, expected: str = "a text file", most: int = MOST_TEXT) -> str:
    """Return the text of a regular file, without a byte order mark.

    Raises:
        InputError: As :func:`read_file`; or it is not UTF-8.
    """
    try:
        return read_file(path, expected, most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text ({error})", expected) from error


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write ``data`` to ``path``; a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            # A file name that is not UTF-8 becomes a JSON escape, not an error.
            file.write(data.encode(errors="backslashreplace") if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
        Path(name).replace(path)
    except BaseException as error:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a full disk does not say whose bytes were too many
        raise


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as JSON, atomically."""
    write_atomic(path, to_json(value))


@contextmanager
def new_folder(path: Path, *, replaces: str) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``path`` only when the block ends without an error.

    An existing ``path`` is replaced only if it holds a file called ``replaces``: a folder of ours.
    What a killed process left of an earlier try is put right first.

    Raises:
        InputError: ``path`` exists and is something else.
    """
    _put_right(path)
    if path.exists() and not (path / replaces).is_file():
        raise InputError(
            f"{path} exists and is not one of our outputs (it has no {replaces})",
            "a new path, or an earlier output to replace",
            "choose another --out",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with _hidden(path) as draft:
        draft.chmod(0o755)
        yield draft
        if not path.exists():
            draft.replace(path)
            return
        with _hidden(path) as old:
            path.replace(old / path.name)
            try:
                draft.replace(path)
            except OSError:
                (old / path.name).replace(path)
                raise


@contextmanager
def _hidden(path: Path) -> Iterator[Path]:
    """Yield a new folder beside ``path`` that no other process takes for one that was left."""
    made = tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}{_DRAFT}")
    with _removed(Path(made)) as folder:
        yield folder


@contextmanager
def _removed(folder: Path) -> Iterator[Path]:
    """Hold a new folder while the block runs, so that nobody takes it for left, then remove it."""
    with ExitStack() as held:
        # NFS locks no folder: nothing is taken for left there, so nothing need be held.
        with suppress(OSError):
            held.enter_context(_held(folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _put_right(path: Path) -> None:
    """Remove hidden folders whose process is gone; what it was replacing comes back."""
    for folder in path.parent.glob(f".{glob.escape(path.name)}{_DRAFT}*/"):
        with suppress(OSError), _held(folder):
            earlier = folder / path.name
            if earlier.exists() and not path.exists():
                earlier.replace(path)
            shutil.rmtree(folder)


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield a temporary folder that is removed with the block.

    What killed processes of this user left of theirs is removed first.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*"):
        with suppress(OSError), _held(left):
            about = left.lstat()
            if about.st_uid == os.getuid() and time.time() - about.st_mtime > _FRESH_S:
                shutil.rmtree(left)  # which refuses links
    with _removed(Path(tempfile.mkdtemp(prefix=_SCRATCH))) as folder:
        yield folder


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Lock a folder while the block runs; the lock ends with the process, whatever ends it.

    Raises:
        OSError: Another process has it, or the file system locks no folders.
    """
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold a lock on ``path`` while the block runs; it ends with the process, whatever ends it."""
    import fcntl

    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            # Loader processes inherited the file; closing ours alone would keep the lock.
            fcntl.flock(file, fcntl.LOCK_UN)


@contextmanager
def claimed(path: Path, what: str) -> Iterator[None]:
    """Hold a lock on ``path`` for this process while the block runs, or refuse.

    Processes that this one starts do not inherit it: it ends when this one does, not with them.

    Args:
        path: The lock's file.
        what: What it stands for, for the error.

    Raises:
        InputError: Another process holds it.
    """
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            raise InputError(
                f"{what} is in the hands of another process",
                "one at a time",
                "wait until it ends, or end it, then run again",
            ) from error
        yield
