"""What every source of frames is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

from edge_fgir._errors import InputError
from edge_fgir.runtime.frames import Frame

_Self = TypeVar("_Self", bound="Source")


class Source(Protocol):
    """Frames, once through. ``close()`` may be called from any thread and ends the iteration.

    Attributes:
        live: Frames come at their own pace, whether somebody is ready for them or not.
        fps: Frames a second as the file or driver states them; None where none are stated.
        outages: How often a live source was lost, and opened again.
        problems: Numbers of the frames that could not be read, and what is wrong with them.
    """

    live: bool
    fps: float | None
    outages: int = 0
    problems: Sequence[tuple[int, InputError]] = ()

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None:
        """Free the camera, connection or file."""

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
