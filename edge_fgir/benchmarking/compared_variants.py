"""How long each variant of a bundle takes: they are timed side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edge_fgir.benchmarking.bundle_bench import FRAME
from edge_fgir.benchmarking.side_by_side import time_side_by_side
from edge_fgir.runtime import Bundle, EngineOptions


def compare_variants(
    path: Path | str, options: EngineOptions, trust: Path | str | None = None
) -> dict[str, float]:
    """Time a bundle's variants from frame to decision, which is what a device has to keep up with.

    Args:
        path: The bundle's folder or zip.
        options: How it is opened.
        trust: As of :meth:`~edge_fgir.runtime.Classifier.open`.

    Returns:
        Milliseconds by variant, the best first; empty where there is one alone, or one was asked
        for.
    """
    names = Bundle(path, trust).manifest.variant_names
    if options.variant is not None or len(names) == 1:
        return {}
    ways = {name: replace(options, variant=name) for name in names}
    return time_side_by_side(path, ways, FRAME, trust)
