"""``plan.json``: what ``edge-fgir export --plan`` builds, and why it was chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge_fgir._errors import InputError
from edge_fgir._files import read_file, to_json, write_atomic
from edge_fgir._refusal import validated
from edge_fgir.models import Setting
from edge_fgir.models.reduction import KeepRate, ReductionName
from edge_fgir.results import Budget
from edge_fgir.runtime import Precision

SCHEMA: Literal["edge-fgir/plan/1"] = "edge-fgir/plan/1"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Option(_Part):
    """One way to deploy the run."""

    image_size: Annotated[int, Field(ge=16, description="input side, pixels")]
    keep_rate: Annotated[KeepRate | None, Field(description="of every stage, or one a stage")]
    method: Annotated[ReductionName | None, Field(description="token reduction")]
    precision: Precision
    top1: Annotated[float, Field(description="on the validation split, percent")]
    top1_interval: Annotated[tuple[float, float], Field(description="95 %")]
    latency_ms: Annotated[float, Field(ge=0, description="p50, frame to decision")]
    p99_ms: float | None = None
    measured: Annotated[bool, Field(description="on the device; else predicted")]
    certified: bool = False

    @property
    def setting(self) -> Setting:
        """What the weights are run at."""
        return Setting(self.image_size, self.keep_rate, self.method)


class Plan(_Part):
    """The chosen option for a run, target and device, and the runners-up."""

    schema_: Annotated[Literal["edge-fgir/plan/1"], Field(alias="schema")] = SCHEMA
    run: Annotated[str, Field(description="the recipe's name")]
    weights: Annotated[str, Field(description="SHA-256 of the run's weights")]
    target: str
    device: Annotated[str, Field(description="local, a descriptor's id, or user@host")]
    budget: Budget
    chosen: Option
    why: str
    runners_up: tuple[Option, ...] = ()
    estimate: Annotated[
        bool, Field(description="latencies are a data sheet's: nothing was measured")
    ] = False

    def save(self, path: Path) -> None:
        """Write the plan as JSON, atomically."""
        write_atomic(path, to_json(self.model_dump(mode="json", by_alias=True)))

    @classmethod
    def read(cls, path: Path) -> Plan:
        """Read a plan.

        Raises:
            InputError: It is none.
        """
        remedy = "make one with: edge-fgir profile"
        content = read_file(path, f"a plan; {remedy}")
        return validated(cls, content, path, f"schema {SCHEMA}", remedy)

    def check(self, weights: str, target: str) -> None:
        """Compare the plan with what it is to be used for.

        Raises:
            InputError: The plan is for other weights or another target.
        """
        if weights != self.weights:
            raise InputError(
                f"a plan for other weights than the run's (of {self.run})",
                "the run that was profiled",
                "profile this one: edge-fgir profile",
            )
        if target != self.target:
            raise InputError(f"--target {target} with a plan for {self.target}", self.target)
