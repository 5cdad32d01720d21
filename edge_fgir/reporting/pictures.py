"""Pictures inside the page: found, scaled down, re-encoded as data addresses."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

from edge_fgir._errors import InputError
from edge_fgir.runtime import read_image

_QUALITY = 88


def find_picture(name: str, result: Path) -> Path | None:
    """Look for a picture that a result names.

    Names are relative to the folder the command ran in, so the current folder and every folder
    above the result are tried.
    """
    for folder in (Path(), *result.absolute().parents):
        try:
            if (folder / name).is_file():
                return folder / name
        except OSError:  # a name too long for the file system, say
            return None
    return None


def embed(path: Path, side: int) -> str | None:
    """Return a picture as a ``data:`` address, at most ``side`` pixels wide and high.

    It is always decoded and encoded anew, so nothing but pixels enters the page. None where the
    file is not a readable picture.
    """
    try:
        image = Image.fromarray(read_image(path, convert=True))
    except InputError:
        return None
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
