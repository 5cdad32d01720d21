"""Measuring over ssh, by a real sshd here, which has a home folder and a python3 of its own."""

from __future__ import annotations

import asyncio
import gc
import getpass
import inspect
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from bundles import zip_bundle
from interrupts import hears_interrupts

from edge_fgir._errors import EdgeFgirError, InputError
from edge_fgir._text import printable
from edge_fgir.benchmarking import (
    Protocol,
    RemoteDevice,
    StoppingRule,
    WarmUp,
    environment,
    remote,
    remote_agent,
    remote_link,
)
from edge_fgir.benchmarking.remote_files import pack_bundle, pack_code
from edge_fgir.benchmarking.remote_link import Host, Link
from edge_fgir.results import Latency, read_result
from edge_fgir.runtime import Bundle, find_runtime

ROOT = Path(__file__).parents[2]
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
LOOPBACK = "127.0.0.1"
NEEDS_SSHD = pytest.mark.skipif(SSHD is None, reason="sshd is not installed (openssh-server)")


class Device:
    """An sshd and what it serves; ``home`` is the user's there, ``client`` the user's here."""

    def __init__(self, folder: Path) -> None:
        asyncssh = pytest.importorskip("asyncssh")
        self.home, self.client, self._folder = folder / "device", folder / "client", folder
        self.library, self.bin = self.home / "library", self.home / "bin"
        for part in (self.library, self.bin, self.client / ".ssh"):
            part.mkdir(parents=True)
        self.python = self.bin / "python3"
        self.python.write_text(
            f"#!/bin/sh\nPYTHONPATH='{self.library}' exec '{sys.executable}' \"$@\"\n"
        )
        self.python.chmod(0o755)
        # What the device has of us must not be what runs.
        (self.library / "edge_fgir.py").write_text("raise ImportError('the one of the device')")
        host_key, user_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
        self._write(folder / "host_key", host_key.export_private_key())
        self._write(self.client / ".ssh" / "id_ed25519", user_key.export_private_key())
        self._write(folder / "authorized_keys", user_key.export_public_key())
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            self.port = probe.getsockname()[1]
        self.host = f"{getpass.getuser()}@{LOOPBACK}:{self.port}"
        self.known_hosts = self.client / ".ssh" / "known_hosts"
        self.know(host_key)
        self._sshd: subprocess.Popen[bytes] | None = None

    @staticmethod
    def _write(file: Path, data: bytes) -> None:
        file.write_bytes(data)
        file.chmod(0o600)

    def know(self, key: object) -> None:
        public = key.export_public_key().decode()  # type: ignore[attr-defined]
        self.known_hosts.write_text(f"[{LOOPBACK}]:{self.port} {public}")

    def forbid(self) -> None:
        (self._folder / "authorized_keys").write_text("")

    def customize(self, code: str) -> None:
        """Run ``code`` at the start of each of the device's Pythons."""
        (self.library / "sitecustomize.py").write_text(code)

    def start(self) -> None:
        config = self._folder / "sshd_config"
        config.write_text(
            f"Port {self.port}\nListenAddress {LOOPBACK}\nHostKey {self._folder / 'host_key'}\n"
            f"AuthorizedKeysFile {self._folder / 'authorized_keys'}\nPidFile none\nUsePAM no\n"
            "StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            f"PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n"
            f"SetEnv HOME={self.home} PATH={self.bin} OMP_NUM_THREADS=1\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        with (self._folder / "sshd.log").open("ab") as log:
            self._sshd = subprocess.Popen([str(SSHD), "-D", "-e", "-f", config], stderr=log)
        _until(self._listens)

    def _listens(self) -> bool:
        assert self._sshd is not None
        log = (self._folder / "sshd.log").read_text(errors="replace")
        assert self._sshd.poll() is None, log
        with socket.socket() as probe:
            return probe.connect_ex((LOOPBACK, self.port)) == 0

    def cut(self) -> None:
        """Kill the processes of all sessions; the listening one goes on."""
        assert self._sshd is not None
        children = Path(f"/proc/{self._sshd.pid}/task/{self._sshd.pid}/children").read_text()
        for child in children.split():
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)

    def stop(self) -> None:
        if self._sshd is not None and self._sshd.poll() is None:
            # First, so that it cannot answer again.
            os.kill(self._sshd.pid, signal.SIGSTOP)
            self.cut()
            self._sshd.kill()
            self._sshd.wait()

    def folders(self) -> list[Path]:
        return sorted((self.home / ".cache" / "edge-fgir-remote").glob("*"))

    def group(self) -> int:
        """The process group of the one job; 0 before it runs."""
        for file in (file for folder in self.folders() for file in folder.glob("*/pid")):
            group = int(file.read_text() or 0) if file.exists() else 0
            return group if _alive(group) else 0
        return 0


def _until(done: Callable[[], object]) -> None:
    """Wait for ``done``, as long as a very busy machine may take."""
    for _ in range(6000):
        if done():
            return
        time.sleep(0.02)
    pytest.fail("it did not happen")


def _alive(group: int) -> list[str]:
    """The processes of a group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, number = stat.read_text().rpartition(")")[2].split()[:3]
            if int(number) == group and state != "Z":
                found.append(stat.parent.name)
    return found


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    made = Device(tmp_path)
    monkeypatch.setenv("HOME", str(made.client))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setattr(remote, "_LOOK_S", 0.05)
    made.start()
    yield made
    made.stop()
    for folder in made.folders():
        remote_agent.finish(str(folder))


def one_line(done: object) -> str:
    """The error of a command that says nothing else."""
    assert done.code != 0  # type: ignore[attr-defined]
    assert done.err.count("\n") == 1, done.err  # type: ignore[attr-defined]
    return done.err  # type: ignore[attr-defined]


@NEEDS_SSHD
@pytest.mark.slow
def test_a_whole_bench_comes_back(device, arm_bundle, run_cli, tmp_path):
    out = tmp_path / "latency.json"
    done = run_cli(
        *("bench", arm_bundle, "--host", device.host, "--seconds", 0.1, "--json", "--out", out)
    )
    assert done.code == 0, done.err
    assert {"p50_ms", "p90_ms", "p99_ms", "n", "certified", "scope", "environment"} <= set(
        done.json
    )
    assert done.json["host"] == f"{LOOPBACK}:{device.port}"
    assert done.json["engine"].startswith("onnxruntime")
    assert read_result(out, Latency).to_dict() == done.json
    assert done.json["bundle"] == str(arm_bundle)
    assert device.folders() == []
    lines = done.err.splitlines()
    assert all(line.startswith(f"{LOOPBACK}:{device.port}: ") for line in lines)
    assert any("measuring: " in line for line in lines)


@NEEDS_SSHD
@pytest.mark.slow
def test_the_environment_is_that_of_the_device(device, arm_bundle, run_cli, tmp_path):
    device.customize("import platform\nplatform.platform = lambda: 'the board'\n")
    out = tmp_path / "latency.json"
    done = run_cli("bench", arm_bundle, "--host", device.host, "--seconds", 0.1, "--out", out)
    assert done.code == 0, done.err
    assert "frame_to_decision: p50" in done.out
    assert read_result(out, Latency).environment.system == "the board"


@NEEDS_SSHD
@pytest.mark.slow
def test_no_name_reaches_a_shell(device, arm_bundle, run_cli, tmp_path):
    odd = zip_bundle(arm_bundle, tmp_path / 'it\'s "a" $(touch bird) `touch b`; touch c.zip')
    done = run_cli("bench", odd, "--host", device.host, "--seconds", 0.1, "--json")
    assert done.code == 0, done.err
    assert done.json["name"] == "arm.fgir"
    assert device.folders() == []


@NEEDS_SSHD
@pytest.mark.slow
def test_the_devices_error_is_ours(device, arm_bundle, run_cli):
    done = run_cli("bench", arm_bundle, "--host", device.host, "--device", "npu")
    assert done.code == 2
    assert done.err.splitlines()[-1].startswith(f"error: {LOOPBACK}:{device.port}: ")
    assert "npu" in done.err.splitlines()[-1]
    assert device.folders() == []


SHORT = Protocol(
    rounds=2, runs=2, seconds=0, warm_up=WarmUp(least_s=0, most_s=0.02), stop=StoppingRule(most=2)
)
# Into a file: whose turn it is, by the place of its model among those that were opened.
TURNS = """
import sys
if "-c" in sys.orig_argv:
    from edge_fgir.runtime import Classifier
    known, opened = Classifier.infer, []
    def infer(self, batch):
        if self not in opened:
            opened.append(self)
        with open("{file}", "a") as out:
            out.write(str(opened.index(self)))
        return known(self, batch)
    Classifier.infer = infer
"""


def remote_device(device: Device, said: list[str]) -> RemoteDevice:
    return RemoteDevice(device.host, [find_runtime("onnxruntime")], said.append)


@NEEDS_SSHD
@pytest.mark.slow
def test_a_session_copies_the_package_once_and_times_bundles_in_turns(
    device, arm_bundle, tmp_path, monkeypatch
):
    sent, started = [], []
    send, ask = remote_link.Link.send, remote_link.Link.ask

    async def counted_send(self, file, path):
        sent.append(file.name)
        await send(self, file, path)

    async def counted_ask(self, action, **values):
        started.append(action)
        return await ask(self, action, **values)

    monkeypatch.setattr(remote_link.Link, "send", counted_send)
    monkeypatch.setattr(remote_link.Link, "ask", counted_ask)
    bundles, said = [Bundle(arm_bundle)] * 3, []
    turns = tmp_path / "turns"
    with remote_device(device, said) as opened:
        (folder,) = device.folders()
        # Our package is not on the device's own path: the worker's code is made to tell.
        worker = folder / "code" / "edge_fgir" / "benchmarking" / "worker.py"
        text = worker.read_text().replace("def main() -> None:", "def main() -> None:\n    tell()")
        worker.write_text(
            f"{text}\n\ndef tell():\n"
            + "".join(f"    {line}\n" for line in TURNS.format(file=turns).strip().splitlines())
        )
        assert opened.identity.processor == environment().processor
        assert set(opened.versions) >= {"onnxruntime"}
        for _ in range(2):
            timings = opened.time(bundles, SHORT)
            assert [timing.network_ms > 0 for timing in timings] == [True] * 3
        found = opened.bench(bundles[0], seconds=0.1, mode="quick")
        assert found.name == "arm.fgir"
        assert device.folders() == [folder]
        assert [each.name for each in folder.iterdir() if each.name.isdigit()] == []
    assert device.folders() == []
    assert sent == ["code.zip", *["0.zip", "1.zip", "2.zip"] * 2, "0.zip"]
    assert started.count("prepare") == started.count("identify") == 1
    assert started.count("run") == 3
    # Each round: the networks one after another, one run to warm the caches and one that counts.
    assert "001122001122" in turns.read_text()


@NEEDS_SSHD
@pytest.mark.slow
@pytest.mark.export
def test_a_whole_profile_is_one_session(device, photos, tiny_run, tmp_path, monkeypatch):
    from edge_fgir.data import open_data
    from edge_fgir.exporting import read_target
    from edge_fgir.profiling import Budget, DeviceRef, Request, finalists, fit, profile
    from edge_fgir.results import Profile

    monkeypatch.setattr(fit, "choose_probes", lambda works, load, count: range(len(works)))
    monkeypatch.setattr(finalists, "AT_ONCE", 1)
    sent, send = [], remote_link.Link.send

    async def counted(self, file, path):
        sent.append(file.name)
        await send(self, file, path)

    monkeypatch.setattr(remote_link.Link, "send", counted)
    run = shutil.copytree(tiny_run, tmp_path / "run")
    asked = Request(
        runs=(run,),
        data=open_data(str(photos)),
        target=read_target("arm"),
        device=DeviceRef.parse(device.host),
        budget=Budget(latency_ms=1000),
        sizes=(32, 48),
        probing=SHORT,
        benching=Protocol(runs=20, seconds=0.1, warm_up=WarmUp(least_s=0, most_s=0.05)),
    )
    said = []
    plan = profile(asked, tmp_path / "plan.json", tell_device=said.append)
    assert plan.chosen.measured
    assert plan.device == device.host
    # The package, two probes in each of two precisions, and one finalist.
    assert sent == ["code.zip", "0.zip", "1.zip", "0.zip", "1.zip", "0.zip"]
    assert device.folders() == []
    models = read_result(tmp_path / "plan.profile.json", Profile).runs[0].models
    assert {model.precision for model in models} == {"int8", "fp32"}
    assert all(line.startswith(f"{LOOPBACK}:{device.port}: ") for line in said)


@NEEDS_SSHD
@pytest.mark.slow
def test_a_device_is_refused_before_anything_is_built(device, photos, tiny_run, tmp_path, run_cli):
    device.customize("import sys\nsys.modules['onnxruntime'] = None\n")
    done = run_cli(
        *("profile", tiny_run, "--data", photos, "--device", device.host, "--target", "arm"),
        *("--latency-ms", 5, "--out", tmp_path / "plan.json"),
    )
    assert "cannot import onnxruntime" in one_line(done)
    assert not (tiny_run / "profile").exists()


@NEEDS_SSHD
@pytest.mark.slow
@pytest.mark.parametrize(
    ("reply", "place"),
    [
        ("{'running': False}", "python"),
        ("{'python': '3' * 1000, 'missing': [], 'folder': None}", "python"),
        ("{'python': '3', 'missing': 7, 'folder': None}", "missing"),
        ("[]", ""),
    ],
)
def test_a_reply_that_breaks_the_schema_is_refused(device, reply, place):
    device.customize(
        "import json, sys\n"
        f"if '-' in sys.orig_argv: print(json.dumps({reply})); sys.stdout.flush(); "
        "__import__('os')._exit(0)\n"
    )
    with pytest.raises(EdgeFgirError, match=f"its reply breaks the schema at {place}"):
        remote_device(device, []).open()


@NEEDS_SSHD
@pytest.mark.slow
@pytest.mark.parametrize("known", ["nothing", "another key"])
def test_a_host_key_that_is_not_known_is_refused(device, arm_bundle, run_cli, known):
    import asyncssh

    if known == "nothing":
        device.known_hosts.unlink()
    else:
        device.know(asyncssh.generate_private_key("ssh-ed25519"))
    # A configuration that would turn the check off, for ssh and for asyncssh.
    (device.client / ".ssh" / "config").write_text(
        "StrictHostKeyChecking no\nUserKnownHostsFile none\n"
    )
    line = one_line(run_cli("bench", arm_bundle, "--host", device.host))
    assert "host key" in line
    assert f"add it, once: ssh -p {device.port} {getpass.getuser()}@{LOOPBACK}" in line
    assert device.folders() == []


@NEEDS_SSHD
@pytest.mark.slow
@pytest.mark.parametrize("names", [("openvino", "onnxruntime"), ("onnxruntime", "openvino")])
def test_one_of_a_bundles_runtimes_is_enough(device, names):
    device.customize("import sys\nsys.modules['openvino'] = None\n")
    runtimes = [find_runtime(name) for name in names]
    with RemoteDevice(device.host, runtimes, [].append) as opened:
        assert "onnxruntime" in opened.versions
    lacking = RemoteDevice(device.host, [find_runtime("openvino")], [].append)
    with pytest.raises(InputError, match="cannot import openvino;"), lacking:
        pass


@NEEDS_SSHD
@pytest.mark.slow
def test_without_a_key_no_password_is_asked_for(device, arm_bundle, run_cli):
    device.forbid()
    line = one_line(run_cli("bench", arm_bundle, "--host", device.host))
    assert "accepts none of your ssh keys" in line
    assert "ssh-copy-id" in line


@NEEDS_SSHD
@pytest.mark.slow
def test_a_closed_port_is_one_line(device, arm_bundle, run_cli):
    device.stop()
    line = one_line(run_cli("bench", arm_bundle, "--host", device.host))
    assert "cannot be reached" in line
    assert f"try: ssh -p {device.port}" in line


@NEEDS_SSHD
@pytest.mark.slow
def test_what_the_device_lacks_is_named(device, arm_bundle, run_cli):
    device.customize("import sys\nsys.modules['onnxruntime'] = sys.modules['yaml'] = None\n")
    line = one_line(run_cli("bench", arm_bundle, "--host", device.host))
    assert "cannot import yaml, onnxruntime" in line
    assert "run there: python3 -m pip install pyyaml onnxruntime" in line
    assert device.folders() == []


@NEEDS_SSHD
@pytest.mark.slow
def test_an_old_python_is_named(device, arm_bundle, run_cli):
    device.customize("import sys\nsys.version_info = (3, 8, 10)\n")
    line = one_line(run_cli("bench", arm_bundle, "--host", device.host))
    assert "python3 (3.8.10) is too old; expected 3.10 or newer" in line


@NEEDS_SSHD
@pytest.mark.slow
def test_no_python_is_said(device, arm_bundle, run_cli):
    device.python.unlink()
    line = one_line(run_cli("bench", arm_bundle, "--host", device.host))
    assert "has no python3" in line


@NEEDS_SSHD
@pytest.mark.slow
def test_a_crash_of_the_bench_is_said(device, arm_bundle, run_cli):
    device.customize("import os, sys\nif '-c' in sys.orig_argv: os.kill(os.getpid(), 9)\n")
    done = run_cli("bench", arm_bundle, "--host", device.host)
    assert done.code == 1
    assert "the worker ended with code -9" in done.err.splitlines()[-1]
    assert device.folders() == []


@NEEDS_SSHD
@pytest.mark.slow
def test_a_copy_that_fails_is_said(device, arm_bundle, run_cli):
    device.customize("import tempfile\ntempfile.mkdtemp = lambda **_: '/nowhere/to/be/found'\n")
    done = run_cli("bench", arm_bundle, "--host", device.host)
    assert done.code == 1
    assert done.err.splitlines()[-1].endswith("No such file")


@NEEDS_SSHD
@pytest.mark.slow
def test_a_cut_connection_is_made_again(device, arm_bundle, run_cli):
    def cut() -> None:
        _until(device.group)
        device.cut()

    cutter = Thread(target=cut)
    cutter.start()
    done = run_cli("bench", arm_bundle, "--host", device.host, "--seconds", 0.1, "--json")
    cutter.join()
    assert done.code == 0, done.err
    assert done.err.count("connection lost; trying again for 5 minutes") == 1
    assert done.err.count("connected again") == 1
    assert done.err.count("started") == 1
    assert done.json["n"] >= 1000
    assert device.folders() == []


@NEEDS_SSHD
@pytest.mark.slow
def test_a_connection_that_stays_away_ends_it(device, arm_bundle, run_cli, monkeypatch):
    monkeypatch.setattr(remote_link, "PATIENCE_S", 1.0)

    def stop() -> None:
        _until(device.group)
        device.stop()

    stopper = Thread(target=stop)
    stopper.start()
    done = run_cli("bench", arm_bundle, "--host", device.host, "--seconds", 5)
    stopper.join()
    assert done.code == 1
    assert "the connection did not come back" in done.err.splitlines()[-1]
    (folder,) = device.folders()
    assert f"{folder} could not be removed; in a day, the next session" in done.err
    assert remote_agent.running(str(folder))["running"]


@NEEDS_SSHD
@pytest.mark.slow
def test_a_read_that_is_cancelled_says_nothing_afterwards(device, tmp_path, caplog):
    (tmp_path / "empty").touch()
    link = Link(Host.parse(device.host), print)

    async def read_and_cancel() -> None:
        await link.open()
        for wait_s in np.arange(0, 0.01, 0.0002):
            reading = asyncio.ensure_future(link.read(str(tmp_path / "empty")))
            await asyncio.sleep(wait_s)
            reading.cancel()
        await link.close()

    asyncio.run(read_and_cancel())
    gc.collect()
    assert [one.message for one in caplog.records if one.levelname == "ERROR"] == []


@NEEDS_SSHD
@pytest.mark.slow
def test_an_interrupt_stops_the_bench_there(device, arm_bundle):
    client = subprocess.Popen(
        [
            *(sys.executable, "-m", "edge_fgir", "bench", arm_bundle),
            *("--host", device.host, "--seconds", "600"),
        ],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hears_interrupts,
    )
    assert client.stderr is not None
    assert any(line.endswith(": started\n") for line in client.stderr)
    _until(device.group)
    group = device.group()
    client.send_signal(signal.SIGINT)
    _, said = client.communicate()
    assert client.returncode == 130
    assert "Traceback" not in said
    assert device.folders() == []
    assert not _alive(group)


@NEEDS_SSHD
@pytest.mark.slow
def test_a_bench_that_was_killed_is_noticed(device, arm_bundle, run_cli, monkeypatch):
    monkeypatch.setattr(remote, "_SILENCE_S", 0.5)

    def kill() -> None:
        _until(device.group)
        os.killpg(device.group(), signal.SIGKILL)

    killer = Thread(target=kill)
    killer.start()
    done = run_cli("bench", arm_bundle, "--host", device.host, "--seconds", 5)
    killer.join()
    assert done.code == 1
    assert "the worker was ended from outside" in done.err.splitlines()[-1]
    assert device.folders() == []


@pytest.mark.unit
def test_only_old_folders_that_nothing_runs_in_go(tmp_path, monkeypatch):
    monkeypatch.setattr(remote_agent, "_ROOT", tmp_path)
    for name, hours in (("old", 25), ("young", 23), ("running", 25)):
        (tmp_path / name / "1").mkdir(parents=True)
        if name == "running":
            lock = (tmp_path / name / "1" / "pid").open("w")
            remote_agent.fcntl.flock(lock, remote_agent.fcntl.LOCK_EX)  # type: ignore[attr-defined]
        past = time.time() - 3600 * hours
        os.utime(tmp_path / name, (past, past))
    with lock:
        found = remote_agent.prepare([3, 10], ["json"], ["json"])
    names = {folder.name for folder in tmp_path.iterdir()} - {Path(found["folder"]).name}
    assert names == {"young", "running"}
    assert Path(found["folder"]).stat().st_mode & 0o077 == 0


@pytest.mark.unit
def test_looking_for_libraries_sends_nothing():
    sender = "openvino_telemetry"
    request = {"action": "prepare", "oldest": [3, 10], "modules": [sender], "libraries": ["json"]}
    code = f"{inspect.getsource(remote_agent)}\nanswer({json.dumps(request)!r})\n"
    done = subprocess.run(
        [sys.executable, "-"], input=code, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1])["missing"] == [sender]


@pytest.mark.unit
def test_files_that_arrive_damaged_start_nothing(tmp_path):
    (tmp_path / "0.zip").write_bytes(b"whole")
    (tmp_path / "1.zip").write_bytes(b"half")
    seals = {"0.zip": remote_agent.seal(tmp_path / "0.zip"), "1.zip": [5, "0" * 64]}
    assert remote_agent.run(str(tmp_path), seals, "", "") == {"damaged": ["1.zip"]}
    assert not (tmp_path / "pid").exists()


@pytest.mark.unit
def test_what_is_copied_is_what_the_wheel_holds(tmp_path):
    builder = pytest.importorskip("hatchling.builders.wheel").WheelBuilder(str(ROOT))
    wheel = next(builder.build(directory=str(tmp_path), versions=["standard"]))
    pack_code(tmp_path / "checkout.zip")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    code = "import sys, pathlib; from edge_fgir.benchmarking.remote_files import pack_code; "
    code += "pack_code(pathlib.Path(sys.argv[1]))"
    subprocess.run(
        [sys.executable, "-c", code, tmp_path / "installed.zip"],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
        check=True,
    )
    files = []
    for path in (wheel, tmp_path / "checkout.zip", tmp_path / "installed.zip"):
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if n.startswith("edge_fgir/")]
            files.append({name: archive.read(name) for name in names})
    assert "edge_fgir/_data/devices/raspberry-pi-5.yaml" in files[0]
    assert files[0] == files[1] == files[2]


@pytest.mark.unit
def test_the_copy_of_a_bundle_is_the_bundle(arm_bundle, tmp_path):
    pack_bundle(Bundle(arm_bundle), tmp_path / "copy.zip")
    copy = Bundle(tmp_path / "copy.zip")
    assert copy.manifest == Bundle(arm_bundle).manifest
    assert all(copy.read(entry.path) for entry in copy.manifest.files)


@pytest.mark.unit
@pytest.mark.parametrize(
    ("text", "host", "by_hand"),
    [
        ("jetson", Host("jetson"), "ssh jetson"),
        ("me@jetson.local:2222", Host("jetson.local", "me", 2222), "ssh -p 2222 me@jetson.local"),
        ("me@[fe80::1]:22", Host("fe80::1", "me", 22), "ssh -p 22 me@fe80::1"),
    ],
)
def test_hosts(text, host, by_hand):
    assert Host.parse(text) == host
    assert host.by_hand == by_hand
    assert str(host) == text.removeprefix("me@")


@pytest.mark.unit
@pytest.mark.parametrize(
    "text", ["", "-oProxyCommand=x", "a b", "a@b@c", "jetson:", "jetson:0", "jetson:70000", "a;b"]
)
def test_what_is_no_host(text):
    with pytest.raises(InputError, match="expected user@host or user@host:port"):
        Host.parse(text)


@pytest.mark.unit
def test_what_a_device_says_does_nothing_to_the_terminal():
    assert printable("\x1b[2J5 of 40 – µs\r") == "\\x1b[2J5 of 40 – µs\\r"


@pytest.mark.unit
def test_the_extra_is_named_where_it_is_missing(arm_bundle, run_cli, monkeypatch):
    monkeypatch.setattr(remote_link, "find_spec", lambda _: None)
    line = one_line(run_cli("bench", arm_bundle, "--host", "jetson"))
    assert 'pip install "edge-fgir[remote]"' in line


@pytest.mark.unit
def test_a_run_here_is_not_measured_there(arm_bundle, run_cli):
    line = one_line(run_cli("bench", arm_bundle, "--host", "jetson", "--against", "runs/a"))
    assert "--against runs/a with --host" in line
