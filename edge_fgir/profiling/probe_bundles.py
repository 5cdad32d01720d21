"""Bundles of probes, built side by side: an export keeps no more than one core busy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import joblib
import onnx
from joblib.externals.loky.process_executor import TerminatedWorkerError

from edge_fgir._errors import EdgeFgirError
from edge_fgir._files import sha256
from edge_fgir._progress import progress
from edge_fgir.benchmarking import environment
from edge_fgir.exporting import Target, timing_graph, write_timing_bundle
from edge_fgir.runs import TrainedModel
from edge_fgir.runtime import Bundle, Precision

_MOST_WORKERS, _WORKER_MB = 4, 4000
_DIGITS = 16


def build_probes(
    described: Sequence[TrainedModel],
    target: Target,
    precision: Precision,
    graphs: Path,
    out: Path,
) -> list[Bundle]:
    """Write one bundle a model that is only timed.

    Args:
        described: The models, each at its own setting.
        target: How the device runs them.
        precision: One of the target's.
        graphs: Folder of float graphs that are there already; it grows. All precisions of a target
            have the same.
        out: Folder of the bundles.

    Raises:
        InputError: A library of the export is missing.
        GateError: The target's builder refuses a graph.
    """
    paths = [out / f"{number}.fgir" for number in range(len(described))]
    tasks = [
        partial(_build, each, target, precision, graphs, path)
        for each, path in zip(described, paths, strict=True)
    ]
    side_by_side(f"probes for {target.name} {precision}", tasks)
    return [Bundle(path) for path in paths]


def side_by_side(title: str, tasks: Sequence[Callable[[], None]]) -> None:
    """Run exports in as many processes as cores and memory allow.

    Raises:
        EdgeFgirError: One of the processes was killed, as where memory runs out.
    """
    workers = joblib.Parallel(n_jobs=_workers(len(tasks)), return_as="generator")
    with progress(title, len(tasks)) as meter:
        try:
            for _ in workers(joblib.delayed(task)() for task in tasks):
                meter.advance()
        except TerminatedWorkerError as error:
            raise EdgeFgirError(
                f"{title}: a process that exports was killed, as happens where memory runs out; "
                "free some, and start the same command again (fit: with --resume)"
            ) from error


def _build(
    described: TrainedModel, target: Target, precision: Precision, graphs: Path, out: Path
) -> None:
    graph = graphs / f"{sha256(described.model_dump_json().encode())[:_DIGITS]}.onnx"
    if not graph.exists():
        onnx.save(timing_graph(described, target), graph)
    write_timing_bundle(described, target, precision, onnx.load(graph), out)


def _workers(tasks: int) -> int:
    room = (environment().memory_mb or 0) // _WORKER_MB
    return max(min(int(joblib.cpu_count()), room, tasks, _MOST_WORKERS), 1)
