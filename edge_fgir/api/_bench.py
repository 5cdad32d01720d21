"""Measuring a bundle's latency here, or on a machine that is reached by ssh."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge_fgir._errors import InputError
from edge_fgir.benchmarking import (
    Baseline,
    BenchMode,
    RemoteDevice,
    check_bench,
    compare_runtimes,
    compare_variants,
    with_fastest,
)
from edge_fgir.benchmarking import bench as bench_bundle
from edge_fgir.results import Latency
from edge_fgir.runtime import AUTO, Bundle, Classifier, Device, EngineOptions, find_runtime


def bench(
    bundle: Path | str,
    *,
    seconds: float | None = None,
    mode: BenchMode = "burst",
    fps: float | None = None,
    device: Device | EngineOptions = AUTO,
    trust: Path | str | None = None,
    host: str | None = None,
    baseline: Baseline | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Latency:
    """Measure how fast a bundle answers, as ``edge-fgir bench`` does.

    Of a bundle with files for several runtimes, those that are installed are compared first; the
    fastest is measured, and opened on that machine from then on, if no device, threads or precision
    is asked for. Of one with variants, all are compared from frame to decision, and the first is
    measured.

    Example::

        import edge_fgir as ef

        latency = ef.bench("birds.fgir", mode="quick")
        print(latency.scopes.network.p50_ms, latency.p99_ms, latency.uncertified_because)

    Args:
        bundle: The bundle's folder or zip.
        seconds: Measuring time of each scope; None: 10, and 600 in mode ``sustained``.
        mode: ``burst``, ``sustained`` (frames back to back, until heat shows) or ``quick``.
        fps: Frames arrive at this rate; not with mode ``sustained``.
        device: Where the bundle answers: ``auto`` is its own runtime's first choice. Options say
            more (threads, precision, runtime, variant); with ``host`` a device alone.
        trust: PEM file with the public key that must have signed it.
        host: ``[user@]host[:port]`` of another machine, reached by ssh; None: this one.
        baseline: A call to be measured in the same run; not with ``host``.
        tell: Gets lines about the connection to ``host``.

    Raises:
        InputError: The bundle cannot run there, or the machine cannot be reached; or there is no
            such mode, rate or time.
    """
    check_bench(mode, fps, seconds)
    options = EngineOptions(device) if isinstance(device, str) else device
    if host is None:
        compared = compare_runtimes(bundle, options, trust)
        options = with_fastest(options, compared)
        variants = compare_variants(bundle, options, trust)
        with Classifier.open(bundle, options, trust) as model:
            return bench_bundle(
                model,
                seconds=seconds,
                mode=mode,
                fps=fps,
                baseline=baseline,
                runtimes_ms=compared,
                variants_ms=variants,
            )
    if options != EngineOptions(options.device):
        raise InputError(
            f"threads, a precision, a runtime or a variant with host {host}",
            "a device alone, for a bench over ssh",
        )
    opened = Bundle(bundle, trust)
    runtimes = [find_runtime(name) for name in opened.manifest.runtimes]
    with RemoteDevice(host, runtimes, tell, options.device) as remote:
        found = remote.bench(opened, seconds=seconds, mode=mode, fps=fps)
        # The copy that was measured had a path of its own.
        return found.model_copy(update={"host": remote.name, "bundle": str(opened.path)})
