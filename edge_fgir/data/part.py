"""A picture inside a tar, read without unpacking anything."""

from __future__ import annotations

import tarfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from edge_fgir._errors import InputError


class Part(NamedTuple):
    """The bytes of a tar that are a picture.

    Attributes:
        file: The tar.
        offset: Where the picture begins, bytes. The tar's header for it ends there.
        size: Bytes of the picture.
    """

    file: Path
    offset: int
    size: int

    def read(self, name: str) -> bytes:
        """Return the picture's bytes, if the tar itself calls them ``name`` and says their size.

        The place comes from an index, which may have been shipped with the tar or be older than it.

        Raises:
            InputError: The tar is gone or was cut, or another file lies there.
        """
        block = tarfile.BLOCKSIZE
        try:
            with self.file.open("rb") as file:
                file.seek(max(self.offset - block, 0))
                header, content = file.read(block), file.read(self.size)
        except FileNotFoundError as error:
            raise InputError(f"{self.file} is gone", "the shard that was there") from error
        if len(content) != self.size:
            raise InputError(
                f"{self.file} was cut while in use", "the shard that was there", "start again"
            )
        if not _announces(header, name, self.size):
            raise InputError(
                f"{self.file} does not hold {name} at byte {self.offset}, where its index says",
                "an index of this shard",
                "remove the index; it is made again",
            )
        return content


def _announces(header: bytes, name: str, size: int) -> bool:
    try:
        info = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    # A name that is long or not ASCII stands in a record of its own, before this header.
    short = name.isascii() and len(name) < tarfile.LENGTH_NAME
    return (
        info.isreg()
        and info.size == size
        and (PurePosixPath(info.name) == PurePosixPath(name) or not short)
    )
