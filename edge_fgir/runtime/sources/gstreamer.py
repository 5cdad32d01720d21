"""GStreamer pipelines: whatever a board's own plug-ins can open.

pip's OpenCV has no GStreamer, so this talks to it through the system's Python bindings.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np

from edge_fgir._addresses import shown_pipeline, without_secrets
from edge_fgir._errors import EdgeFgirError, InputError
from edge_fgir.runtime.frames import Frame
from edge_fgir.runtime.preprocess import Pixels
from edge_fgir.runtime.sources.source import Source

PREFIX = "gst:"
_SINK = "edge_fgir_frames"
# Only the newest frame waits: an older one would be answered too late.
_TAIL = (
    f" ! videoconvert ! video/x-raw,format=BGR ! appsink name={_SINK} "
    "max-buffers=1 drop=true sync=false"
)
_PULL_NS = 200_000_000
_START_NS = 10_000_000_000


class GStreamerPipeline(Source):
    """Frames of a pipeline such as ``libcamerasrc ! video/x-raw,width=1280,height=720``.

    Args:
        pipeline: All but its end, which is added: conversion to BGR and handing over.

    Raises:
        InputError: The bindings are missing, or the pipeline cannot be made or started.
    """

    live = True

    def __init__(self, pipeline: str) -> None:
        self.name = name_of(pipeline)
        self._gst = gst = _import_gst()
        try:
            self._pipeline = gst.parse_launch(pipeline + _TAIL)
        except Exception as error:  # GLib.Error, which is known to the bindings alone
            raise InputError(
                f"{self.name}: {without_secrets(str(getattr(error, 'message', error)))}",
                "a pipeline without its sink, as for gst-launch-1.0",
            ) from error
        self._sink = self._pipeline.get_by_name(_SINK)
        self._bus = self._pipeline.get_bus()
        self._closed = False
        # A camera or stream has nothing to show before it plays; a file has.
        self._ends_by_itself = self._reaches(gst.State.PAUSED) != gst.StateChangeReturn.NO_PREROLL
        failed = self._reaches(gst.State.PLAYING) == gst.StateChangeReturn.FAILURE
        # A stream connects in a thread of its own, whose failure the state need not tell yet.
        if (reason := self._error()) or failed:
            reason = reason or "it does not start"
            self.close()
            raise InputError(f"{self.name}: {reason}", "a camera that no other program holds")
        self.fps = self._stated_fps()

    def _reaches(self, state: Any) -> Any:
        self._pipeline.set_state(state)
        return self._pipeline.get_state(_START_NS)[0]

    def _stated_fps(self) -> float | None:
        caps = self._sink.get_static_pad("sink").get_current_caps()
        if caps is None:
            return None
        known, over, under = caps.get_structure(0).get_fraction("framerate")
        return over / under if known and over and under else None

    def __iter__(self) -> Iterator[Frame]:
        start = time.monotonic()
        for index in count():
            sample = None
            while sample is None:
                if self._closed:
                    return
                sample = self._sink.emit("try-pull-sample", _PULL_NS)
                if sample is None and (reason := self._error()):
                    raise EdgeFgirError(f"{self.name}: {reason}")
                if sample is None and self._sink.get_property("eos"):
                    if self._ends_by_itself:
                        return
                    raise EdgeFgirError(f"{self.name} ended")
            arrived = time.monotonic()
            yield Frame(self._pixels(sample), index, arrived - start, arrived=arrived)

    def _pixels(self, sample: Any) -> Pixels:
        shape = sample.get_caps().get_structure(0)
        width, height = shape.get_value("width"), shape.get_value("height")
        buffer = sample.get_buffer()
        whole, memory = buffer.map(self._gst.MapFlags.READ)
        if not whole:
            raise EdgeFgirError(f"{self.name}: a frame cannot be read")
        try:
            # Rows are padded to four bytes.
            rows = np.frombuffer(memory.data, np.uint8).reshape(height, -1)
            return np.array(rows[:, : 3 * width].reshape(height, width, 3))
        finally:
            buffer.unmap(memory)

    def _error(self) -> str:
        message = self._bus.pop_filtered(self._gst.MessageType.ERROR)
        return "" if message is None else without_secrets(str(message.parse_error()[0].message))

    def close(self) -> None:
        """Stop the pipeline, and end the iteration."""
        self._closed = True
        self._pipeline.set_state(self._gst.State.NULL)


def name_of(pipeline: str) -> str:
    """Return a pipeline's name for messages, without what signs in somewhere."""
    return PREFIX + shown_pipeline(pipeline.strip())


def _import_gst() -> Any:
    try:
        import gi

        gi.require_version("Gst", "1.0")
        from gi.repository import Gst
    except (ImportError, ValueError) as error:
        raise InputError(
            "GStreamer's Python bindings are not here",
            "the system's: apt install python3-gi gir1.2-gstreamer-1.0 gstreamer1.0-plugins-base",
            "make the environment with python3 -m venv --system-site-packages",
        ) from error
    Gst.init(None)
    return Gst
