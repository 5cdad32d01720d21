"""What ``bench --host`` copies to the device: this package and the bundle, a zip each."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from edge_fgir import _resources
from edge_fgir.runtime import MANIFEST, Bundle

_DATA = ("recipes", "export", "devices")


def pack_code(path: Path) -> None:
    """Write the package as it runs here, laid out as in its wheel, to the zip ``path``.

    Nothing is built: a checkout and an installed wheel have the same files, in other places.
    """
    _write(path, _code(), zipfile.ZIP_DEFLATED)


def _code() -> Iterator[tuple[str, bytes]]:
    package = Path(__file__).resolve().parents[1]
    folders = [
        (package, "edge_fgir"),
        *((_resources.folder(k), f"edge_fgir/_data/{k}") for k in _DATA),
    ]
    for folder, name in folders:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            inside = file.relative_to(folder)
            # Data that lies inside the package has a turn of its own.
            if "__pycache__" not in inside.parts and inside.parts[0] != "_data":
                yield f"{name}/{inside.as_posix()}", file.read_bytes()


def pack_bundle(bundle: Bundle, path: Path) -> None:
    """Write the bundle to the zip ``path``; its signature stays here, where it is checked.

    Raises:
        InputError: A file was changed since it was sealed.
    """
    manifest = [(MANIFEST, bundle.manifest.dump().encode())]
    listed = ((entry.path, bundle.read(entry.path)) for entry in bundle.manifest.files)
    _write(path, chain(manifest, listed), zipfile.ZIP_STORED)


def _write(path: Path, files: Iterable[tuple[str, bytes]], compression: int) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name), data, compression)
