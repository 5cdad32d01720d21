"""A bundle's two forms, a folder and one uncompressed zip, and the way between them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from edge_fgir._errors import InputError
from edge_fgir._files import new_folder, write_atomic
from edge_fgir._zip import zipped
from edge_fgir.runtime.bundle import Bundle
from edge_fgir.runtime.manifest import MANIFEST, SCHEMA_FAMILY


def check_out(out: Path, *, as_zip: bool) -> None:
    """Refuse, before anything long begins, an ``out`` that is something other than a bundle.

    Raises:
        InputError: It exists and carries no manifest of ours: it would be replaced whole.
    """
    if out.exists() and not _carries_our_schema(out, as_zip=as_zip):
        raise InputError(
            f"{out} exists and is not a bundle {'zip' if as_zip else 'folder'}",
            "a new path, or an earlier bundle to replace",
            "choose another --out",
        )


def _carries_our_schema(path: Path, *, as_zip: bool) -> bool:
    """Say whether a folder or zip has a bundle's manifest, of whatever version."""
    try:
        if as_zip:
            with zipfile.ZipFile(path) as archive:
                text = archive.read(MANIFEST)
        else:
            text = (path / MANIFEST).read_bytes()
        manifest = json.loads(text)
    except (OSError, KeyError, ValueError, RuntimeError, RecursionError, zipfile.BadZipFile):
        return False
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    return isinstance(schema, str) and schema.startswith(SCHEMA_FAMILY)


def pack(bundle: Bundle, out: Path) -> None:
    """Write a bundle as one zip file, its signature included: the same bytes every time.

    Raises:
        InputError: A file was changed since it was sealed, or ``out`` is no bundle zip to replace.
    """
    check_out(out, as_zip=True)
    write_atomic(out, zipped(bundle.contents()))


def unpack(bundle: Bundle, out: Path) -> None:
    """Write a bundle as a folder, its signature included.

    Raises:
        InputError: A file was changed since it was sealed, or ``out`` is no bundle folder to
            replace.
    """
    check_out(out, as_zip=False)
    with new_folder(out, replaces=MANIFEST) as draft:
        for name, data in bundle.contents():
            path = draft / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
