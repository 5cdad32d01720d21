"""Pictures of what was uncertain: what the next training wants to see."""

from __future__ import annotations

import io
import logging
import re
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from PIL import Image

from edge_fgir._errors import InputError
from edge_fgir._files import write_atomic
from edge_fgir.runtime.decisions import Event
from edge_fgir.runtime.images import read_image
from edge_fgir.runtime.looks import Hashes, look_hash
from edge_fgir.runtime.preprocess import Pixels
from edge_fgir.runtime.sinks.sink import Sink

_LOG = logging.getLogger("edge_fgir.sinks")

_BELOW = 0.7
_MOST = 1000
_QUALITY = 95
# Bits of 128 in which two looks at the same thing differ at most.
_ALIKE = 10


class UncertainPictures(Sink):
    """A folder with the best frame of each visit that ended unknown or below a score.

    A picture that looks like one of the folder is left out, and so is everything while the folder
    is full. Names say when, what was answered, and how sure that was.

    Args:
        folder: Made where it is missing.
        below: Visits with a lower score are uncertain.
        most: Pictures in the folder at most.
    """

    def __init__(self, folder: Path, below: float = _BELOW, most: int = _MOST) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = str(folder)
        self.lost = self.waiting = 0
        self._folder, self._below, self._most = folder, below, most
        # By file name; none: the file cannot be read.
        self._looks: dict[str, Hashes | None] = {}
        self._list()

    def send(self, event: Event) -> None:
        """Keep the picture of a visit that has ended."""
        uncertain = event.is_unknown or event.score < self._below
        if event.state != "ended" or not uncertain:
            return
        if event.best is None or event.best.frame is None:
            return
        try:
            self._keep(_name(event), event.best.frame.pixels[..., ::-1])
        except OSError as error:
            self.lost += 1
            _LOG.error("%s: a picture is lost: %s", self.name, error)

    def _keep(self, name: str, rgb: Pixels) -> None:
        if len(self._looks) >= self._most:
            self._list()
        if len(self._looks) >= self._most:
            return
        look = look_hash(np.ascontiguousarray(rgb))
        known = [other for other in self._looks.values() if other is not None]
        if any(np.unpackbits(look ^ other).sum() <= _ALIKE for other in known):
            return
        write_atomic(self._folder / name, _jpeg(rgb))
        self._looks[name] = look

    def _list(self) -> None:
        """Learn what the folder holds now: what was moved away makes room."""
        files = [file for file in self._folder.glob("*.jpg") if not file.name.startswith(".")]
        self._looks = {
            file.name: self._looks[file.name] if file.name in self._looks else _look(file)
            for file in sorted(files)
        }

    def close(self) -> None:
        """Nothing stays open."""


def _look(file: Path) -> Hashes | None:
    try:
        return look_hash(read_image(file, convert=True))
    except InputError as error:
        _LOG.warning("%s", error)
        return None


def _name(event: Event) -> str:
    when = datetime.fromtimestamp(event.start_at, timezone.utc).strftime("%Y%m%dT%H%M%S_%f")
    label = re.sub(r"[^\w-]+", "_", event.label)
    return f"{when}_{label}_{100 * event.score:.0f}.jpg"


def _jpeg(rgb: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb)).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
