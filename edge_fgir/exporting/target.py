"""Targets: what a device's runtime takes, declared in ``export/<target>/target.yaml``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from edge_fgir.exporting.builders import find_builder
from edge_fgir.exporting.npm import NpmPackage
from edge_fgir.models.glsim import CropForm
from edge_fgir.results import Gates
from edge_fgir.runtime import (
    Precision,
    TargetInfo,
    is_int8,
    read_target_as,
    target_names,
)
from edge_fgir.runtime.runtimes import check_runtime


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


FloatFirstConv = Annotated[
    bool, Field(description="leave the first convolution, 0.6 % of an LRNet's MACs, in float")
]
CorrectedBiases = Annotated[
    bool,
    Field(description="what rounded weights add to convolutions on average leaves their biases"),
]
Products = Annotated[bool, Field(description="MatMuls of two activations too, that is attention's")]


class NncfScheme(_Section):
    """INT8 by NNCF on an OpenVINO IR: per-channel weights, symmetric; activations asymmetric."""

    tool: Literal["nncf"]
    transformer: Annotated[bool, Field(description="NNCF's rules for attention")] = False
    smooth_quant: Annotated[
        float | None,
        Field(ge=0, le=1, description="alpha of SmoothQuant (arXiv 2211.10438); none: off"),
    ] = None
    bias_correction: Annotated[bool, Field(description="by NNCF, of all but depthwise layers")] = (
        True
    )
    corrected_biases: CorrectedBiases = False
    products: Products = False
    float_first_conv: FloatFirstConv = False


class QdqScheme(_Section):
    """INT8 as Q/DQ pairs in ONNX with measured ranges; weights int8 a channel."""

    tool: Literal["qdq"]
    ops: Annotated[
        tuple[str, ...], Field(min_length=1, description="ONNX operators that are quantized")
    ]
    products: Products = False
    activations: Literal["int8", "uint8"] = "int8"
    symmetric: Annotated[
        bool, Field(description="TensorRT's rules: no zero points, biases in float")
    ] = False
    float_outputs: Annotated[
        tuple[str, ...], Field(description="operators whose output is not quantized")
    ] = ()
    corrected_biases: CorrectedBiases = False
    float_first_conv: FloatFirstConv = False


class DynamicScheme(_Section):
    """INT8 weights, activations quantized as they come, by ONNX Runtime."""

    tool: Literal["dynamic"]
    ops: Annotated[tuple[str, ...], Field(min_length=1, description="ONNX operators")]


class LiteRtScheme(_Section):
    """INT8 in a TensorFlow Lite file; weights int8 by output channel."""

    tool: Literal["ai-edge-quantizer"]
    static: Annotated[
        tuple[str, ...],
        Field(description="TensorFlow Lite operators whose activations have measured ranges"),
    ] = ()
    dynamic: Annotated[
        tuple[str, ...],
        Field(description="operators whose activations are rounded as they come"),
    ] = ()
    corrected_biases: CorrectedBiases = False
    float_first_conv: FloatFirstConv = False


Scheme = Annotated[
    NncfScheme | QdqScheme | DynamicScheme | LiteRtScheme, Field(discriminator="tool")
]


class Quantization(_Section):
    """The INT8 schemes that are tried on a network, by name; where their speed on the target cannot
    be measured here, the first of those that the evidence prefers is taken."""

    images: Annotated[int, Field(ge=16, le=10_000, description="calibration images")] = 300
    cnn: Annotated[dict[str, Scheme], Field(min_length=1)]
    transformer: Annotated[dict[str, Scheme], Field(min_length=1)]
    most_float_layers: Annotated[
        int,
        Field(ge=0, description="most sensitive layers that may go back to float to keep a gate"),
    ] = 8


class Page(_Section):
    """The page that opens the model in a browser: the files in ``site/`` beside ``target.yaml``."""

    packages: Annotated[
        tuple[NpmPackage, ...], Field(min_length=1, description="what computes there")
    ]


class Target(TargetInfo):
    """One target."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    runtime: Annotated[str, AfterValidator(check_runtime)]
    machine: Annotated[str, Field(description="its processor, as platform.machine() calls it")] = (
        "x86_64"
    )
    opset: Annotated[int, Field(ge=13, le=25)]
    precisions: Annotated[
        tuple[Precision, ...],
        Field(description="offered; where INT8 fails, the first of the others is taken"),
    ]
    crop: Annotated[
        CropForm,
        Field(
            description="how GLSim cuts out: GridSample, or matrix products where that is slow or "
            "missing"
        ),
    ]
    quantization: Quantization
    gates: Gates
    page: Annotated[
        Page | None, Field(description="makes a bundle a page for browsers too; none: it is not")
    ] = None
    compute_capabilities: Annotated[
        tuple[str, ...], Field(description="GPUs the TensorRT-RTX builder compiles for as a check")
    ] = ()

    @model_validator(mode="after")
    def _schemes_are_of_its_tools(self) -> Target:
        tools = find_builder(self.runtime).tools
        for kind, schemes in (
            ("cnn", self.quantization.cnn),
            ("transformer", self.quantization.transformer),
        ):
            for name, scheme in schemes.items():
                if scheme.tool not in tools:
                    raise ValueError(
                        f"quantization.{kind}.{name}: tool {scheme.tool} is none of "
                        f"{', '.join(tools)}, which runtime {self.runtime} takes"
                    )
        if all(map(is_int8, self.precisions)):
            raise ValueError("precisions: int8 alone; name a float one to fall back to")
        return self

    @property
    def float_precision(self) -> Precision:
        """What is exported where INT8 is not good enough: the first precision that is no int8."""
        return next(precision for precision in self.precisions if not is_int8(precision))

    def allowing(self, max_drop: float) -> Target:
        """Return it with another bound for the drop of top-1, points."""
        gates = self.gates.model_copy(update={"max_top1_drop": max_drop})
        return self.model_copy(update={"gates": gates})


def read_target(name: str) -> Target:
    """Read one target.

    Raises:
        InputError: There is no such target, or its file is invalid.
    """
    return read_target_as(Target, name)


__all__ = [
    "DynamicScheme",
    "Gates",
    "LiteRtScheme",
    "NncfScheme",
    "QdqScheme",
    "Quantization",
    "Scheme",
    "Target",
    "read_target",
    "target_names",
]
