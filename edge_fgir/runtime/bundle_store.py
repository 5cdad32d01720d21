"""Where a bundle's bytes lie: a folder, or one uncompressed zip. Neither is trusted."""

from __future__ import annotations

import os
import stat
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol

from edge_fgir._errors import InputError
from edge_fgir.runtime.forks import tell_forked
from edge_fgir.runtime.junk import is_junk
from edge_fgir.runtime.manifest import MAX_FILES

_MAX_ENTRIES = 2 * MAX_FILES  # a folder's include its folders
# Of a zip's directory: a fixed part, a name, and what some tools add to it.
_MAX_ENTRY_BYTES = 512
_ZIP_HEADER_BYTES, _ZIP_END_BYTES = 30, 22
# The end of a zip without a comment, and the mark of what a zip64 puts before it.
_ZIP_TAIL = struct.Struct("<4s16x4s4H2LH")
# What zipfile raises on damaged archives, and on encrypted ones.
READ_ERRORS = (OSError, EOFError, RuntimeError, ValueError, zipfile.BadZipFile)
_WITHOUT_LINKS = "make a copy without links: mkdir NEW.fgir && cp -rL BUNDLE/* NEW.fgir"
DAMAGED = "copy the bundle again, or export it again"
PACK = "make the zip of the folder with: edge-fgir pack"


class Store(Protocol):
    """Files by name; what reading raises is one of ``READ_ERRORS``."""

    def names(self) -> list[str]:
        """Return all names, sorted, without what systems leave behind.

        Raises:
            InputError: There are links to other folders, devices, too many files, or a folder
                cannot be read.
        """

    def size(self, name: str) -> int:
        """Return how many bytes a file has."""

    def open(self, name: str) -> IO[bytes]:
        """Open a file for reading."""


def store_of(path: Path) -> Store:
    """Return the files of a bundle's folder or zip.

    Raises:
        InputError: It is neither.
    """
    return _Folder(path) if path.is_dir() else _Zip(path)


class _Folder:
    """A folder, whose files may be links to files: what they lead to has to have the listed hash.

    Caches of downloads and volumes of containers are made of links; in the latter (Kubernetes) the
    files lie in a hidden folder ``..data``, to which all other names are links.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self) -> list[str]:
        found, folders, seen = [], [self._path], 0
        # Not os.walk: before Python 3.12 it recurses, as deep as a bundle wants it to.
        while folders:
            folder = folders.pop()
            for entry in self._listed(folder):
                seen += 1
                if seen > _MAX_ENTRIES:
                    raise _too_many(self._path)
                if is_junk(entry.name) or (folder == self._path and entry.name.startswith("..")):
                    continue
                if self._is_folder(entry):
                    folders.append(Path(entry.path))
                else:
                    found.append(Path(entry.path).relative_to(self._path).as_posix())
        return sorted(found)

    def _is_folder(self, entry: os.DirEntry[str]) -> bool:
        """Tell folders from files.

        Raises:
            InputError: It is neither, or a link to another place's folder.
        """
        where = shown_name(entry.path)
        try:
            is_folder, is_file = entry.is_dir(), entry.is_file()
        except OSError as error:  # a link to itself
            raise InputError(f"{where}: {error.strerror}", "a file", DAMAGED) from error
        # Reading a named pipe would wait for ever.
        if not is_folder and not is_file:
            raise InputError(f"{where} is no file", "plain files only", DAMAGED)
        if is_folder and entry.is_symlink() and not self._holds(Path(entry.path)):
            raise InputError(
                f"{where} is a link to a folder of another place",
                "folders of its own",
                _WITHOUT_LINKS,
            )
        return is_folder

    def _holds(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self._path.resolve())

    @staticmethod
    def _listed(folder: Path) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                yield from entries
        except OSError as error:
            raise InputError(
                f"{shown_name(folder)}: {error.strerror}", "a readable folder", DAMAGED
            ) from error

    def size(self, name: str) -> int:
        return (self._path / name).stat().st_size

    def open(self, name: str) -> IO[bytes]:
        return (self._path / name).open("rb")


class _Zip:
    """One uncompressed zip.

    A forked process shares the place in its parent's open file: where one of them reads, the other
    one reads on. So there the zip is opened anew when it is first used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()  # a forked process may work in another folder
        self._zip: zipfile.ZipFile | None = _opened_zip(path)
        self._parents: zipfile.ZipFile | None = None
        tell_forked(self)

    def forked(self) -> None:
        """Leave the parent's zip alone, in the child."""
        # Closing it would wait for ever if another thread of the parent was reading from it.
        self._parents, self._zip = self._zip or self._parents, None

    def _own(self) -> zipfile.ZipFile:
        if self._zip is None:
            self._zip = _opened_zip(self._path)
        return self._zip

    def names(self) -> list[str]:
        names = self._own().namelist()
        return sorted(name for name in names if not any(map(is_junk, name.split("/"))))

    def size(self, name: str) -> int:
        return self._own().getinfo(name).file_size

    def open(self, name: str) -> IO[bytes]:
        return self._own().open(name)


def _opened_zip(path: Path) -> zipfile.ZipFile:
    """Return a zip whose entries can be believed.

    Raises:
        InputError: It is none, or claims what cannot be.
    """
    if not path.is_file():
        raise InputError(f"{path} is no file", "a bundle folder or zip")
    try:
        _check_end(path)
        opened = zipfile.ZipFile(path)
    except READ_ERRORS as error:
        raise InputError(f"{path}: {error}", "a bundle folder or zip", DAMAGED) from error
    entries = opened.infolist()
    if len(entries) > _MAX_ENTRIES:
        raise _too_many(path)
    # What the entries claim is compared with the file that carries them: none can grow, and
    # no two are the same bytes.
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        _check_entry(path, entry)
        if entry.header_offset < end:
            raise InputError(
                f"{path}: entry {entry.filename!a} overlaps another",
                "every byte once",
                DAMAGED,
            )
        end = entry.header_offset + _ZIP_HEADER_BYTES + entry.file_size
    if end > opened.start_dir:
        raise InputError(f"{path}: an entry ends after the zip", "a whole zip", DAMAGED)
    return opened


def _check_end(path: Path) -> None:
    """Refuse what zipfile would accept around a zip's entries, before it reads their directory."""
    with path.open("rb") as file:
        total = file.seek(0, os.SEEK_END)
        file.seek(max(0, total - _ZIP_TAIL.size))
        tail = file.read()
    if len(tail) < _ZIP_TAIL.size:
        raise zipfile.BadZipFile("it is too short")
    before, mark, disk, first_disk, _, count, size, start, comment = _ZIP_TAIL.unpack(tail)
    if mark != b"PK\5\6" or before == b"PK\6\7" or disk or first_disk or comment:
        raise zipfile.BadZipFile("its last bytes are not the end of a plain zip")
    if count > _MAX_ENTRIES or size > _MAX_ENTRIES * _MAX_ENTRY_BYTES:
        raise _too_many(path)
    if start + size != total - _ZIP_END_BYTES:
        raise zipfile.BadZipFile("it holds other bytes before or between its entries")


def _check_entry(path: Path, entry: zipfile.ZipInfo) -> None:
    name = f"{path}: entry {entry.filename!a}"
    # Stored, not deflated: an entry cannot grow beyond the file that carries it.
    if entry.compress_type != zipfile.ZIP_STORED or entry.filename.endswith("/"):
        raise InputError(
            f"{name} is compressed or a folder",
            "stored files only",
            PACK,
        )
    if entry.file_size != entry.compress_size:
        raise InputError(
            f"{name} claims {entry.file_size} bytes of {entry.compress_size}",
            "stored files only",
            DAMAGED,
        )
    if entry.filename != entry.orig_filename:
        raise InputError(f"{name} goes on after its name's end", "plain names", DAMAGED)
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise InputError(f"{name} is a link or a device", "plain files only", DAMAGED)


def _too_many(path: Path) -> InputError:
    return InputError(f"{path} has over {_MAX_ENTRIES} entries", "a bundle", DAMAGED)


def shown_name(name: str | Path) -> str:
    """Return a name from an untrusted bundle so that a terminal shows it and obeys nothing."""
    return str(name) if str(name).isprintable() else ascii(str(name))
