"""This package's own files: what a wheel and a session on a device carry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edge_fgir import _resources

_DATA = ("recipes", "export", "devices")


def package_files() -> Iterator[tuple[str, bytes]]:
    """Yield the package as it runs here, (name, content), laid out as in its wheel.

    Nothing is built: a checkout and an installed wheel have the same files, in other places.
    """
    package = Path(__file__).resolve().parent
    folders = [
        (package, "edge_fgir"),
        *((_resources.folder(kind), f"edge_fgir/_data/{kind}") for kind in _DATA),
    ]
    for folder, name in folders:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            inside = file.relative_to(folder)
            # Data that lies inside the package has a turn of its own.
            if "__pycache__" not in inside.parts and inside.parts[0] != "_data":
                yield f"{name}/{inside.as_posix()}", file.read_bytes()
