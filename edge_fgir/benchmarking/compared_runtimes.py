"""Which runtime is fastest for a bundle that has files for several: they are timed side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edge_fgir.benchmarking.bundle_bench import NETWORK
from edge_fgir.benchmarking.side_by_side import time_side_by_side
from edge_fgir.runtime import Bundle, EngineOptions
from edge_fgir.runtime.runtimes import remember_runtimes, runtimes_here


def compare_runtimes(
    path: Path | str, options: EngineOptions, trust: Path | str | None = None
) -> dict[str, float]:
    """Time a bundle's network in each of its runtimes that is installed here.

    What is found is kept, so that whoever opens the bundle on this machine gets the fastest; not
    where a device, threads or a precision were asked for, as another one may be fastest without.

    Args:
        path: The bundle's folder or zip.
        options: How it is opened.
        trust: As of :meth:`~edge_fgir.runtime.Classifier.open`.

    Returns:
        Milliseconds by runtime; empty where there is no choice.
    """
    bundle = Bundle(path, trust)
    names = runtimes_here(bundle, options)
    if options.runtime is not None or len(names) < 2:
        return {}
    ways = {name: replace(options, runtime=name) for name in names}
    found = time_side_by_side(path, ways, NETWORK, trust)
    if options == EngineOptions():
        remember_runtimes(bundle, found)
    return found


def with_fastest(options: EngineOptions, found: dict[str, float]) -> EngineOptions:
    """Return options that ask for the fastest of the runtimes that were compared, if any were."""
    return replace(options, runtime=min(found, key=found.__getitem__)) if found else options
