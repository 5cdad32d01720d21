"""Reading picture files strictly: what a model sees is never guessed.

A camera delivers upright 8-bit RGB. A file may hold something else (a rotation flag, transparency,
16 bits, CMYK ink), and each library turns that into RGB differently. So such files are refused,
with the reason, unless the caller asks for the conversion that is written down here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from edge_fgir._errors import InputError
from edge_fgir.runtime.preprocess import Pixels

MIN_SIDE = 8
"""Smallest width or height of a usable picture, pixels."""

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".gif"})
"""File name endings that folder readers take for pictures (lower case)."""

_PLAIN_MODES = ("RGB", "L")
_ORIENTATION_TAG = 0x0112
_BY_HAND = "convert the file"
_END_MARKS = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}
_TAIL_BYTES = 32
_CONVERT = "convert the file, or pass --convert to let edge-fgir do it"
_MODE_NAMES = {
    "CMYK": "CMYK (print colours)",
    "P": "a palette image",
    "PA": "a palette image with transparency",
    "LA": "a grey image with transparency (alpha)",
    "RGBA": "an image with transparency (alpha)",
    "1": "a 1-bit image",
    "I": "a 32-bit integer image",
    "F": "a floating-point image",
}


def is_picture(path: Path) -> bool:
    """Say whether ``path`` has the ending of a picture file (hidden files are passed over)."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def pictures_below(folder: Path) -> list[Path]:
    """Return the pictures in ``folder`` and its subfolders, sorted; hidden ones are passed over."""
    return sorted(
        path
        for path in folder.rglob("*")
        if is_picture(path)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not path.is_dir()
    )


def read_image(
    path: Path, *, convert: bool = False, file: IO[bytes] | None = None, at_least: int = 0
) -> Pixels:
    """Read one picture as (H, W, 3) ``uint8`` RGB.

    Args:
        path: The file.
        convert: Turn it upright (EXIF), lay transparency on white, expand palettes, scale 16 bits
            to 8, and turn CMYK into RGB, instead of refusing.
        file: The content, seekable, where ``path`` only names it: a picture inside a tar, say.
        at_least: So many pixels a side are enough: a larger JPEG is decoded at a fraction of its
            size, which is faster; 0: every pixel.

    Raises:
        InputError: The file is missing, broken, truncated, smaller than 8 px on a side, larger than
            Pillow's decompression limit, or not plain 8-bit grey or RGB and ``convert`` is off.
    """
    try:
        with Image.open(path if file is None else file) as image:
            _check_header(image, path, convert)
            if at_least:
                image.draft(None, (at_least, at_least))
            image.load()
            # A PNG may carry EXIF data behind its pixels.
            _check_header(image, path, convert)
            return to_rgb(image, source=str(path))
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist", "a picture file") from error
    except IsADirectoryError as error:
        raise InputError(f"{path} is a folder", "a picture file", "name the files in it") from error
    except UnidentifiedImageError as error:
        raise InputError(
            f"{path} is not a picture Pillow can read",
            "JPEG, PNG, BMP, WebP or TIFF",
            "replace or remove the file",
        ) from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: {error}", "a picture of camera size", "scale it down") from error
    except Exception as error:  # decoders raise many kinds, struct.error and IndexError among them
        raise InputError(
            f"{path} is broken or truncated ({error})",
            "a whole picture",
            "copy it again or remove it",
        ) from error


def check_image(path: Path, *, convert: bool = False, file: IO[bytes] | None = None) -> None:
    """Check the header and the end of a picture; the pixels are decoded only on suspicion.

    The arguments are those of :func:`read_image`.

    Raises:
        InputError: As :func:`read_image`, except for damage in the middle of the pixel data.
    """
    try:
        with Image.open(path if file is None else file) as image:
            _check_header(image, path, convert)
            end = _END_MARKS.get(image.format or "")
        suspicious = end is None or end not in _tail(path, file)
    except InputError:
        raise
    except Exception:
        suspicious = True
    if suspicious:
        read_image(path, convert=convert, file=file)


def to_rgb(image: Image.Image, source: str = "image") -> Pixels:
    """Turn a Pillow image of any usual kind into (H, W, 3) ``uint8`` RGB by the rules above.

    Raises:
        InputError: Its values have no fixed range (32-bit or floating-point images), or Pillow
            cannot turn it into RGB.
    """
    _check_range(image, source)
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        values = np.asarray(image)
        grey = ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
        if "transparency" in image.info:
            grey[values == image.info["transparency"]] = 255
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode in ("RGBA", "RGBa", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    try:
        return np.asarray(image.convert("RGB"))
    except ValueError as error:
        raise InputError(f"{source} is {image.mode}", "a grey or RGB image", _BY_HAND) from error


def _tail(path: Path, file: IO[bytes] | None) -> bytes:
    if file is None:
        with path.open("rb") as opened:
            return _tail(path, opened)
    file.seek(-min(_TAIL_BYTES, file.seek(0, os.SEEK_END)), os.SEEK_END)
    return file.read()


def _check_header(image: Image.Image, path: Path, convert: bool) -> None:
    _check_size(image, path)
    _check_range(image, str(path))
    if not convert:
        _check_plain(image, path)


def _check_range(image: Image.Image, source: str) -> None:
    if image.mode in ("I", "F"):
        raise InputError(
            f"{source} is {_MODE_NAMES[image.mode]}, whose black and white points are unknown",
            "8 or 16 bits a channel",
            _BY_HAND,
        )


def _check_size(image: Image.Image, path: Path) -> None:
    if min(image.size) < MIN_SIDE:
        raise InputError(
            f"{path} is {image.width} x {image.height} pixels",
            f"at least {MIN_SIDE} x {MIN_SIDE}",
            "remove the file",
        )


def _check_plain(image: Image.Image, path: Path) -> None:
    # Pillow opens 16-bit colour as RGB and drops the low bytes: its raw mode tells.
    deep = any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))
    if image.mode not in _PLAIN_MODES or deep:
        kind = "a 16-bit image" if deep else _MODE_NAMES.get(image.mode, image.mode)
        raise InputError(f"{path} is {kind}", "8-bit grey or RGB", _CONVERT)
    if "transparency" in image.info:
        raise InputError(f"{path} is {_MODE_NAMES['RGBA']}", "8-bit grey or RGB", _CONVERT)
    # Pillow decodes a whole PNG to look for EXIF data behind its pixels.
    hidden = image.format == "PNG" and "exif" not in image.info
    orientation = 1 if hidden else image.getexif().get(_ORIENTATION_TAG, 1)
    if orientation != 1:
        raise InputError(
            f"{path} carries EXIF orientation {orientation} (stored turned or mirrored)",
            "an upright picture",
            _CONVERT,
        )


def find_pictures(path: Path) -> list[Path]:
    """Return ``path`` itself, or the pictures below it (sorted) where it is a folder.

    Raises:
        InputError: It does not exist, or is a folder without pictures.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist", "a picture file or a folder of pictures")
    if not path.is_dir():
        return [path]
    found = pictures_below(path)
    if not found:
        raise InputError(
            f"{path} holds no pictures", f"files ending in {', '.join(sorted(SUFFIXES))}"
        )
    return found
