"""The residual stream of an adapted transformer: how large it is, and whether float16 holds it.

Published adapters sum nine patches, so the patches grow and the class token does not
(arXiv 2409.11051, docs/science/ila.md#low-precision).
"""

from __future__ import annotations

from torch import nn

from edge_fgir._errors import GateError
from edge_fgir.exporting.builders import find_builder
from edge_fgir.exporting.target import Target
from edge_fgir.models import as_wrapper
from edge_fgir.models.ila import residual_ranges
from edge_fgir.results import ResidualReport
from edge_fgir.runtime import Normalization, Pixels

MOST_HALF = 3e4
"""Magnitude up to which float16, which ends at 65504, is safe on pictures not yet seen."""


def residual_report(
    model: nn.Module,
    images: Pixels,
    normalization: Normalization,
    target: Target,
    precision: str,
) -> ResidualReport | None:
    """Return how large the residual stream grows; None for other networks.

    Args:
        model: In evaluation mode.
        images: (N, S, S, 3) that the ranges are measured on.
        normalization: Of the model.
        target: Where it will run.
        precision: What was asked for.

    Raises:
        GateError: The stream is too large for the float16 that would be made of it.
    """
    ranges = residual_ranges(as_wrapper(model), images, normalization)
    if not ranges:
        return None
    largest = max(one.largest for one in ranges)
    half = find_builder(target.runtime).computes_half and precision != "fp32"
    if half and largest > MOST_HALF:
        raise GateError(
            f"the residual stream reaches {largest:.0f}, and float16 ends at 65504; use "
            "--precision fp32, or train with model.adapters.residual mean; no bundle was written"
        )
    return ResidualReport(images=len(images), largest=largest, blocks=tuple(ranges))
