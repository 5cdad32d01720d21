"""``bench``: how fast a bundle answers on this machine, and whether the figures can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Final, Literal, NamedTuple, get_args

import numpy as np

from edge_fgir import results
from edge_fgir._errors import InputError
from edge_fgir.benchmarking.certificate import BOUNDS, objections
from edge_fgir.benchmarking.conditions import Conditions
from edge_fgir.benchmarking.environment import environment
from edge_fgir.benchmarking.fixed_rate import FixedRateRun, check_rate, run_at_fixed_rate
from edge_fgir.benchmarking.power import energy, find_meter, idle, metered
from edge_fgir.benchmarking.preconditions import preconditions
from edge_fgir.benchmarking.protocol import (
    BENCH,
    Call,
    Protocol,
    Runs,
    WarmUp,
    percentiles,
    time_runs,
)
from edge_fgir.benchmarking.sustained import Sustained, sustain
from edge_fgir.benchmarking.watch import Watcher
from edge_fgir.results import Latency, Percentiles, Scopes
from edge_fgir.runtime import Classifier
from edge_fgir.runtime.machine import HERE, System, kilobytes_to_mb

FRAME_SIZE = (480, 640)
"""Height and width of the camera frame in scope ``frame_to_decision``, pixels."""
NETWORK, FRAME = "network", "frame_to_decision"

BenchMode = Literal["burst", "sustained", "quick"]
SECONDS: dict[BenchMode, float] = {"burst": 10.0, "sustained": 600.0, "quick": 2.0}
"""Measuring time where none is given."""
FIXED_RATE: Final = "fixed_rate"
"""The mode that a result with frames on a clock has."""
PROTOCOLS: dict[BenchMode, Protocol] = {
    "burst": BENCH,
    "sustained": BENCH,
    "quick": Protocol(runs=80, seconds=2.0, warm_up=WarmUp(least_s=0.3, most_s=1.0)),
}
"""How the two scopes are measured, both repeats together."""

_MOST_SECONDS = 1_000_000
_REPEATS = 2
_NO_ENERGY = "in burst mode two scopes take turns: --mode sustained and --fps measure energy"


class Baseline(NamedTuple):
    """Something to measure in the same run as a bundle, such as the network in torch."""

    name: str
    call: Call


def bench(
    model: Classifier,
    *,
    seconds: float | None = None,
    mode: BenchMode = "burst",
    fps: float | None = None,
    baseline: Baseline | None = None,
    protocol: Protocol | None = None,
    runtimes_ms: Mapping[str, float] | None = None,
    variants_ms: Mapping[str, float] | None = None,
    system: System = HERE,
) -> Latency:
    """Measure a bundle in two scopes, and then as the mode has it.

    ``network`` is the compiled model alone; ``frame_to_decision`` starts with a decoded 640 x 480
    BGR frame and ends with the label. Both are measured interleaved, in two repeats. Then mode
    ``sustained`` answers frames back to back, and ``fps`` answers them as a camera brings them;
    these two measure energy, where a meter can be read.

    Args:
        model: An open bundle.
        seconds: Measuring time, at least: of each scope in mode ``burst``, else of the frames,
            before which the scopes take ten seconds at most. By default as ``SECONDS`` says.
        mode: ``burst``: the scopes alone; ``quick``: the same with few runs, never certified.
        fps: Frames a second; not with mode ``sustained``.
        baseline: Something to measure beside the scopes.
        protocol: How the scopes are measured; by default as ``PROTOCOLS`` says.
        runtimes_ms: What the runtimes that the bundle has files for took, if they were compared.
        variants_ms: What the bundle's variants took, if they were compared.
        system: Where sensors are looked for.

    Returns:
        The figures of ``frame_to_decision``: over all runs, in the last tenth of the sustained
        time, or from each frame's arrival; and those of both scopes.

    Raises:
        InputError: As :func:`check_bench`.
    """
    check_bench(mode, fps, seconds)
    seconds = SECONDS[mode] if seconds is None else seconds
    protocol = PROTOCOLS[mode] if protocol is None else protocol
    calls = scope_calls(model)
    frames = _frames(calls[FRAME], mode, fps, seconds)
    scopes_s = seconds if frames is None else min(seconds, protocol.seconds)
    repeat = protocol.model_copy(
        update={"runs": -(-protocol.runs // _REPEATS), "seconds": scopes_s / _REPEATS}
    )
    if baseline is not None:
        calls[baseline.name] = baseline.call

    before = preconditions(system)
    meter = find_meter(system) if frames else _NO_ENERGY
    resting = idle(meter)
    conditions = Conditions(system)
    with Watcher(conditions.sample) as watcher:
        repeats = [time_runs(calls, repeat) for _ in range(_REPEATS)]
        answered, busy = metered(meter, frames or _nothing)
    # The largest resident set of this process so far, before the summary takes some.
    peak = kilobytes_to_mb(system.field("proc/self/status", "VmHWM"))
    others = _others(baseline, runtimes_ms, variants_ms)
    memory = None if others else peak

    runs = {name: [each[name] for each in repeats] for name in calls}
    latencies = {name: _together(both) for name, both in runs.items()}
    medians = {name: _medians(both) for name, both in runs.items()}
    if answered is not None:
        medians[FIXED_RATE if fps is not None else mode] = answered.medians
    against = objections(conditions, watcher, medians, quick=mode == "quick")
    return Latency(
        **model.info,
        **dict(latencies[FRAME] if answered is None else answered.latency),
        model_bytes=model.bundle.model_size,
        mode=FIXED_RATE if fps is not None else mode,
        certified=not against,
        uncertified_because=against,
        certified_if=BOUNDS,
        scopes=Scopes(network=latencies[NETWORK], frame_to_decision=latencies[FRAME]),
        repeats_p50_ms=medians,
        runtimes_ms=dict(runtimes_ms) if runtimes_ms else None,
        variants_ms=dict(variants_ms) if variants_ms else None,
        sustained=answered.result if isinstance(answered, Sustained) else None,
        fixed_rate=answered.result if isinstance(answered, FixedRateRun) else None,
        baseline=None
        if baseline is None
        else results.Baseline(
            **dict(latencies[baseline.name]),
            name=baseline.name,
            times_slower=latencies[baseline.name].p50_ms / latencies[NETWORK].p50_ms,
        ),
        energy=energy(meter, resting, busy, answered.answered if answered is not None else 0),
        peak_memory_mb=memory,
        peak_memory_note=others or ("" if memory else "the system does not tell"),
        preconditions=before,
        watch=conditions.watch(watcher.died),
        environment=environment(system),
    )


def check_bench(mode: BenchMode, fps: float | None, seconds: float | None) -> None:
    """Refuse a bench that cannot be, before anything is measured; see :func:`bench`.

    Raises:
        InputError: There is no such mode, rate or time, or the mode does not go with ``fps``.
    """
    if mode not in get_args(BenchMode):
        raise InputError(f"mode {mode}", f"one of {', '.join(get_args(BenchMode))}")
    if fps is not None and mode != "burst":
        raise InputError(f"frames a second in mode {mode}", "one of the two", "leave one out")
    if fps is not None:
        check_rate(fps)
    if seconds is not None and not 0 < seconds <= _MOST_SECONDS:
        raise InputError(f"{seconds:g} seconds", f"a number above 0, at most {_MOST_SECONDS}")


def scope_calls(model: Classifier) -> dict[str, Call]:
    """Return what is measured of an open bundle, by scope."""
    random = np.random.default_rng(0)
    frame = random.integers(0, 256, (*FRAME_SIZE, 3), dtype=np.uint8)
    batch = model.prepare(frame)[None]
    return {NETWORK: lambda: model.infer(batch), FRAME: lambda: model(frame)}


def _frames(
    decide: Call, mode: BenchMode, fps: float | None, seconds: float
) -> Callable[[], Sustained | FixedRateRun] | None:
    if fps is not None:
        return partial(run_at_fixed_rate, decide, fps, seconds)
    return partial(sustain, decide, seconds) if mode == "sustained" else None


def _nothing() -> None:
    pass


def _together(repeats: Sequence[Runs]) -> Percentiles:
    seconds = chain.from_iterable(each.seconds for each in repeats)
    return percentiles(list(seconds), steady=all(each.steady for each in repeats))


def _medians(repeats: Sequence[Runs]) -> tuple[float, float] | None:
    first, second = (float(np.median(each.seconds) * 1e3) for each in repeats)
    return first, second


def _others(
    baseline: Baseline | None,
    runtimes_ms: Mapping[str, float] | None,
    variants_ms: Mapping[str, float] | None,
) -> str:
    """Return what else took memory of this process, in words; '' where nothing did."""
    if baseline is not None:
        return f"{baseline.name} is in the same process"
    if runtimes_ms:
        return "its runtimes were compared in the same process; choose one with --runtime"
    if variants_ms:
        return "its variants were compared in the same process; choose one with --variant"
    return ""
