"""Targets: what a device's runtime takes, declared in ``export/<target>/target.yaml``."""

from __future__ import annotations

import difflib
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge_fgir import _resources
from edge_fgir._errors import InputError
from edge_fgir.runtime.manifest import Precision, Runtime


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Quantization(_Section):
    """How INT8 ranges are found and where Q/DQ goes."""

    scheme: Annotated[
        Literal["nncf", "ort_qdq", "symmetric_qdq"],
        Field(description="NNCF on the IR; ONNX Runtime's static Q/DQ; the same, TensorRT's rules"),
    ]
    images: Annotated[int, Field(ge=16, le=10_000, description="calibration images")] = 300
    ops: Annotated[tuple[str, ...], Field(description="ONNX operators that are quantized")] = ()
    float_first_conv: Annotated[
        bool, Field(description="leave the first convolution, 0.6 % of an LRNet's MACs, in float")
    ] = False


class Gates(_Section):
    """Bounds a bundle must keep, measured on the validation split."""

    max_delta_logit: Annotated[float, Field(gt=0, description="torch to ONNX, float32")]
    min_agreement: Annotated[float, Field(ge=0, le=100, description="same top-1 as torch, percent")]
    max_top1_drop: Annotated[float, Field(ge=0, le=100, description="below torch, points")]
    golden_tolerance: Annotated[
        float, Field(gt=0, le=1, description="|delta probability| that verify allows on a device")
    ]


class Target(_Section):
    """One target."""

    name: str
    about: str
    runtime: Runtime
    opset: Annotated[int, Field(ge=13, le=25)]
    precisions: Annotated[
        tuple[Precision, ...], Field(description="offered; the first is the default")
    ]
    ops: Annotated[tuple[str, ...], Field(description="ONNX operators the float graph may use")]
    quantization: Quantization
    gates: Gates
    compute_capabilities: Annotated[
        tuple[str, ...], Field(description="GPUs the TensorRT-RTX builder compiles for as a check")
    ] = ()


def target_names() -> list[str]:
    """Return the names of all targets."""
    return _resources.names("export", "*/target.yaml")


def read_target(name: str) -> Target:
    """Read one target.

    Raises:
        InputError: There is no such target.
    """
    known = target_names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        raise InputError(
            f"unknown target {name!r}",
            f"one of {', '.join(known)}",
            f"did you mean {near[0]}?" if near else "",
        )
    path = _resources.folder("export") / name / "target.yaml"
    return Target.model_validate({"name": name, **_resources.read_yaml(path)})
