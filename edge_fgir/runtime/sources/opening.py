"""``open_source``: a word, address or path to a source."""

from __future__ import annotations

import re
from pathlib import Path

from edge_fgir._errors import InputError
from edge_fgir.runtime.picture_files import find_pictures, is_picture
from edge_fgir.runtime.sources.camera import Camera
from edge_fgir.runtime.sources.opencv import import_cv2
from edge_fgir.runtime.sources.pictures import Pictures
from edge_fgir.runtime.sources.source import Source
from edge_fgir.runtime.sources.video_file import VideoFile

_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtp", "srt", "udp", "tcp", "http", "https")
_CAMERA_HELP = "see which there are: ls -l /dev/video*"
_NETWORK_HELP = "check address, password and network, for example with: ffplay ADDRESS"
_NETWORK_TIMEOUT_MS = 10_000
# Longer numbers are names, of a day's folder for example: 20260131.
_CAMERA_NUMBER = re.compile(r"\d{1,4}")


def open_source(
    source: str | Path, realtime: bool = False, *, convert: bool = True, strict: bool = False
) -> Source:
    """Open a camera, network stream, video file, picture or folder of pictures.

    Example::

        import edge_fgir as ef

        with ef.Classifier.open("birds.fgir") as model:
            for result in model.stream(ef.open_source("photos/test/red_leaf")):
                print(result.frame.index, result.label, result.score)

    Args:
        source: A camera's number (``"0"``) or device file, an address such as ``rtsp://...``, or a
            path. Folders are read in name order.
        realtime: Play a video file at its own frame rate, as a camera would deliver it.
        convert: For pictures: convert turned, transparent, 16-bit or CMYK files (see ``images``);
            otherwise they cannot be used.
        strict: For pictures: one that cannot be used is an error, not left out.

    Raises:
        InputError: It does not exist, cannot be opened, or holds no frames; or ``realtime`` is
            asked for pictures, which have no frame rate.
        MissingExtraError: It needs OpenCV (all but pictures do) and that is not installed.
    """
    text = str(source)
    if isinstance(source, str) and _CAMERA_NUMBER.fullmatch(text):
        return Camera(int(text), f"camera {text}", f"{_CAMERA_HELP}, or name a file ./{text}")
    if isinstance(source, str) and "://" in text:
        return _open_network(text)
    path = Path(source)
    if path.is_char_device():
        return Camera(text, text, _CAMERA_HELP)
    if not path.exists():
        raise InputError(
            f"{path} does not exist",
            "a video, a picture, a folder of pictures, a camera's number or rtsp://...",
        )
    if not path.is_dir() and not is_picture(path):
        return VideoFile(path, realtime)
    if realtime:
        raise InputError(f"{path} has no frame rate", "a video file with --realtime")
    return Pictures(find_pictures(path), convert, strict)


def _open_network(address: str) -> Source:
    scheme, rest = address.split("://", 1)
    # A password may hold "/" and "@": all before the last "@" is hidden.
    name = f"{scheme}://{re.sub(r'^.*@', '***@', rest, flags=re.DOTALL)}"
    if scheme.lower() not in _SCHEMES:
        raise InputError(
            f"{name}: unknown kind of address",
            f"one of {', '.join(f'{known}://' for known in _SCHEMES)}",
            "name files by their path",
        )
    cv2 = import_cv2(f"reading {name}")
    timeouts = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC)
    settings = [number for key in timeouts for number in (key, _NETWORK_TIMEOUT_MS)]
    return Camera(address, name, _NETWORK_HELP, settings)
