"""The measuring worker: a process that opens bundles, times them, and answers in JSON.

The same worker runs here and on a device behind ssh. It imports nothing from the folder that it
happens to be started in.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack

from edge_fgir._errors import EdgeFgirError, InputError
from edge_fgir.benchmarking.bundle_bench import FRAME, NETWORK, bench, scope_calls
from edge_fgir.benchmarking.compared_runtimes import compare_runtimes, with_fastest
from edge_fgir.benchmarking.compared_variants import compare_variants
from edge_fgir.benchmarking.environment import environment
from edge_fgir.benchmarking.interleaving import interleave
from edge_fgir.benchmarking.messages import (
    MOST_BYTES,
    Answer,
    BenchBundle,
    Benched,
    Failed,
    Identified,
    Identify,
    TimeBundles,
    Timing,
    Timings,
    read_request,
)
from edge_fgir.runtime import Classifier, EngineOptions

START = (
    "import sys; root = sys.argv.pop(); sys.path[:] = filter(None, sys.path); "
    "sys.path[:0] = [root] * (root not in sys.path); "
    "from edge_fgir.benchmarking.worker import main; main()"
)
"""For ``python -c``, with the folder that holds this package as its argument.

Python before 3.11 has no ``-P``: the working folder, '' on the path, is taken off here.
"""


def main() -> None:
    """Read a request from standard input, and write the answer to standard output."""
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)  # what a library prints must not get between
        try:
            reply = answer(sys.stdin.buffer.read(MOST_BYTES))
        except KeyboardInterrupt:
            sys.exit(130)
        out.write(reply.model_dump_json().encode())


def answer(text: bytes) -> Answer | Failed:
    """Do what a request says.

    Args:
        text: The request as JSON.
    """
    try:
        request = read_request(text)
        if isinstance(request, Identify):
            return Identified(environment=environment())
        return _time(request) if isinstance(request, TimeBundles) else _bench(request)
    except EdgeFgirError as error:
        return Failed(text=str(error), is_input=isinstance(error, InputError))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return Failed(text=f"{where}{error.strerror or error}", is_input=True)


def _time(request: TimeBundles) -> Timings:
    with ExitStack() as opened:
        calls = {}
        for number, path in enumerate(request.bundles):
            model = opened.enter_context(Classifier.open(path, request.device))
            for scope, call in scope_calls(model).items():
                calls[f"{number} {scope}"] = call
        # Frames only tell what comes on top of the network.
        timed = interleave(calls, request.protocol, brief=[name for name in calls if FRAME in name])
    timings = []
    for number in range(len(request.bundles)):
        network, frame = (timed[f"{number} {scope}"] for scope in (NETWORK, FRAME))
        timings.append(
            Timing(
                network_ms=1e3 * network.seconds,
                frame_ms=1e3 * frame.seconds,
                tail=frame.tail,
                disturbed=network.disturbed,
            )
        )
    return Timings(environment=environment(), timings=tuple(timings))


def _bench(request: BenchBundle) -> Benched:
    (path,) = request.bundles
    options = EngineOptions(request.device)
    compared = compare_runtimes(path, options)
    options = with_fastest(options, compared)
    variants = compare_variants(path, options)
    with Classifier.open(path, options) as model:
        latency = bench(
            model,
            seconds=request.seconds,
            mode=request.mode,
            fps=request.fps,
            protocol=request.protocol,
            runtimes_ms=compared,
            variants_ms=variants,
        )
    return Benched(latency=latency)
