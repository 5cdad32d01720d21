"""Device descriptors: ``devices/<id>.yaml``, every figure with its source and how sure it is."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge_fgir import _resources
from edge_fgir._errors import InputError
from edge_fgir.benchmarking.environment import environment

LOCAL = "local"
"""What a machine is called that no descriptor matches."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Figure(_Section):
    """One number, where it is from, and whether it was seen there, computed, or recalled."""

    value: Annotated[float, Field(gt=0)]
    source: str
    confidence: Literal["measured", "seen", "computed", "recalled"]


class Match(_Section):
    """Regular expressions, one of which must be found in what the machine says of itself."""

    board: Annotated[tuple[str, ...], Field(description="device tree model")] = ()
    processor: Annotated[tuple[str, ...], Field(description="processor name")] = ()


class Device(_Section):
    """One kind of device; peaks are dense, never the sparse ones of marketing."""

    id: str
    name: str
    target: Annotated[str, Field(description="export target that fits it")]
    match: Match
    peaks: Annotated[dict[str, Figure], Field(description="10^12 operations per second")]
    bandwidth_gbs: Annotated[Figure, Field(description="memory, GB/s")]
    memory_gb: Annotated[Figure, Field(description="memory, GB")]
    power_modes: tuple[str, ...]
    workspace_mb: Annotated[
        Figure | None, Field(description="what TensorRT's builder may use as scratch memory, MiB")
    ] = None


def device_names() -> list[str]:
    """Return the ids of all descriptors."""
    return _resources.names("devices")


def read_device(name: str) -> Device:
    """Read one descriptor.

    Raises:
        InputError: There is none of that id.
    """
    if name not in device_names():
        raise InputError(f"unknown device {name!r}", f"one of {', '.join(device_names())}")
    path = _resources.folder("devices") / f"{name}.yaml"
    return Device.model_validate({"id": name, **_resources.read_yaml(path)})


def match_device(found: dict[str, Any] | None = None) -> str:
    """Return the id of the first descriptor that matches, or ``local``.

    Args:
        found: What :func:`environment` says; of this machine by default.
    """
    found = environment() if found is None else found
    for name in device_names():
        rules = read_device(name).match
        for patterns, text in (
            (rules.board, found["board"]),
            (rules.processor, found["processor"]),
        ):
            if any(re.search(pattern, text or "") for pattern in patterns):
                return name
    return LOCAL
