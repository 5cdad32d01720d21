"""What the server answers; its OpenAPI page is made of these."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Answer(BaseModel):
    """What the model says of a picture, with the fields of ``predict --json``."""

    label: str = Field(description="the most probable class; by the site file, where there is one")
    score: float = Field(description="its calibrated probability, 0..1")
    is_unknown: bool = Field(description="the picture is most likely of no known class")
    top: list[tuple[str, float]] = Field(description="the most probable classes, best first")
    novelty: float | None = Field(None, description="how unlike the training pictures it is")
    region: list[float] | None = Field(
        None, description="where a model that looks twice looked again: left, top, right, bottom"
    )
    variant: int | None = Field(None, description="which of several bundles answered, 0 the best")
    latency_ms: float = Field(description="from the decoded picture to the answer")


class ModelInfo(BaseModel):
    """The bundle that answers."""

    name: str
    target: str
    precision: str
    engine: str
    image_size: int
    labels: list[str]


class Health(BaseModel):
    """Whether pictures are answered."""

    status: str


class Problem(BaseModel):
    """Why there is no answer."""

    detail: str
