"""What a camera tells: who was seen, from when to when, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from edge_fgir.runtime.result import Result

State = Literal["decided", "changed", "ended"]


class EventOptions(BaseModel):
    """How frames become visits."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    gap_s: Annotated[
        float, Field(gt=0, description="a visit ends when nothing known was seen for this long, s")
    ] = 3.0
    moment_s: Annotated[
        float, Field(ge=0, description="frames within this time are one moment, one vote, s")
    ] = 0.5
    moments: Annotated[
        int,
        Field(ge=1, description="votes before a label is told, and before it is told to change"),
    ] = 2
    correlation: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="of the votes of a visit: 0, each counts in full; 1, all count as one",
        ),
    ] = 0.9
    memory_s: Annotated[float, Field(gt=0, description="after this time a vote counts half, s")] = (
        10.0
    )


@dataclass(frozen=True)
class Event:
    """One decision about one visit.

    Attributes:
        visit: The visit's number, from 1.
        state: ``decided``: the first label of a visit. ``changed``: another one took its place.
            ``ended``: the visit is over; the last word on it.
        label: A class, or a parent of classes where they tie.
        name: What people are shown.
        scientific_name: Where the site file has one.
        score: How sure, 0..1: of all votes of the visit.
        is_unknown: Something was seen, but no label reached its threshold.
        start: Timestamp of the first frame with a known label, s since the source's start.
        end: Timestamp of the last one.
        start_at: When the first one arrived, s since 1970 (UTC).
        end_at: When the last one did.
        frames: How many frames voted.
        moments: In how many moments.
        track: The detector's track, where the app gave one.
        best: The frame's result that spoke most for ``label``, with its pixels.
    """

    visit: int
    state: State
    label: str
    name: str
    scientific_name: str | None
    score: float
    is_unknown: bool
    start: float
    end: float
    start_at: float
    end_at: float
    frames: int
    moments: int
    track: str | None = None
    best: Result | None = field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it: times in ISO 8601 (UTC), no pixels, no empty fields."""
        values = {
            "visit": self.visit,
            "state": self.state,
            "label": self.label,
            "name": self.name,
            "scientific_name": self.scientific_name,
            "score": round(self.score, 6),
            "is_unknown": self.is_unknown,
            "start": round(self.start, 3),
            "end": round(self.end, 3),
            "start_at": _iso(self.start_at),
            "end_at": _iso(self.end_at),
            "frames": self.frames,
            "moments": self.moments,
            "track": self.track,
        }
        return {key: value for key, value in values.items() if value is not None}


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")
