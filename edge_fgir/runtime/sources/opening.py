"""``open_source``: a word, address or path to a source."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from edge_fgir._addresses import shown_address
from edge_fgir._errors import InputError
from edge_fgir.runtime.picture_files import is_picture, look_for_pictures
from edge_fgir.runtime.sources.camera import Camera
from edge_fgir.runtime.sources.gstreamer import PREFIX, GStreamerPipeline, name_of
from edge_fgir.runtime.sources.opencv import import_cv2
from edge_fgir.runtime.sources.options import CameraOptions
from edge_fgir.runtime.sources.picamera import PiCamera
from edge_fgir.runtime.sources.pictures import Pictures
from edge_fgir.runtime.sources.source import Source
from edge_fgir.runtime.sources.steady import Steady
from edge_fgir.runtime.sources.video_file import VideoFile

_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtp", "srt", "udp", "tcp", "http", "https")
_CAMERA_HELP = "see which there are: ls -l /dev/video*"
_NETWORK_HELP = "check address, password and network, for example with: ffplay ADDRESS"
# Longer numbers are names, of a day's folder for example: 20260131.
_CAMERA_NUMBER = re.compile(r"\d{1,4}")
# An address with a slip of the pen may hold a password as well.
_LIKE_ADDRESS = re.compile(r"^\w+:/|:.*@|\?.*=", re.DOTALL)
_PI_CAMERA = re.compile(r"picamera2:(\d{1,2})")


def open_source(
    source: str | Path,
    realtime: bool = False,
    *,
    convert: bool = True,
    strict: bool = False,
    camera: CameraOptions | None = None,
) -> Source:
    """Open a camera, network stream, GStreamer pipeline, video file, picture or folder of pictures.

    Cameras, streams and pipelines go on: one that hangs or is lost is opened again, until it is
    back. ``camera`` says how long to wait.

    Example::

        import edge_fgir as ef

        with ef.Classifier.open("birds.fgir") as model:
            for result in model.stream(ef.open_source("photos/test/red_leaf")):
                print(result.frame.index, result.label, result.score)

    Args:
        source: A camera's number (``"0"``) or device file, ``picamera2:0`` for a Raspberry Pi's
            own, an address such as ``rtsp://...``, ``gst:`` and a GStreamer pipeline without its
            sink, or a path. Folders are read in name order.
        realtime: Play a video file at its own frame rate, as a camera would deliver it.
        convert: For pictures: convert turned, transparent, 16-bit or CMYK files (see ``images``);
            otherwise they cannot be used.
        strict: For pictures: one that cannot be used is an error, not left out.
        camera: Of live sources: size, rate and encoding of a camera, and what is done when it
            fails.

    Raises:
        InputError: It does not exist, cannot be opened, or holds no frames; or ``realtime`` is
            asked for pictures, which have no frame rate; or a size for what is no camera.
        MissingExtraError: It needs OpenCV (all but pictures do) and that is not installed.
    """
    text = str(source)
    options = camera or CameraOptions()
    if isinstance(source, str) and (opened := _open_word(source, options)) is not None:
        return opened
    path = Path(source)
    if path.is_char_device():
        return _open_camera(text, text, _CAMERA_HELP, options)
    if not path.exists():
        raise InputError(
            f"{shown_address(text) if _LIKE_ADDRESS.search(text) else path} does not exist",
            "a video, a picture, a folder of pictures, a camera's number or rtsp://...",
        )
    _refuse_size(str(path), options)
    if not path.is_dir() and not is_picture(path):
        return VideoFile(path, realtime)
    if realtime:
        raise InputError(f"{path} has no frame rate", "a video file with --realtime")
    return Pictures(look_for_pictures(path), convert, strict)


def _open_word(source: str, options: CameraOptions) -> Source | None:
    """Open what is no path; None for a path."""
    if _CAMERA_NUMBER.fullmatch(source):
        remedy = f"{_CAMERA_HELP}, or name a file ./{source}"
        return _open_camera(int(source), f"camera {source}", remedy, options)
    if number := _PI_CAMERA.fullmatch(source):
        make = partial(PiCamera, int(number[1]), options)
        return Steady(f"camera {number[1]} of picamera2", make, options)
    if source.startswith(PREFIX):
        pipeline = source.removeprefix(PREFIX)
        _refuse_size(name_of(pipeline), options)
        return Steady(name_of(pipeline), partial(GStreamerPipeline, pipeline), options)
    return _open_network(source, options) if "://" in source else None


def _refuse_size(name: str, options: CameraOptions) -> None:
    if options.is_of_camera:
        raise InputError(
            f"{name} is no camera that could be asked for a size, rate or encoding",
            "a camera's number or device file",
        )


def _open_camera(target: int | str, name: str, remedy: str, options: CameraOptions) -> Source:
    import_cv2(f"reading {name}")
    return Steady(name, partial(Camera, target, name, remedy, (), options), options)


def _open_network(address: str, options: CameraOptions) -> Source:
    scheme = address.partition("://")[0]
    name = shown_address(address)
    if scheme.lower() not in _SCHEMES:
        raise InputError(
            f"{name}: unknown kind of address",
            f"one of {', '.join(f'{known}://' for known in _SCHEMES)}",
            "name files by their path",
        )
    _refuse_size(name, options)
    cv2 = import_cv2(f"reading {name}")
    timeouts = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC)
    settings = [number for key in timeouts for number in (key, round(1e3 * options.stall_s))]
    return Steady(name, partial(Camera, address, name, _NETWORK_HELP, settings), options)
