"""No library that we start sends anything: seen from outside, where native code cannot hide."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# ONNX Runtime looks its host up after ten seconds.
LIBRARIES = """
import sys, time
import edge_fgir
start = time.monotonic()
for name in sys.argv[1].split(","):
    __import__(name)
time.sleep(max(0, float(sys.argv[2]) - (time.monotonic() - start)))
"""


def run(tmp_path: Path, names: str, seconds: float, *before: str) -> set[str]:
    """Import libraries after ``edge_fgir`` and return what is in the user's folders afterwards."""
    home = tmp_path / "home"
    home.mkdir()
    # Without the variables that tests and CI machines set, as on a user's machine.
    keep = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")
    environment = {name: os.environ[name] for name in keep if name in os.environ}
    environment |= {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}
    code = [sys.executable, "-c", LIBRARIES, names, str(seconds)]
    subprocess.run([*before, *code], env=environment, check=True, capture_output=True)
    return {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_library_leaves_no_device_id_in_the_users_folders(tmp_path: Path, name) -> None:
    pytest.importorskip(name)
    assert run(tmp_path, name, 0) == set()


def test_no_library_looks_up_or_connects_to_another_machine(tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    names = ("onnxruntime", "openvino", "nncf")
    for name in names:
        pytest.importorskip(name)
    calls = tmp_path / "calls.txt"
    trace = ("-f", "--seccomp-bpf", "-e", "trace=connect,sendto,sendmsg,sendmmsg")
    run(tmp_path, ",".join(names), 12, strace, *trace, "-o", str(calls))
    sent = [line for line in calls.read_text().splitlines() if re.search("AF_INET|send", line)]
    assert sent == []
