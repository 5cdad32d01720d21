"""Precisions: what a model computes in, told by a name."""

from __future__ import annotations

from typing import Literal

Precision = Literal["int8", "int8-bf16", "bf16", "fp16", "fp32"]
"""INT8 layers, and behind the dash what all others are computed in where that is not the runtime's
own float; or the float that everything is computed in. ``fp16`` may be that of the weights alone.
"""


def is_int8(precision: str) -> bool:
    """Say whether layers are computed in INT8."""
    return precision.startswith("int8")


def is_bfloat16(precision: str) -> bool:
    """Say whether what is not INT8 is computed in bfloat16, where the device has it."""
    return precision.endswith("bf16")
