"""A wheel of this package, made of the package as it is installed here.

A wheel is a zip of the package's files and of what the installer records of them:
https://packaging.python.org/en/latest/specifications/binary-distribution-format/
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from edge_fgir import __version__
from edge_fgir._errors import InputError
from edge_fgir._files import write_atomic
from edge_fgir._package import package_files
from edge_fgir._zip import zipped

_NAME = "edge-fgir"
_KIND = f"""Wheel-Version: 1.0
Generator: edge-fgir {__version__}
Root-Is-Purelib: true
Tag: py3-none-any
"""
_INSTALL_AGAIN = "install it again: pip install ."


def write_wheel(folder: Path) -> Path:
    """Write the package's wheel, which pip installs without network, and return its path.

    The same package gives the same bytes.

    Raises:
        InputError: The package runs from a checkout that is not installed, or that has been updated
            since.
    """
    try:
        installed = distribution(_NAME)
    except PackageNotFoundError as error:
        raise InputError(f"{_NAME} is not installed here", "it", _INSTALL_AGAIN) from error
    if installed.version != __version__:
        raise InputError(
            f"{_NAME} {__version__} runs here, and {installed.version} is installed",
            "one version",
            _INSTALL_AGAIN,
        )
    stem = f"{_NAME.replace('-', '_')}-{__version__}"
    about = f"{stem}.dist-info"
    files = [*package_files(), (f"{about}/WHEEL", _KIND.encode()), *_metadata(installed, about)]
    record = f"{about}/RECORD"
    lines = [*(_recorded(name, data) for name, data in files), f"{record},,"]
    files.append((record, "".join(f"{line}\n" for line in lines).encode()))
    path = folder / f"{stem}-py3-none-any.whl"
    write_atomic(path, zipped(files, zipfile.ZIP_DEFLATED))
    return path


def _metadata(installed: Distribution, about: str) -> list[tuple[str, bytes]]:
    """Return what an installer keeps of a package and writes for no place in particular."""
    kept = []
    for file in installed.files or ():
        folder, *inside = file.parts
        if folder.endswith(".dist-info") and (
            inside in (["METADATA"], ["entry_points.txt"]) or inside[:1] == ["licenses"]
        ):
            kept.append(("/".join((about, *inside)), file.read_binary()))
    return sorted(kept)


def _recorded(name: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}"
