"""Runs cells with Ray, on the cores of this machine or on a cluster."""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_fgir._errors import InputError
from edge_fgir.sweeping.cell_run import Outcome, attempt, reason_of
from edge_fgir.sweeping.cells import Cell

_RETRIES = 2
"""How often a cell is resumed after its worker died."""

_REACH_S = 10.0

_PACKAGE_PARENT = Path(__file__).resolve().parents[2]

_OBJECT_STORE_BYTES = 128 * 2**20
"""Cells are sent as recipes and return numbers; by default Ray reserves 30 % of the memory."""


def outcomes(
    cells: Sequence[Cell], out: Path, *, cpus: int, gpus: float, address: str = ""
) -> Generator[Outcome, None, None]:
    """Run cells on Ray and yield each outcome as soon as a cell ends.

    Args:
        cells: What to train.
        out: Folder of the sweep, which all machines can reach under this path.
        cpus: Cores for each cell.
        gpus: GPUs for each cell.
        address: Of a Ray cluster; if empty, Ray is started on this machine and stopped at the end.

    Raises:
        InputError: The cluster cannot be reached, or no machine is large enough for a cell.
    """
    if address:
        _check_reachable(address)
    else:
        _keep_to_this_machine()
    import ray
    from ray.exceptions import RayError

    _connect(ray, address)
    try:
        _check_resources(ray.nodes(), cpus, gpus)
        task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=_RETRIES)(_work)
        waiting = {task.options(name=cell.key).remote(cell, out): cell for cell in cells}
        while waiting:
            (ended, *_), _ = ray.wait(list(waiting))
            cell = waiting.pop(ended)
            try:
                yield ray.get(ended)
            except RayError as error:
                yield Outcome(cell, None, reason_of(error))
    finally:
        ray.shutdown()


def _work(cell: Cell, out: Path) -> Outcome:
    import ray

    if not ray.get_gpu_ids():
        # Ray hides no GPU from a task that asked for none.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    return attempt(cell, out)


def _keep_to_this_machine() -> None:
    """Let a local Ray listen on the loopback interface alone, and ask for a random token.

    Ray binds to all interfaces unless its node's address is 127.0.0.1, and puts the machine's own
    in the place of that one in `ray.init`. The variable, which Ray reads while it is imported, is
    its switch for a Ray that takes in no other machine. Other users of this one lack the token,
    without which Ray would write one into the user's home folder. The oldest version that is
    installed with us asks for it by default; earlier ones do not, or know none.
    """
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    from ray._private import ray_constants

    ray_constants.ENABLE_RAY_CLUSTER = False  # a program may have imported Ray before


def _check_reachable(address: str) -> None:
    """Raise InputError unless something listens at ``host:port``; Ray retries for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host, int(port)), timeout=_REACH_S).close()
    except (OSError, ValueError) as error:
        raise InputError(
            f"--address {address}: {reason_of(error)}",
            "host:port of a Ray cluster",
            "start one on its first machine: ray start --head",
        ) from error


def _connect(ray: Any, address: str) -> None:
    local = {} if address else {"object_store_memory": _OBJECT_STORE_BYTES}
    try:
        with _in_folder(_PACKAGE_PARENT), _without_dashboard():
            ray.init(
                address=address or "local",
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                **local,
            )
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = f"--address {address}" if address else "Ray on this machine"
        raise InputError(
            f"{where}: {reason_of(error)}", "a Ray cluster of this version that answers"
        ) from error


@contextmanager
def _without_dashboard() -> Iterator[None]:
    """Let Ray start no process of its dashboard.

    ``include_dashboard=False`` alone still starts a small one for reports of usage. Even where
    these are off, it asks the addresses at which clouds tell of a machine (169.254.169.254,
    metadata.google.internal). Ray goes on without it, as where it could not be started.
    """
    from ray._private import services

    start = services.start_api_server
    services.start_api_server = lambda *args, **options: (None, None)
    try:
        yield
    finally:
        services.start_api_server = start


@contextmanager
def _in_folder(folder: Path) -> Iterator[None]:
    """Work in a folder: Ray's workers import from the one it is started in before all others.

    What lies beside the user's photographs, an ``edge_fgir.py`` say, is no module of ours. Cells
    name their files by absolute paths.
    """
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _check_resources(nodes: Sequence[dict[str, Any]], cpus: int, gpus: float) -> None:
    """Raise InputError if no machine is large enough, so that a cell would wait for ever."""
    machines = [node["Resources"] for node in nodes if node["Alive"]]
    sizes = [(one.get("CPU", 0.0), one.get("GPU", 0.0)) for one in machines]
    if not any(cpus <= most_cpus and gpus <= most_gpus for most_cpus, most_gpus in sizes):
        have = " or ".join(f"{c:g} cpus and {g:g} gpus" for c, g in sorted(set(sizes)))
        raise InputError(
            f"a cell asks for {cpus} cpus and {gpus:g} gpus; the largest machine has {have}",
            "cells that fit one machine",
            "change cpus and gpus of the sweep file",
        )
