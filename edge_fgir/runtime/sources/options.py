"""How a camera is opened, and what is done when it fails."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator


class CameraOptions(BaseModel):
    """Settings of a live source: a camera, a network stream, a GStreamer pipeline."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    width: Annotated[
        int | None, Field(ge=16, le=16384, description="of a camera's pictures, pixels")
    ] = None
    height: Annotated[
        int | None, Field(ge=16, le=16384, description="of a camera's pictures, pixels")
    ] = None
    fps: Annotated[
        float | None, Field(gt=0, le=1000, description="asked of a camera, frames a second")
    ] = None
    fourcc: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Z0-9 ]{4}$",
            description="how a USB camera sends its pictures: MJPG, YUYV",
        ),
    ] = None
    stall_s: Annotated[
        float,
        Field(gt=0, le=3600, description="a source that gives nothing for this long hangs, s"),
    ] = 10.0
    patience_s: Annotated[
        float | None,
        Field(
            ge=0,
            description="how long a source that failed is tried again before it is an error, s; "
            "none: for ever",
        ),
    ] = None

    @model_validator(mode="after")
    def _has_both_sides(self) -> CameraOptions:
        if (self.width is None) != (self.height is None):
            raise ValueError("width and height are given together")
        return self

    @property
    def is_of_camera(self) -> bool:
        """Whether something is asked of the camera itself."""
        return any(one is not None for one in (self.width, self.fps, self.fourcc))
