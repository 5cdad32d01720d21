"""``bench``: how fast a bundle answers on this machine, and whether the figures can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from typing import Any, Literal, get_args

import numpy as np

from edge_fgir._errors import InputError
from edge_fgir.benchmarking.certificate import certify
from edge_fgir.benchmarking.conditions import Conditions
from edge_fgir.benchmarking.memory import peak_memory_mb
from edge_fgir.benchmarking.pace import Pace, keep_pace
from edge_fgir.benchmarking.power import energy, find_meter, idle, metered
from edge_fgir.benchmarking.preconditions import preconditions
from edge_fgir.benchmarking.protocol import Call, Latency, Runs, time_runs
from edge_fgir.benchmarking.sustained import Sustained, sustain
from edge_fgir.benchmarking.sysfs import HERE, System
from edge_fgir.benchmarking.watch import Watcher
from edge_fgir.runtime import Classifier

FRAME_SIZE = (480, 640)
"""Height and width of the camera frame in scope ``frame_to_decision``, pixels."""
NETWORK, FRAME = "network", "frame_to_decision"

Mode = Literal["burst", "sustained", "glance"]
SECONDS: dict[Mode, float] = {"burst": 10.0, "sustained": 600.0, "glance": 2.0}
"""Measuring time where none is given."""
FIXED_RATE = "fixed_rate"
"""The mode that a result with frames on a clock has."""

_REPEATS, _MIN_RUNS = 2, 1000
_GLANCE_RUNS, _GLANCE_WARM_UP_S = 80, 1.0
_NO_ENERGY = "in burst mode two scopes take turns: --mode sustained and --fps measure energy"


def bench(
    model: Classifier,
    *,
    seconds: float | None = None,
    mode: Mode = "burst",
    fps: float | None = None,
    rival: tuple[str, Call] | None = None,
    system: System = HERE,
) -> dict[str, Any]:
    """Measure a bundle in two scopes, and then as the mode has it.

    ``network`` is the compiled model alone; ``frame_to_decision`` starts with a decoded 640 x 480
    BGR frame and ends with the label. Both are measured interleaved, in two repeats. Then mode
    ``sustained`` answers frames back to back, and ``fps`` answers them as a camera brings them;
    these two measure energy, where a meter can be read.

    Args:
        model: An open bundle.
        seconds: Measuring time, at least: of each scope in mode ``burst``, else of the frames,
            before which the scopes take ten seconds at most. By default as ``SECONDS`` says.
        mode: ``burst``: the scopes alone; ``glance``: so, with few runs, and never certified.
        fps: Frames a second; not with mode ``sustained``.
        rival: Name and call of something to measure beside the scopes (the torch model, say).
        system: Where sensors are looked for.

    Returns:
        The body of a ``latency`` result. Its top level is ``frame_to_decision``: over all runs, in
        the last tenth of the sustained time, or from each frame's arrival.

    Raises:
        InputError: The mode is none of ours, or does not go with ``fps``.
    """
    if mode not in get_args(Mode):
        raise InputError(f"mode {mode}", f"one of {', '.join(get_args(Mode))}")
    if fps is not None and mode != "burst":
        raise InputError(f"frames a second in mode {mode}", "one of the two", "leave one out")
    seconds = SECONDS[mode] if seconds is None else seconds
    calls = scope_calls(model)
    work = _work(calls[FRAME], mode, fps, seconds)
    if rival is not None:
        calls[rival[0]] = rival[1]

    before = preconditions(system)
    meter = find_meter(system) if work else _NO_ENERGY
    resting = idle(meter)
    conditions = Conditions(system)
    with Watcher(conditions.sample) as watcher:
        repeats = [_repeat(calls, min(seconds, SECONDS["burst"]), mode) for _ in range(_REPEATS)]
        found, busy = metered(meter, work or _nothing)
    memory = _memory(system, rival)  # before the summary takes some

    runs = {name: [one[name] for one in repeats] for name in calls}
    latencies = {name: _together(ones) for name, ones in runs.items()}
    medians = {name: _medians(ones) for name, ones in runs.items()}
    kind = FIXED_RATE if fps is not None else mode
    if found is not None:
        medians[kind] = found.medians
    top = found.latency if found is not None else latencies[FRAME]
    body = {
        **model.info,
        "model_bytes": model.bundle.model_size,
        "mode": kind,
        "scope": FRAME,
        **top.to_dict(),
        **certify(conditions, watcher, medians, glanced=mode == "glance").to_dict(),
        "scopes": {name: latencies[name].to_dict() for name in (NETWORK, FRAME)},
        "repeats_p50_ms": medians,
    }
    if found is not None:
        body[kind] = found.to_dict()
    if rival is not None:
        beside = latencies[rival[0]]
        slower = beside.p50_ms / latencies[NETWORK].p50_ms
        body["rival"] = {"name": rival[0], **beside.to_dict(), "times_slower": slower}
    return {
        **body,
        "energy": energy(meter, resting, busy, found.answered if found is not None else 0),
        **memory,
        "preconditions": before,
        "watch": {**conditions.to_dict(), "died": watcher.died},
    }


def scope_calls(model: Classifier) -> dict[str, Call]:
    """Return what is measured of an open bundle, by scope."""
    random = np.random.default_rng(0)
    frame = random.integers(0, 256, (*FRAME_SIZE, 3), dtype=np.uint8)
    batch = model.prepare(frame)[None]
    return {NETWORK: lambda: model.infer(batch), FRAME: lambda: model(frame)}


def _work(
    decide: Call, mode: Mode, fps: float | None, seconds: float
) -> Callable[[], Sustained | Pace] | None:
    if fps is not None:
        return partial(keep_pace, decide, fps, seconds)
    return partial(sustain, decide, seconds) if mode == "sustained" else None


def _nothing() -> None:
    pass


def _repeat(calls: dict[str, Call], seconds: float, mode: Mode) -> dict[str, Runs]:
    glance = mode == "glance"
    return time_runs(
        calls,
        seconds=seconds / _REPEATS,
        min_runs=(_GLANCE_RUNS if glance else _MIN_RUNS) // _REPEATS,
        most_warm_up_s=_GLANCE_WARM_UP_S if glance else None,
    )


def _together(repeats: Sequence[Runs]) -> Latency:
    seconds = chain.from_iterable(one.seconds for one in repeats)
    return Latency.of(list(seconds), steady=all(one.steady for one in repeats))


def _medians(repeats: Sequence[Runs]) -> tuple[float, float] | None:
    first, second = (float(np.median(one.seconds) * 1e3) for one in repeats)
    return first, second


def _memory(system: System, rival: tuple[str, Call] | None) -> dict[str, Any]:
    if rival is not None:
        return {"peak_memory_mb": None, "peak_memory_note": f"{rival[0]} is in the same process"}
    peak = peak_memory_mb(system)
    return {"peak_memory_mb": peak, "peak_memory_note": "" if peak else "the system does not tell"}
