"""How long each variant of a bundle takes: they are timed side by side."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from edge_fgir.benchmarking.bundle_bench import FRAME, scope_calls
from edge_fgir.benchmarking.interleaving import interleave
from edge_fgir.benchmarking.protocol import PROBES
from edge_fgir.runtime import Bundle, Classifier, EngineOptions


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
    with ExitStack() as opened:
        calls = {}
        for name in names:
            asked = replace(options, variant=name)
            model = opened.enter_context(Classifier.open(path, asked, trust))
            calls[name] = scope_calls(model)[FRAME]
        timed = interleave(calls, PROBES)
    return {name: 1e3 * timed[name].seconds for name in names}
