"""Which files are pictures: by their endings, by their first bytes, and in a folder."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from edge_fgir._errors import InputError
from edge_fgir.runtime.junk import is_junk_folder

ENDINGS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "PNG": (".png", ".apng"),
    "BMP": (".bmp",),
    "DIB": (".dib",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "GIF": (".gif",),
    "JPEG2000": (".jp2", ".j2k", ".jpx", ".jpf", ".jpc", ".j2c"),
    "AVIF": (".avif", ".avifs"),
    "HEIF": (".heic", ".heif", ".hif"),
    "JXL": (".jxl",),
    "TGA": (".tga",),
    "PCX": (".pcx",),
    "SGI": (".sgi",),
    "SUN": (".ras",),
    "ICO": (".ico",),
    "QOI": (".qoi",),
    "PSD": (".psd",),
    "DDS": (".dds",),
}
"""The formats that are opened, and their file name endings (lower case).

Not all that Pillow knows: EPS and PostScript start another program, and WMF, HDF5, GRIB and FITS
hold no photographs.
"""

SUFFIXES = frozenset(ending for endings in ENDINGS.values() for ending in endings)
"""File name endings that folder readers take for pictures (lower case)."""

_NEVER = re.compile(
    r"\.(bak|old|orig|tmp|part|crdownload|download|txt|md|csv|tsv|jsonl?|xml|ya?ml|html|cls|db|ini"
    r"|zip|tar|gz|mp4|mov|avi|mkv|npy|py|log)"
)
"""Endings of files whose first bytes are not asked."""

_PLUG_INS = {
    "HEIF": ("pillow_heif", "pillow-heif"),
    "JXL": ("pillow_jxl", "pillow-jxl-plugin"),
}
_HEAD_BYTES = 32
_SHOWN_ENDINGS = 3


@cache
def formats() -> tuple[str, ...]:
    """Return the formats that can be opened here, plug-ins included where they are installed."""
    Image.init()
    for module, _ in _PLUG_INS.values():
        with suppress(Exception):  # a plug-in that cannot be loaded is one that is not there
            plug_in = __import__(module)
            getattr(plug_in, "register_heif_opener", lambda: None)()
    return tuple(name for name in ENDINGS if name in Image.OPEN)


def is_picture(path: Path) -> bool:
    """Say whether ``path`` has the ending of a picture file (hidden files are passed over)."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def format_of(head: bytes) -> str | None:
    """Return the format that the first bytes of a file announce, of those that files without a
    known ending may have; None if it is none of them.
    """
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp" and head[8:12] in (b"avif", b"avis"):
        return "AVIF"
    if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc"):
        return "HEIF"
    if head.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        return "JXL"
    return None


def plug_in_for(head: bytes) -> str | None:
    """Return the package that would open what these first bytes announce; None: it is here."""
    name = format_of(head)
    if name is None or name in formats() or name not in _PLUG_INS:
        return None
    return _PLUG_INS[name][1]


@dataclass
class Listing:
    """What a folder and its subfolders hold.

    Attributes:
        pictures: Picture files, sorted.
        problems: Files and folders that cannot be looked at, and why.
        others: How many other files there are, by ending.
        below: How many of the pictures lie in subfolders.
    """

    pictures: list[Path] = field(default_factory=list)
    problems: list[tuple[Path, InputError]] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    below: int = 0


def list_pictures(folder: Path) -> Listing:
    """Look for pictures in ``folder`` and its subfolders.

    Hidden files and folders are passed over, and what NAS boxes and systems put there
    (:mod:`~edge_fgir.runtime.junk`). Links are followed, each folder is entered once. A file whose
    ending says nothing is a picture if its first bytes say so; only regular files are.
    """
    listing = Listing()
    _look(folder, listing, set())
    listing.pictures.sort()
    listing.below = sum(path.parent != folder for path in listing.pictures)
    return listing


def _look(folder: Path, listing: Listing, entered: set[tuple[int, int]]) -> None:
    try:
        stat = folder.stat()
        if (stat.st_dev, stat.st_ino) in entered:
            return
        entered.add((stat.st_dev, stat.st_ino))
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        listing.problems.append((folder, unreachable(folder, error)))
        return
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith(".") or is_junk_folder(entry.name):
            continue
        try:
            if entry.is_dir():
                _look(path, listing, entered)
            elif entry.is_file() and _is_picture_file(path):
                listing.pictures.append(path)
            elif entry.is_symlink() and not path.exists():
                raise FileNotFoundError
            else:
                listing.others[path.suffix.lower()] += 1
        except OSError as error:
            listing.problems.append((path, unreachable(path, error)))


def _is_picture_file(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return True
    if _NEVER.fullmatch(suffix) or path.name.endswith("~"):
        return False
    with path.open("rb") as file:
        return format_of(file.read(_HEAD_BYTES)) is not None


def unreachable(path: Path, error: OSError) -> InputError:
    """Return what to tell of a file or folder that cannot be looked at."""
    if isinstance(error, PermissionError):
        return InputError(
            f"{path} may not be read ({error.strerror})",
            "a file and folders that you have the right to read",
            f"ls -ld {path} shows whose it is",
        )
    if path.is_symlink() and not path.exists():
        return InputError(f"{path} is a link to {path.readlink()}, which is not there", "a file")
    return InputError(f"{path} cannot be read ({error.strerror or error})", "a file that can")


def pictures_below(folder: Path) -> list[Path]:
    """Return the pictures in ``folder`` and its subfolders, as :func:`list_pictures` finds them."""
    return list_pictures(folder).pictures


class FoundPicture(NamedTuple):
    """A picture file, or what cannot be looked at and so may be one, or a folder of them."""

    path: Path
    problem: InputError | None = None
    """Why it cannot be looked at; None: it can."""


def look_for_pictures(path: Path) -> list[FoundPicture]:
    """Return ``path`` itself, or what is below it (sorted) where it is a folder.

    Raises:
        InputError: It does not exist, or is a folder without a picture that can be looked at.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist", "a picture file or a folder of pictures")
    if not path.is_dir():
        return [FoundPicture(path)]
    listing = list_pictures(path)
    if listing.pictures:
        found = [*map(FoundPicture, listing.pictures), *map(FoundPicture._make, listing.problems)]
        return sorted(found, key=lambda one: one.path)
    if listing.problems:
        raise listing.problems[0][1]
    raise InputError(
        f"{path} holds no pictures", "files such as .jpg, .png or .webp, or folders of them"
    )


def find_pictures(path: Path) -> list[Path]:
    """Return ``path`` itself, or the pictures below it (sorted) that can be looked at.

    Raises:
        InputError: As :func:`look_for_pictures`.
    """
    return [one.path for one in look_for_pictures(path) if one.problem is None]


def other_files(others: Counter[str]) -> Iterator[str]:
    """Yield what to say of files that are no pictures: at most one line."""
    if others:
        common = [ending or "no ending" for ending, _ in others.most_common(_SHOWN_ENDINGS)]
        rest = ", ..." if len(others) > _SHOWN_ENDINGS else ""
        count = sum(others.values())
        yield f"{count} files that are no pictures were passed over ({', '.join(common)}{rest})"
