"""A sweep, from its file to its result: finished cells are kept, the others are trained."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from edge_fgir._errors import InputError
from edge_fgir._progress import progress
from edge_fgir.reporting import write_report
from edge_fgir.results import Sweep
from edge_fgir.sweeping.cell_run import Outcome, finished
from edge_fgir.sweeping.cells import CELLS, make_cells
from edge_fgir.sweeping.latency import NOT_TIMED, NetworkTimer
from edge_fgir.sweeping.summary import summary
from edge_fgir.sweeping.sweep import read_sweep
from edge_fgir.sweeping.workers import outcomes

RESULT = "sweep.json"
REPORT = "report.html"


def run_sweep(
    path: Path,
    out: Path,
    *,
    address: str = "",
    latency: bool = True,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> Sweep:
    """Train every unfinished cell of a sweep, time the networks, and write the result.

    Args:
        path: The sweep file.
        out: Its folder: ``cells/``, ``latency.json`` and ``sweep.json``.
        address: Of a Ray cluster; empty: this machine alone.
        latency: Time the networks on this machine.
        on_outcome: Called with the outcome of each cell as it ends.

    Returns:
        The ``sweep`` result.

    Raises:
        InputError: The file has an error, in which case nothing is started, or ``out`` is not the
            folder of a sweep.
    """
    sweep = read_sweep(path)
    out = out.resolve()
    if out.exists() and any(out.iterdir()) and not (out / CELLS).is_dir():
        raise InputError(
            f"{out} is not empty and not the folder of a sweep (it has no {CELLS})",
            "a new folder, or that of an earlier call",
            "choose another --out",
        )
    cells = make_cells(sweep, path.resolve().parent)
    results = {cell.key: finished(cell, out) for cell in cells}
    ended = {cell.key: Outcome(cell, result) for cell in cells if (result := results[cell.key])}
    missing = [cell for cell in cells if cell.key not in ended]
    if missing:
        title = f"{sweep.name}: cells"
        if ended:
            title += f" beside {len(ended)} finished before"
        work = outcomes(missing, out, cpus=sweep.cpus, gpus=sweep.gpus, address=address)
        with progress(title, len(missing)) as meter, closing(work):
            for outcome in work:
                ended[outcome.cell.key] = outcome
                on_outcome(outcome)
                failed = sum(each.result is None for each in ended.values())
                meter.advance(note=f"{failed} failed" if failed else "")
    trained = [cell for cell in cells if ended[cell.key].result is not None]
    times = (
        NetworkTimer(out).measure([cell.run(out) for cell in trained])
        if latency
        else [NOT_TIMED] * len(trained)
    )
    by_cell = {cell.key: each for cell, each in zip(trained, times, strict=True)}
    whole = summary(sweep, [ended[cell.key] for cell in cells], by_cell)
    whole.write(out / RESULT)
    write_report([out / RESULT], out / REPORT)
    return whole
