"""Reading picture files strictly: what a model sees is never guessed.

A camera delivers upright 8-bit RGB. A file may hold something else (a rotation flag, transparency,
16 bits, CMYK ink), and each library turns that into RGB differently. So such files are converted as
it is written down here, in training, evaluation and on devices alike, or refused with the reason:

- EXIF orientations 2 to 8 are undone; any other value, 0 among them, means upright;
- a palette is looked up, grey is repeated three times, alpha lies on white;
- 16-bit grey is divided by 257 and rounded, of 16-bit colour the high bytes are taken;
- ink is turned into light without its profile (R = (255 - C)(255 - K) / 255, ...), and the colour
  profile of an RGB picture is not applied: a camera's frames have none;
- of several pictures in a file the first counts;
- a JPEG of more than 100 megapixels is decoded at a half, a quarter or an eighth of its size.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from edge_fgir._errors import InputError
from edge_fgir.runtime.picture_files import format_of, formats, plug_in_for, unreachable
from edge_fgir.runtime.preprocess import Pixels

READING_KEY, READING = "picture-reading", "2"
"""In a bundle's ``versions``: the version of these rules. In the first, odd files were refused."""

MIN_SIDE = 8
"""Smallest width or height of a usable picture, pixels."""

_PLAIN_MODES = ("RGB", "L")
_ORIENTATION_TAG = 0x0112
_EXIF_DIRECTORY = 0x8769
_UPRIGHT = 1
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each EXIF orientation."""

_LARGEST_SIDE = 20_000
_LARGEST_PIXELS = 100_000_000
_SMALLER = "scale it down"
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


def read_image(
    path: Path,
    *,
    convert: bool = False,
    file: IO[bytes] | None = None,
    at_least: int = 0,
    at_most: int | None = None,
) -> Pixels:
    """Read one picture as (H, W, 3) ``uint8`` RGB.

    Args:
        path: The file.
        convert: Turn it upright (EXIF), lay transparency on white, expand palettes, scale 16 bits
            to 8, and turn CMYK into RGB, instead of refusing.
        file: The content, seekable, where ``path`` only names it: a picture inside a tar, say.
        at_least: So many pixels a side are enough: a larger JPEG is decoded at a fraction of its
            size, which is faster; 0: every pixel.
        at_most: Pixels of a picture that is decoded at all; None: what is sane for a file of
            one's own.

    Raises:
        InputError: The file is missing, broken, truncated, smaller than 8 px on a side, larger than
            Pillow's decompression limit, or not plain 8-bit grey or RGB and ``convert`` is off.
    """
    try:
        with _opened(path, file) as image:
            _check_header(image, path, convert)
            if at_most is not None and image.width * image.height > at_most:
                raise _too_large(image, path, at_most)
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
    except PermissionError as error:
        raise unreachable(path, error) from error
    except UnidentifiedImageError as error:
        if package := plug_in_for(_head(path, file)):
            raise InputError(
                f"{path} is of a format that Pillow reads with a plug-in",
                package,
                f"run: pip install {package}",
            ) from error
        raise InputError(
            f"{path} is not a picture Pillow can read",
            "JPEG, PNG, BMP, WebP or TIFF",
            "replace or remove the file",
        ) from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: {error}", "a picture of camera size", _SMALLER) from error
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
        with _opened(path, file) as image:
            _check_header(image, path, convert)
            end = _END_MARKS.get(image.format or "")
        suspicious = end is None or end not in _tail(path, file)
    except InputError:
        raise
    except Exception:
        suspicious = True
    if suspicious:
        read_image(path, convert=convert, file=file)


def read_exif(path: Path, file: IO[bytes] | None = None) -> dict[int, object]:
    """Return what the camera noted of a picture's capture: the tags of its Exif directory.

    The arguments are those of :func:`read_image`. None where there are none, or they are damaged.

    Raises:
        InputError: The file cannot be opened.
    """
    try:
        with _opened(path, file) as image:
            return dict(image.getexif().get_ifd(_EXIF_DIRECTORY))
    except OSError as error:
        raise InputError(f"{path}: {error}", "a picture file") from error
    except Exception:  # whatever is wrong with the EXIF data, the picture is another matter
        return {}


def to_rgb(image: Image.Image, source: str = "image") -> Pixels:
    """Turn a Pillow image of any usual kind into (H, W, 3) ``uint8`` RGB by the rules above.

    Raises:
        InputError: Its values have no fixed range (32-bit or floating-point images), or Pillow
            cannot turn it into RGB.
    """
    _check_range(image, source)
    if (turn := _TURNS.get(_orientation(image))) is not None:
        image = image.transpose(turn)
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


def _opened(path: Path, file: IO[bytes] | None) -> Image.Image:
    """Open a picture of one of the formats that are allowed."""
    if file is None and not path.is_file() and not path.is_dir() and path.exists():
        raise InputError(f"{path} is a device or a pipe", "a picture file")
    try:
        return Image.open(path if file is None else file, formats=formats())
    except Image.DecompressionBombError:
        if format_of(_head(path, file)) != "JPEG":
            raise
        return _large_jpeg(path, file)


def _large_jpeg(path: Path, file: IO[bytes] | None) -> Image.Image:
    """Open a JPEG that is too large for Pillow, at the fraction of its size that is in bounds."""
    if file is not None:
        file.seek(0)
    image = JpegImageFile(path if file is None else file)
    width, height = image.size
    if max(width, height) > _LARGEST_SIDE:
        image.close()
        raise InputError(
            f"{path} is {width} x {height} pixels", f"at most {_LARGEST_SIDE} on a side", _SMALLER
        )
    fraction = next(n for n in (2, 4, 8) if width * height / n**2 <= _LARGEST_PIXELS or n == 8)
    image.draft(None, (width // fraction, height // fraction))
    return image


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 where it is none of 1 to 8: Android and Canon write 0."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG)
    except Exception:  # whatever is wrong with the EXIF data, the picture is another matter
        return _UPRIGHT
    return value if isinstance(value, int) and value in _TURNS else _UPRIGHT


def _head(path: Path, file: IO[bytes] | None) -> bytes:
    if file is None:
        with path.open("rb") as opened:
            return opened.read(_TAIL_BYTES)
    file.seek(0)
    return file.read(_TAIL_BYTES)


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
    if image.format != "JPEG" and image.width * image.height > _LARGEST_PIXELS:
        # A few bytes can claim them; only a JPEG is decoded at a fraction of its size.
        raise _too_large(image, path, _LARGEST_PIXELS)
    if min(image.size) < MIN_SIDE:
        raise InputError(
            f"{path} is {image.width} x {image.height} pixels",
            f"at least {MIN_SIDE} x {MIN_SIDE}",
            "remove the file",
        )


def _too_large(image: Image.Image, path: Path, at_most: int) -> InputError:
    return InputError(
        f"{path} is {image.width} x {image.height} pixels",
        f"at most {at_most / 1e6:g} megapixels",
        _SMALLER,
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
    orientation = _UPRIGHT if hidden else _orientation(image)
    if orientation != _UPRIGHT:
        raise InputError(
            f"{path} carries EXIF orientation {orientation} (stored turned or mirrored)",
            "an upright picture",
            _CONVERT,
        )
