"""What ``bench --host`` copies to the device: this package and the bundle, a zip each."""

from __future__ import annotations

import zipfile
from pathlib import Path

from edge_fgir._package import package_files
from edge_fgir._zip import zipped
from edge_fgir.runtime import SIGNATURES, Bundle


def pack_code(path: Path) -> None:
    """Write the package as it runs here, laid out as in its wheel, to the zip ``path``."""
    path.write_bytes(zipped(package_files(), zipfile.ZIP_DEFLATED))


def pack_bundle(bundle: Bundle, path: Path) -> None:
    """Write the bundle to the zip ``path``; signatures stay here, where they are checked.

    Raises:
        InputError: A file was changed since it was sealed.
    """
    kept = ((name, data) for name, data in bundle.contents() if name not in SIGNATURES)
    path.write_bytes(zipped(kept))
