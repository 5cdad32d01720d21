"""Events of visits that never happened."""

from __future__ import annotations

import numpy as np

from edge_fgir.runtime import Event, Frame, Pixels, Result, Timing
from edge_fgir.runtime.decisions.event import State


def result(pixels: Pixels) -> Result:
    """Return an uncertain answer about a picture."""
    frame = Frame(pixels, 0, 0.0)
    return Result("wren", 0.4, 0, False, np.array([0.4]), ("wren",), Timing(1, 6), frame)


def event(
    visit: int, state: State = "ended", score: float = 0.9, pixels: Pixels | None = None
) -> Event:
    """Return an event of a wren."""
    return Event(
        visit=visit,
        state=state,
        label="wren",
        name="Zaunkönig, klein",
        scientific_name=None,
        score=score,
        is_unknown=False,
        start=1.0,
        end=2.0,
        start_at=1e9 + visit,
        end_at=1e9 + visit + 1,
        frames=10,
        moments=2,
        best=None if pixels is None else result(pixels),
    )
