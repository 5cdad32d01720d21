"""Showing results: label, score and rate drawn into the frame, and frames written as a video."""

from __future__ import annotations

import tempfile
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from edge_fgir._errors import EdgeFgirError, InputError
from edge_fgir.runtime.preprocess import Pixels, check_pixels
from edge_fgir.runtime.result import Result
from edge_fgir.runtime.sources import import_cv2, quiet

_CODECS = {".mp4": "mp4v", ".avi": "MJPG"}
_WHITE = (255, 255, 255)
_AMBER_BGR = (64, 200, 255)
_LINES_PER_HEIGHT = 22
_MIN_FONT_PX = 15
# Pillow's own font knows ASCII alone; most systems have one of these.
_WIDE_FONTS = ("NotoSansCJK-Regular.ttc", "DejaVuSans.ttf")


def draw_result(pixels: Pixels, result: Result, fps: float | None = None) -> Pixels:
    """Return a copy of a frame with label, score and rate in a bar at its lower edge.

    Args:
        pixels: (H, W, 3) ``uint8``, BGR.
        result: What the model says of it.
        fps: Frames classified a second; None leaves it out.
    """
    check_pixels(pixels)
    height, width = pixels.shape[:2]
    label = f"unknown: {result.label}" if result.is_unknown else result.label
    font = _font(max(_MIN_FONT_PX, round(min(height, width) / _LINES_PER_HEIGHT)), label.isascii())
    margin = round(font.size / 2)
    line = round(font.size * 1.25)
    bar = min(height, 2 * line + margin)

    drawn = pixels.copy()
    # A quarter of the light: white text on a white frame still has a contrast of 10:1.
    canvas = Image.fromarray(drawn[height - bar :] // 4)
    pen = ImageDraw.Draw(canvas)
    color = _AMBER_BGR if result.is_unknown else _WHITE
    score = f"{100 * result.score:.1f} %"
    rate = "" if fps is None else f"{fps:.1f} fps"
    upper = (margin + line) / 2
    label = shorten(_plain(label, font), font.getlength, width - 2 * margin)
    pen.text((margin, upper), label, color, font, anchor="lm")
    pen.text((margin, upper + line), score, color, font, anchor="lm")
    if font.getlength(score + rate) + 3 * margin <= width:
        pen.text((width - margin, upper + line), rate, _WHITE, font, anchor="rm")
    drawn[height - bar :] = np.asarray(canvas)
    return drawn


def shorten(text: str, length: Callable[[str], float], limit: float) -> str:
    """Return ``text``, its middle replaced by "…" where its ``length`` is above ``limit``.

    Fine-grained labels differ at either end ("Boeing 737-300", "Black-throated Blue Warbler").
    """
    if length(text) <= limit:
        return text
    for kept in range(len(text) - 1, 0, -1):
        head = text[: (kept + 1) // 2].rstrip()
        tail = text[len(text) - kept // 2 :].lstrip()
        if length(f"{head}…{tail}") <= limit:
            return f"{head}…{tail}"
    return "…"


@lru_cache(maxsize=4)
def _font(size: int, ascii_only: bool) -> ImageFont.FreeTypeFont:
    for name in () if ascii_only else _WIDE_FONTS:
        with suppress(OSError):
            return ImageFont.truetype(name, size)
    font = ImageFont.load_default(size=size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise EdgeFgirError("Pillow has no FreeType here; run: pip install --force pillow")
    return font


def _plain(text: str, font: ImageFont.FreeTypeFont) -> str:
    """Return ``text`` without accents where ``font`` is Pillow's own."""
    if isinstance(font.path, str):
        return text
    parts = unicodedata.normalize("NFKD", text)
    return "".join(part for part in parts if not unicodedata.combining(part))


def check_video_path(path: Path) -> None:
    """Raise InputError unless ``path`` can become a video: .mp4 or .avi, and no folder."""
    if path.suffix.lower() not in _CODECS:
        raise InputError(f"{path} ends in {path.suffix!r}", f"{' or '.join(_CODECS)} for a video")
    if path.is_dir():
        raise InputError(f"{path} is a folder", "the name of a video file")


class VideoWriter:
    """Writes frames as MPEG-4 (.mp4) or Motion JPEG (.avi) through OpenCV.

    The first frame sets the size (made even, as the codecs ask); frames of another shape are
    fitted into it. The file appears when the block ends without an error, and not before::

        with VideoWriter(Path("out.mp4"), fps=25.0) as video:
            video.write(pixels)

    Args:
        path: The video's name; an existing file is replaced.
        fps: Frames a second at which it plays.

    Raises:
        InputError: The name does not end in .mp4 or .avi, or is a folder.
        MissingExtraError: OpenCV is not installed.
    """

    def __init__(self, path: Path, fps: float) -> None:
        check_video_path(path)
        self._path = path
        self._fps = fps
        self._cv2 = import_cv2(f"writing {path}")
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._video: Any = None
        self._shape = (0, 0)
        self._start = 0.0
        self._last: Pixels | None = None
        self.frames = 0
        """Frames written so far."""

    def write(self, pixels: Pixels, timestamp: float | None = None) -> None:
        """Add a frame.

        Args:
            pixels: (H, W, 3) ``uint8``, BGR.
            timestamp: Seconds. Where it is given, the video keeps this time: the frame before is
                repeated until then, and of frames that come too fast the newest is shown.

        Raises:
            EdgeFgirError: OpenCV cannot write such a video here.
        """
        check_pixels(pixels)
        if self._video is None:
            self._video = self._open(pixels)
            self._start = timestamp or 0.0
        frame = _fit(pixels, self._shape)
        if timestamp is not None:
            turn = round((timestamp - self._start) * self._fps)
            if turn < self.frames:
                self._last = frame
                return
            while self.frames < turn:
                self._add(frame if self._last is None else self._last)
        self._add(frame)
        self._last = frame

    def _add(self, frame: Pixels) -> None:
        self._video.write(frame)
        self.frames += 1

    def _open(self, pixels: Pixels) -> Any:
        height, width = pixels.shape[:2]
        self._shape = max(2, height // 2 * 2), max(2, width // 2 * 2)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._folder = tempfile.TemporaryDirectory(
            dir=self._path.parent, prefix=f".{self._path.name}."
        )
        codec = self._cv2.VideoWriter_fourcc(*_CODECS[self._path.suffix.lower()])
        with quiet(self._cv2):
            video = self._cv2.VideoWriter(str(self._draft), codec, self._fps, self._shape[::-1])
        if not video.isOpened():
            raise EdgeFgirError(
                f"OpenCV cannot write {self._path} ({width} x {height}, {self._fps:g} fps)"
            )
        return video

    @property
    def _draft(self) -> Path:
        assert self._folder is not None
        return Path(self._folder.name) / self._path.name

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._folder is None:
            return
        with self._folder:
            if self._video is not None:
                self._video.release()
                if error is None:
                    self._draft.replace(self._path)


def _fit(pixels: Pixels, shape: tuple[int, int]) -> Pixels:
    """Return ``pixels`` at ``shape`` (H, W): cut by an odd row or column, or scaled onto black."""
    height, width = shape
    if (pixels.shape[0] // 2 * 2, pixels.shape[1] // 2 * 2) == shape:
        return np.ascontiguousarray(pixels[:height, :width])
    image = ImageOps.pad(Image.fromarray(np.ascontiguousarray(pixels)), (width, height))
    return np.asarray(image)
