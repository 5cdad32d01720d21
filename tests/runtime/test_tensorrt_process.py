"""The TensorRT builder in a process of its own, and all the ways in which that can end."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from bundles import make_bundle
from jetson import STAND_INS

from edge_fgir import EdgeFgirError, GateError
from edge_fgir.runtime import Bundle
from edge_fgir.runtime.runtimes.tensorrt.build import Step, Timings
from edge_fgir.runtime.runtimes.tensorrt.plan import device_plan
from edge_fgir.runtime.runtimes.tensorrt.process import build_apart

pytestmark = pytest.mark.export


@pytest.fixture
def bundle(jetson_bundle) -> Bundle:
    return Bundle(jetson_bundle)


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "cache" / "edge-fgir"


def kept(folder: Path) -> set[str]:
    """What is in the cache, but for the lock."""
    return {path.name for path in folder.iterdir()} - {"build.lock"}


def test_plan_and_timings_come_back(pretended):
    timings, steps = Timings(b"timings of 10.3.0, some"), []
    assert build_apart(b"onnx", 48, timings, steps.append) == b"plan of 10.3.0"
    assert timings.data == b"timings of 10.3.0, more"
    assert pretended.builds == [
        {"limits": {"workspace": 48 << 20}, "timings": "timings of 10.3.0, some"}
    ]
    assert steps[:3] == [
        Step("Building", None, 0, 2),
        Step("Timing kernels", "Building", 0, 3),
        Step("Timing kernels", "Building", 1, 3),
    ]
    assert steps[-1] == Step("Building", None, 2, 2)


@pytest.mark.parametrize(
    ("end", "kind", "text"),
    [
        (
            "killed",
            EdgeFgirError,
            r"builder was killed \(SIGKILL\), most likely for want of memory; expected room for "
            r"the model and 64 MiB of workspace; close other programs or add swap",
        ),
        ("crash", EdgeFgirError, r"the TensorRT builder crashed \(SIGSEGV\): "),
        ("raise", EdgeFgirError, r"crashed \(exit code 1\): RuntimeError: no such function; "),
        (
            "refuse",
            GateError,
            r"TensorRT 10\.3\.0 cannot build the graph \(workspace 64 MiB\): Could",
        ),
    ],
)
def test_a_build_that_ends_badly_is_one_line_and_leaves_nothing(
    pretended, bundle, folder, end, kind, text
):
    pretended(end=end)
    with pytest.raises(EdgeFgirError, match=text) as caught:
        device_plan(bundle)
    assert type(caught.value) is kind
    assert len(str(caught.value).splitlines()) == 1
    assert caught.value.exit_code == 1
    assert kept(folder) == set()
    pretended(end="")
    assert device_plan(bundle).built


def test_a_library_that_writes_to_the_screen_disturbs_nothing(pretended, bundle, capfd):
    pretended(end="noise")
    assert device_plan(bundle).plan == b"plan of 10.3.0"
    assert "a library of TensorRT's" not in "".join(capfd.readouterr())


def running(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


@pytest.fixture
def builders(monkeypatch) -> list[int]:
    """The ids of the builders' processes, a list that grows."""
    started: list[int] = []
    popen = subprocess.Popen

    def start(*arguments, **options):
        process = popen(*arguments, **options)
        started.append(process.pid)
        return process

    monkeypatch.setattr(subprocess, "Popen", start)
    return started


def test_an_interrupted_build_takes_its_process_along(pretended, builders):
    def interrupt(step: Step) -> None:
        raise KeyboardInterrupt

    pretended(end="60")
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        build_apart(b"onnx", 64, Timings(), interrupt)
    assert time.monotonic() - start < 30
    assert len(builders) == 1
    assert not running(builders[0])


def wait_until(true: Callable[[], object]) -> None:
    for _ in range(600):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("waited for 30 s")


def builder_of(pid: int) -> int:
    """Wait until process ``pid`` has a child, and return it."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    wait_until(children.read_text)
    return int(children.read_text().split()[0])


BUILD = textwrap.dedent(
    """
    import sys
    sys.path[:0] = sys.argv[1:3]
    from jetson import FakeCuda
    from edge_fgir.cli import main
    from edge_fgir.runtime.runtimes.tensorrt import cuda
    cuda.Cuda = FakeCuda
    main(["build", sys.argv[3], "--json"])
    """
)


def start_build(bundle: Bundle) -> subprocess.Popen[str]:
    """Run ``edge-fgir build`` in a process of its own, with pretended TensorRT and CUDA."""
    return subprocess.Popen(
        [sys.executable, "-c", BUILD, STAND_INS.parent, STAND_INS / "pretended", bundle.path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_builder_does_not_outlive_a_killed_caller(pretended, bundle, folder):
    pretended(end="60")
    with start_build(bundle) as caller:
        builder = builder_of(caller.pid)
        wait_until(lambda: pretended.started)
        caller.kill()
    wait_until(lambda: not running(builder))
    assert kept(folder) == set()
    pretended(end="")
    assert device_plan(bundle).built


def test_a_builder_killed_from_outside_is_one_line_of_the_command(pretended, bundle, folder):
    pretended(end="60")
    with start_build(bundle) as command:
        builder = builder_of(command.pid)
        wait_until(lambda: pretended.started)
        os.kill(builder, 9)
        out, err = command.communicate(timeout=60)
    assert (command.returncode, out) == (1, "")
    (line,) = (line for line in err.splitlines() if line.startswith("error: "))
    assert line.startswith("error: the TensorRT builder was killed (SIGKILL), most likely")
    assert err.splitlines()[-1] == line
    assert kept(folder) == set()


def test_of_two_processes_one_builds_and_the_other_waits(pretended, bundle):
    pretended(end="1.5")
    with start_build(bundle) as one, start_build(bundle) as other:
        answers = [json.loads(process.communicate(timeout=60)[0]) for process in (one, other)]
    assert sorted(answer["state"] for answer in answers) == ["built", "reused"]
    assert len(pretended.builds) == 1


# For real, by TensorRT-RTX.


def test_a_real_builder_works_in_a_process_of_its_own(rtx, bundle, builders, folder, capsys):
    first = device_plan(bundle)
    assert first.built
    assert len(first.plan) > 1000
    assert first.path.read_bytes() == first.plan
    assert len(builders) == 1
    assert not running(builders[0])
    assert re.search(r": \d+/\d+, \d:\d\d elapsed", capsys.readouterr().err)
    assert device_plan(bundle).plan == first.plan
    assert len(builders) == 1


def test_a_graph_that_a_real_builder_refuses_leaves_nothing(rtx, tmp_path, folder):
    graph = b":\x02\x12\x00"  # one without nodes
    path = make_bundle(tmp_path / "x.fgir", target="jetson", replaced={"model.onnx": graph})
    with pytest.raises(GateError, match=r"cannot build the graph .*at least one output"):
        device_plan(Bundle(path))
    assert kept(folder) == set()
