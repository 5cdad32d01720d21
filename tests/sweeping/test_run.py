"""Sweeps on a real Ray: killed workers, a killed sweep, failures that stay their own."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from runs import write_recipe

pytest.importorskip("torch")
pytest.importorskip("ray")

import torch
from safetensors.torch import load_file

from edge_fgir.benchmarking import Protocol, WarmUp
from edge_fgir.data import open_data
from edge_fgir.runs import Run
from edge_fgir.sweeping import latency, read_sweep
from edge_fgir.sweeping.cell_run import finished
from edge_fgir.sweeping.cells import Cell, make_cells
from edge_fgir.training import train

pytestmark = pytest.mark.slow

_PATIENCE_S = 900
_ASKED_WITHIN_S = 10
"""Ray's dashboard asks as soon as it runs, and `ray.init` waits until it does."""
_LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
"""127.0.0.1, the same as an IPv6 address, and ::1, as ``/proc/net`` writes them."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Compute here as a worker with one core does."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def write_sweep(folder: Path, photos: Path, **values: Any) -> Path:
    write_recipe(folder / "tiny.yaml", batch_size=24, checkpoint_steps=2)
    path = folder / "sweep.yaml"
    path.write_text(
        yaml.safe_dump({"name": "s", "recipe": "tiny.yaml", "data": str(photos), **values})
    )
    return path


def cells_of(path: Path) -> tuple[Cell, ...]:
    return make_cells(read_sweep(path), path.parent)


def step_of(run: Path) -> int:
    path = Run(run).position
    return json.loads(path.read_text())["step"] if path.exists() else 0


def wait_for(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + _PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return found


def worker_of(cell: Cell) -> int | None:
    """Return the process that Ray runs a cell in; its key is in no other process's name."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(f"ray::{cell.key}".encode()):
                return int(path.parent.name)
        except OSError:
            continue
    return None


def assert_as_undisturbed(cell: Cell, out: Path, photos: Path, whole: Path) -> None:
    train(cell.recipe, open_data(str(photos)), whole)
    name = "weights.safetensors"
    expected, found = load_file(whole / name), load_file(cell.run(out) / name)
    assert all(torch.equal(expected[key], found[key]) for key in expected)


def listening(token: str) -> set[str]:
    """Return the addresses, as Linux writes them, at which this process and a Ray listen.

    The processes of a Ray have its ``token`` in their environment.
    """
    sockets = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            ours = process.name == str(os.getpid())
            if ours or token.encode() in (process / "environ").read_bytes():
                sockets |= {str(link.readlink()) for link in (process / "fd").iterdir()}
        except OSError:  # it has ended
            continue
    tables = "".join(Path(f"/proc/net/{name}").read_text() for name in ("tcp", "tcp6"))
    rows = [line.split() for line in tables.splitlines()]
    return {
        row[1].split(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets
    }


class Proxy(Thread):
    """Stands for the world: notes the addresses that programs ask it for, and has none of them."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.asked: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = "http://127.0.0.1:{1}".format(*self._socket.getsockname())

    def run(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection:
                self.asked.append(connection.recv(4096).decode("latin-1").split("\r\n")[0])
                connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")


class Killer(Thread):
    """Kills the worker of a cell as soon as that has trained four steps more."""

    def __init__(self, cell: Cell, out: Path) -> None:
        super().__init__()
        self.cell, self.run_folder = cell, cell.run(out)
        self.first = step_of(self.run_folder)
        self.killed_at = 0
        self.listening: set[str] = set()

    def run(self) -> None:
        wait_for(lambda: step_of(self.run_folder) >= self.first + 4)
        worker = worker_of(self.cell)
        assert worker is not None
        self.listening = listening(os.environ["RAY_AUTH_TOKEN"])
        os.kill(worker, signal.SIGKILL)
        self.killed_at = step_of(self.run_folder)


def test_a_ray_of_ours_asks_nobody_about_the_machine() -> None:
    world = Proxy()
    world.start()
    code = (
        "import time; from edge_fgir.sweeping import workers; workers._keep_to_this_machine()\n"
        f"import ray; workers._connect(ray, ''); time.sleep({_ASKED_WITHIN_S}); ray.shutdown()"
    )
    asks_it = {"http_proxy": world.address, "https_proxy": world.address, "no_proxy": "127.0.0.1"}
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **asks_it})
    assert world.asked == []


def test_a_killed_sweep_goes_on_and_a_killed_worker_is_replaced(
    photos: Path, tmp_path: Path, run_cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = write_sweep(tmp_path, photos, grid={"epochs": [1, 10]}), tmp_path / "out"
    short, long = cells_of(path)
    command = [sys.executable, "-m", "edge_fgir", "sweep", path, "--out", out]
    with subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL) as sweep:
        result = short.run(out) / "result.json"
        wait_for(lambda: (result.exists() and step_of(long.run(out)) >= 2) or sweep.poll())
        sweep.send_signal(signal.SIGKILL)
    assert sweep.returncode == -signal.SIGKILL
    assert not (long.run(out) / "result.json").exists()
    before = {file: file.stat().st_mtime_ns for file in short.run(out).iterdir()}

    write_sweep(tmp_path, photos, list=[{"epochs": 1}, {"epochs": 10}, {"batch_size": 1000}])
    monkeypatch.setattr(
        latency, "_PROTOCOL", Protocol(runs=100, seconds=0.1, warm_up=WarmUp(least_s=0))
    )
    beside = tmp_path / "photographs"  # modules that lie there are not the workers'
    beside.mkdir()
    for name in ("edge_fgir", "random"):
        (beside / f"{name}.py").write_text(f"open({str(beside / 'imported')!r}, 'w')")
    monkeypatch.chdir(beside)
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    killer = Killer(long, out)
    killer.start()
    done = run_cli("sweep", path, "--out", out, "--json")
    killer.join()
    assert not (beside / "imported").exists()
    assert killer.listening
    assert killer.listening <= _LOOPBACK
    assert killer.first + 4 <= killer.killed_at < 30
    assert done.code == 1
    assert before == {file: file.stat().st_mtime_ns for file in short.run(out).iterdir()}
    cells = done.json["cells"]
    assert [one["status"] for one in cells] == ["finished", "finished", "failed"]
    assert cells[2]["reason"].startswith("train has 72 pictures; expected at least one batch of")
    assert f"{cells[2]['cell']} leaves: batch_size=1000, seed 0: failed: train has" in done.err
    assert (out / "cells" / cells[2]["cell"] / "error.txt").read_text().startswith("Traceback")
    assert short.key not in done.err  # neither run again nor spoken of
    assert "s: cells beside 1 finished before: 2/2" in done.err
    assert done.err.endswith("1 failed; the same command tries them again\n")
    assert all(one["gmacs"] > 0 and one["ms"] > 0 for one in cells[:2])
    assert [one["failed"] for one in done.json["groups"]] == [0, 0, 1]
    assert (out / "report.html").exists()
    assert_as_undisturbed(long, out, photos, tmp_path / "whole")

    # Nothing is left to train: no Ray, no clock.
    write_sweep(tmp_path, photos, list=[{"epochs": 1}, {"epochs": 10}])
    monkeypatch.setattr(latency, "_inference", None)
    done = run_cli("sweep", path, "--out", out)
    assert done.code == 0
    assert done.out.splitlines()[-2:] == ["2 of 2 cells finished", f"report: {out}/report.html"]
    assert "epochs=10" in done.out


def test_a_damaged_result_is_none(photos: Path, tmp_path: Path) -> None:
    (cell,) = cells_of(write_sweep(tmp_path, photos, set={"epochs": 1}))
    result = cell.run(tmp_path) / "result.json"
    result.parent.mkdir(parents=True)
    for content in ('{"split": "te', "{}"):
        result.write_text(content)
        assert finished(cell, tmp_path) is None
