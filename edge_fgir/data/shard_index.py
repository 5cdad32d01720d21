"""What lies where in webdataset shards: built once by reading the tars' headers, then kept.

webdataset 1.0 reads shards as streams alone (its indexed reader ``wids`` is gone), and importing it
imports torch. So the standard library's ``tarfile``, which webdataset itself reads with, says where
each picture lies; files are grouped into samples by webdataset's rule.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_fgir._errors import InputError
from edge_fgir._files import sha256, write_atomic
from edge_fgir._paths import stays_below
from edge_fgir._progress import progress
from edge_fgir.data.arrays import read_arrays
from edge_fgir.data.reading import Skipped
from edge_fgir.runtime import SUFFIXES, check_image

INDEX = ".edge-fgir-index.npz"
"""The index's file, beside the shards."""

_VERSION = 3
_KEY = re.compile(r"((?:.*/)?[^./]+)\.([^/]+)", re.DOTALL)
_META = re.compile(r"__[^/]*__/")
_MAX_LABEL_BYTES = 1024
_SIDE_BY_SIDE = "pack the tar again with its files sorted by name"
_COPY = "copy it again"
_COLUMNS = ("offsets", "sizes", "labels", "lengths")
_TYPES: dict[str, type[np.integer]] = {**dict.fromkeys(_COLUMNS, np.int64), "names": np.uint8}


@dataclass(frozen=True)
class Contents:
    """The samples of one shard, in its order.

    Attributes:
        offsets: (N,) ``int64``, where each picture begins in the tar, bytes.
        sizes: (N,) ``int64``, bytes of each picture.
        labels: (N,) ``int64``, class of each.
        lengths: (N,) ``int64``, bytes of each picture's name.
        names: (sum of lengths,) ``uint8``, the pictures' names in the tar, joined.
        skipped: Pictures that cannot be used; they are none of the N.
    """

    offsets: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    names: npt.NDArray[np.uint8]
    skipped: tuple[Skipped, ...] = ()

    def __len__(self) -> int:
        return len(self.offsets)

    def fits(self, size: int, classes: int) -> bool:
        """Say whether every entry lies in a tar of ``size`` bytes and every label has a class."""
        lengths = {len(getattr(self, column)) for column in _COLUMNS}
        return len(lengths) == 1 and bool(
            (self.offsets >= tarfile.BLOCKSIZE).all()  # a header stands before each
            and (self.sizes > 0).all()
            and (self.offsets <= size - self.sizes).all()  # a sum could overflow
            and ((self.labels >= 0) & (self.labels < classes)).all()
            and ((self.lengths > 0) & (self.lengths <= len(self.names))).all()
            and self.lengths.sum() == len(self.names)
        )


def index_shards(
    root: Path, tars: Sequence[Path], classes: Sequence[str], *, strict: bool
) -> list[Contents]:
    """Return what each of the shards below ``root`` holds, every picture's header checked.

    The answer is kept in ``root`` and used again for every tar whose size and time of change are
    the same, and of which nothing was left out: what could not be read may be readable now, with a
    library that was not there. A folder that cannot be written is indexed anew each time.

    Raises:
        InputError: A tar is damaged or empty, or a sample lacks its picture or a valid label.
    """
    stats = [tar.stat() for tar in tars]
    marks = [
        (tar.relative_to(root).as_posix(), stat.st_size, stat.st_mtime_ns)
        for tar, stat in zip(tars, stats, strict=True)
    ]
    kept = _read(root / INDEX, classes, strict=strict)
    new = [tar for tar, mark in zip(tars, marks, strict=True) if mark not in kept]
    if not new and len(kept) == len(tars):
        return [kept[mark] for mark in marks]
    found = iter(_scan_all(root, new, classes, strict=strict))
    contents = [kept[mark] if mark in kept else next(found) for mark in marks]
    if strict and any(found.skipped for found in contents):
        return contents  # which will be refused
    with suppress(OSError):
        write_atomic(root / INDEX, _packed(marks, contents, classes, strict=strict))
    return contents


_Mark = tuple[str, int, int]


def _packed(
    marks: Sequence[_Mark], contents: Sequence[Contents], classes: Sequence[str], *, strict: bool
) -> bytes:
    tars = [
        [*mark, len(found), len(found.skipped)] for mark, found in zip(marks, contents, strict=True)
    ]
    head = {
        "version": _VERSION,
        "classes": sha256("\n".join(classes).encode()),
        "strict": strict,
        "tars": tars,
    }
    arrays: dict[str, Any] = {
        column: np.concatenate([getattr(found, column) for found in contents])
        for column in (*_COLUMNS, "names")
    }
    buffer = io.BytesIO()
    np.savez(buffer, head=np.array(json.dumps(head)), **arrays)
    return buffer.getvalue()


def _read(path: Path, classes: Sequence[str], *, strict: bool) -> dict[_Mark, Contents]:
    """Return the shards of a kept index of which nothing was left out.

    There are none if it is absent, damaged or of other classes.
    """
    try:
        with read_arrays(path) as archive:
            head = json.loads(str(archive["head"]))
            arrays = {
                column: archive[column].astype(kind, casting="same_kind", copy=False)
                for column, kind in _TYPES.items()
            }
        # Pictures that pass the check as they are pass it as converted ones too.
        usable = head["version"] == _VERSION and head["strict"] >= strict
        if not usable or head["classes"] != sha256("\n".join(classes).encode()):
            return {}
        found = {}
        row = byte = 0
        for name, size, changed, count, left_out in head["tars"]:
            rows = slice(row, row + count)
            columns = {column: arrays[column][rows] for column in _COLUMNS}
            names = slice(byte, byte + int(columns["lengths"].sum()))
            contents = Contents(**columns, names=arrays["names"][names])
            if not contents.fits(size, len(classes)):
                return {}
            if not left_out:
                found[name, size, changed] = contents
            row, byte = rows.stop, names.stop
    except Exception:  # whatever is wrong with it, it can be made again
        return {}
    return found


def _scan_all(
    root: Path, tars: Sequence[Path], classes: Sequence[str], *, strict: bool
) -> list[Contents]:
    label_of = {name: label for label, name in enumerate(classes)}
    found = []
    with progress(f"indexing {root.name}", len(tars)) as meter, ThreadPoolExecutor() as pool:
        for contents in pool.map(partial(_scan, label_of, strict), tars):
            found.append(contents)
            meter.advance()
    return found


def _scan(label_of: Mapping[str, int], strict: bool, tar: Path) -> Contents:
    """Return what one shard holds."""
    rows: list[tuple[int, int, int, int]] = []
    names: list[bytes] = []
    skipped = []
    with _opened(tar) as archive:
        for key, files in _samples(archive, tar):
            label = _label(archive, tar / f"{key}.cls", files, label_of)
            info = _picture(tar / key, files)
            try:
                check_image(tar / info.name, convert=not strict, file=archive.extractfile(info))
            except InputError as error:
                skipped.append(Skipped(str(tar / info.name), str(error)))
                continue
            names.append(str(PurePosixPath(info.name)).encode(errors="surrogateescape"))
            rows.append((info.offset_data, info.size, label, len(names[-1])))
    if not rows and not skipped:
        raise InputError(f"{tar} holds no samples", "key.jpg and key.cls files", "remove it")
    offsets, sizes, labels, lengths = np.array(rows, np.int64).reshape(-1, 4).T.copy()
    joined = np.frombuffer(b"".join(names), np.uint8)
    return Contents(offsets, sizes, labels, lengths, joined, tuple(skipped))


@contextmanager
def _opened(tar: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(tar, "r:") as archive:
            yield archive
    except (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError) as error:
        raise _damaged(tar, str(error)) from error


def _damaged(tar: Path, reason: str) -> InputError:
    return InputError(f"{tar} is damaged or cut ({reason})", "a whole, uncompressed tar", _COPY)


def _check_end(archive: tarfile.TarFile, tar: Path) -> None:
    # tarfile takes a cut between two files, and a damaged header, for the end.
    with tar.open("rb") as file:
        file.seek(archive.offset)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise _damaged(tar, f"no end mark at byte {archive.offset}")


def _samples(
    archive: tarfile.TarFile, tar: Path
) -> Iterator[tuple[str, dict[str, tarfile.TarInfo]]]:
    """Yield key and files by ending (lower case) of each sample that has a picture or a label."""
    seen: set[str] = set()
    current, files = "", dict[str, tarfile.TarInfo]()
    for info in _members(archive, tar):
        match = _KEY.fullmatch(info.name)
        if match is None or _META.match(info.name):
            continue
        key, ending = match[1], match[2].lower()
        if ending != "cls" and f".{ending}" not in SUFFIXES:
            continue
        if key != current:
            if files:
                yield current, files
            if key in seen:
                raise InputError(
                    f"{tar} holds the key {key} twice",
                    "the files of a sample side by side, and each key once",
                    _SIDE_BY_SIDE,
                )
            seen.add(key)
            current, files = key, {}
        if ending in files:
            raise InputError(f"{tar} holds {info.name} twice", "each file once", _SIDE_BY_SIDE)
        files[ending] = info
    if files:
        yield current, files


def _members(archive: tarfile.TarFile, tar: Path) -> Iterator[tarfile.TarInfo]:
    """Yield the plain files of a tar; links, folders and devices are passed over."""
    while (info := archive.next()) is not None:
        # tarfile keeps every header it has seen: as webdataset does, let them go.
        archive.members = []  # type: ignore[attr-defined]
        if info.size < 0 or archive.offset <= info.offset:
            raise _damaged(tar, f"a file of {info.size} bytes")
        if not info.isreg() or info.issparse():
            continue
        if not stays_below(str(PurePosixPath(info.name))):
            raise InputError(
                f"{tar} holds a file called {info.name}", "names inside the tar", "pack it again"
            )
        yield info
    _check_end(archive, tar)


def _label(
    archive: tarfile.TarFile,
    path: Path,
    files: Mapping[str, tarfile.TarInfo],
    label_of: Mapping[str, int],
) -> int:
    info = files.get("cls")
    content = archive.extractfile(info) if info and info.size <= _MAX_LABEL_BYTES else None
    if content is None:
        found = "is not there" if info is None else f"has {info.size} bytes"
        raise InputError(f"{path} {found}", "a label beside each picture")
    text = content.read().decode("utf-8-sig", errors="replace").strip()
    if re.fullmatch(r"[+-]?[0-9]+", text, re.ASCII):
        if 0 <= int(text) < len(label_of):
            return int(text)
        raise InputError(
            f"{path} says {text}", f"0 to {len(label_of) - 1}, or a name in labels.txt"
        )
    if text not in label_of:
        raise InputError(f"{path} says {text!r}", "a name in labels.txt, or the number of its line")
    return label_of[text]


def _picture(path: Path, files: Mapping[str, tarfile.TarInfo]) -> tarfile.TarInfo:
    pictures = [info for ending, info in files.items() if ending != "cls"]
    if len(pictures) != 1:
        raise InputError(
            f"sample {path} has {len(pictures)} pictures",
            "one, such as .jpg, .png or .webp",
        )
    return pictures[0]
