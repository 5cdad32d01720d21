"""Pictures inside the page: found, scaled down, re-encoded as data addresses."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from PIL import Image

from edge_fgir._errors import InputError
from edge_fgir.results import ConfusedPair, SplitPicture
from edge_fgir.runtime import Pixels, read_image

THUMBNAIL = 96
"""Side of a picture inside a result file, pixels."""

_QUALITY = 88
_ADDRESS = "data:image/jpeg;base64,"


def find_picture(name: str, result: Path, below: Sequence[Path] = ()) -> Path | None:
    """Look for a picture that a result names.

    Names are relative to the folder the command ran in, so the current folder and every folder
    above the result are tried. A result may be a stranger's, and a page is handed on: only what
    lies below the current folder, the result's or one of ``below`` is shown, wherever the name
    leads. Links in those folders are followed.
    """
    allowed = [_plain(folder) for folder in (Path(), result.parent, *below)]
    for folder in (Path(), *result.absolute().parents, *below):
        path = _plain(folder / name)
        try:
            if any(path.is_relative_to(each) for each in allowed) and path.is_file():
                return path
        except OSError:  # a name too long for the file system, say
            return None
    return None


def _plain(path: Path) -> Path:
    """Return an absolute path without ``..``; links stay as they are."""
    return Path(os.path.normpath(path.absolute()))


def embed(path: Path, side: int) -> str | None:
    """Return a picture as a ``data:`` address, at most ``side`` pixels wide and high.

    It is always decoded and encoded anew, so nothing but pixels enters the page. None where the
    file is not a readable picture.
    """
    try:
        image = Image.fromarray(read_image(path, convert=True))
    except InputError:
        return None
    return _encode(image, side)


def embed_again(address: str, side: int) -> str | None:
    """Return a picture that :func:`embed` put into a result, decoded and encoded anew like a file.

    None where it is anything but a JPEG picture of at most ``side`` pixels.
    """
    if not address.startswith(_ADDRESS):
        return None
    try:
        data = base64.b64decode(address.removeprefix(_ADDRESS), validate=True)
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            if max(image.size) > side:
                return None
            return _encode(image.convert("RGB"), side)
    except (ValueError, OSError, SyntaxError, Image.DecompressionBombError):
        return None


def thumbnails(
    pairs: Iterable[ConfusedPair], read: Callable[[int], tuple[str, Pixels]]
) -> tuple[SplitPicture, ...]:
    """Return the pictures that confused pairs speak of, small, for a result file.

    Args:
        pairs: ``confused_pairs`` of an evaluation.
        read: From an image's ``index`` to its file name and its (H, W, 3) ``uint8`` RGB pixels.
    """
    named = {image.index for pair in pairs for image in (*pair.references, *pair.mistakes)}
    files = ((index, *read(index)) for index in sorted(named))
    return tuple(
        SplitPicture(index=index, file=file, picture=_encode(Image.fromarray(pixels), THUMBNAIL))
        for index, file, pixels in files
    )


def _encode(image: Image.Image, side: int) -> str:
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY)
    return _ADDRESS + base64.b64encode(buffer.getvalue()).decode()
