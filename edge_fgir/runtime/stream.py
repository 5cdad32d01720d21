"""Classifying frames as they come: the newest frame wins, timestamps are kept."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, get_args

from edge_fgir._errors import InputError
from edge_fgir.runtime.frames import Drop, Frame
from edge_fgir.runtime.sources import Source, given_source

_LOG = logging.getLogger("edge_fgir.sources")

Answer = TypeVar("Answer")

# A reader may hang in a driver or on the network: closing a stream does not wait longer for it.
_READER_EXIT_S = 1.0


def classify_stream(
    classify: Callable[[Frame], Answer], given: object, drop: Drop | None, *, convert: bool
) -> Generator[Answer, None, None]:
    """Yield the answers to the frames that ``given`` gives; see :meth:`Classifier.stream`.

    With ``convert``, odd picture files among them are converted, and refused without.

    Closing the generator stops the reading thread. The source is closed at the end, and by the
    thread that reads it: few camera drivers allow anything else.

    Raises:
        InputError: ``drop`` is not one of ours, or ``given`` gives no frames.
    """
    if drop is not None and drop not in get_args(Drop):
        raise InputError(f"drop={drop!r}", f"one of {', '.join(get_args(Drop))}")
    source = given_source(given, convert)
    newest = source.live if drop is None else drop == "oldest"
    frames = _newest(source) if newest else _every(source)
    # Who opened a source asks it for its problems; what is opened here is in no other hands.
    return _classify(
        classify, _telling(source, frames) if isinstance(given, str | Path) else frames
    )


def _classify(
    classify: Callable[[Frame], Answer], frames: Generator[Frame, None, None]
) -> Generator[Answer, None, None]:
    with closing(frames):
        for frame in frames:
            yield classify(frame)


def _telling(source: Source, frames: Generator[Frame, None, None]) -> Generator[Frame, None, None]:
    try:
        with closing(frames):
            yield from frames
    finally:
        for _, error in source.problems:
            _LOG.warning("left out: %s", error)


def _every(source: Source) -> Generator[Frame, None, None]:
    with closing(source):
        yield from source


def _newest(source: Source) -> Generator[Frame, None, None]:
    mailbox = _Mailbox()
    reader = threading.Thread(
        target=_read, args=(source, mailbox), name="edge-fgir-reader", daemon=True
    )
    reader.start()
    try:
        while (frame := mailbox.take()) is not None:
            yield frame
    finally:
        mailbox.end()
        reader.join(_READER_EXIT_S)


def _read(source: Source, mailbox: _Mailbox) -> None:
    try:
        with closing(source):
            for frame in source:
                if not mailbox.put(frame):
                    break
    except BaseException as error:
        mailbox.end(error)
    else:
        mailbox.end()


class _Mailbox:
    """One slot between the reader and the classifier: a newer frame replaces the one in it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._ended = False
        self._error: BaseException | None = None

    def put(self, frame: Frame) -> bool:
        """Leave ``frame``; False says that nobody takes frames any more."""
        with self._changed:
            if self._ended:
                return False
            if self._frame is not None:
                frame = replace(frame, dropped=frame.dropped + self._frame.dropped + 1)
            self._frame = frame
            self._changed.notify()
            return True

    def end(self, error: BaseException | None = None) -> None:
        """Say that no frame follows, and why."""
        with self._changed:
            self._ended = True
            self._error = error
            self._changed.notify()

    def take(self) -> Frame | None:
        """Wait for a frame; None at the end. The reader's error comes after its last frame."""
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None or self._ended)
            frame, self._frame = self._frame, None
            if frame is None and self._error is not None:
                raise self._error
            return frame
