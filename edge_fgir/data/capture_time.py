"""When a picture was taken, by the camera's own clock."""

from __future__ import annotations

import io
from datetime import datetime, timezone

from edge_fgir.data.dataset import Sample
from edge_fgir.runtime import read_exif

# Exif 3.0 (CIPA DC-008), 4.6.6.5: the time, and the decimals of its second.
_TAKEN, _DECIMALS = 0x9003, 0x9291


def captured_at(sample: Sample) -> float | None:
    """Return seconds on the camera's clock (which names no time zone); None where it is not told.

    Raises:
        InputError: The file cannot be read.
    """
    data = None if sample.part is None else io.BytesIO(sample.read_bytes())
    tags = read_exif(sample.path, data)
    try:
        taken = datetime.strptime(str(tags[_TAKEN]).strip("\0 "), "%Y:%m:%d %H:%M:%S")
    except (KeyError, ValueError):
        return None
    decimals = str(tags.get(_DECIMALS, "")).strip("\0 ")
    part = float(f"0.{decimals}") if decimals.isdecimal() and decimals.isascii() else 0.0
    return taken.replace(tzinfo=timezone.utc).timestamp() + part
