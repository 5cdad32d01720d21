"""The ways to open one bundle, timed in one run."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from edge_fgir.benchmarking.bundle_bench import scope_calls
from edge_fgir.benchmarking.interleaving import interleave
from edge_fgir.benchmarking.protocol import PROBES
from edge_fgir.runtime import Classifier, EngineOptions


def time_side_by_side(
    path: Path | str,
    ways: Mapping[str, EngineOptions],
    scope: str,
    trust: Path | str | None = None,
) -> dict[str, float]:
    """Open a bundle in several ways at once, and let them answer in turns.

    Args:
        path: The bundle's folder or zip.
        ways: How it is opened, by name.
        scope: What is timed: ``network`` or ``frame_to_decision``.
        trust: As of :meth:`~edge_fgir.runtime.Classifier.open`.

    Returns:
        Milliseconds by name, in the order of ``ways``.
    """
    with ExitStack() as opened:
        calls = {}
        for name, options in ways.items():
            model = opened.enter_context(Classifier.open(path, options, trust))
            calls[name] = scope_calls(model)[scope]
        timed = interleave(calls, PROBES)
    return {name: 1e3 * timed[name].seconds for name in ways}
