"""Limits on work with a stranger's model: one line, whatever the process is busy with."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_fgir._limits import limited

pytestmark = pytest.mark.unit

ENDLESS = "while True: pass"
# One call that holds Python's lock for minutes.
LOCKED = "sum(range(10**12))"
HUNGRY = "kept = []\n    while True: kept.append(bytearray(1 << 24))"


@pytest.mark.parametrize(
    ("work", "limit"), [(ENDLESS, "0.5 s"), (LOCKED, "0.5 s"), (HUNGRY, "200 MiB")]
)
def test_what_would_not_end_is_ended(work: str, limit: str) -> None:
    seconds = 0.5 if limit.endswith("s") else 60
    program = (
        "from edge_fgir._limits import limited\n"
        f"with limited('bundle x', {seconds}, 200):\n    {work}\n"
    )
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == -9
    assert done.stderr == f"error: bundle x takes more than {limit}; do not use it\n"
    assert time.monotonic() - began < 50


def test_what_ends_in_time_is_left_alone() -> None:
    with limited("it", 0.3):
        pass
    time.sleep(0.5)  # a watcher that went on would have killed these tests


def test_verify_works_under_limits(run_cli: Callable[..., Any], tiny_bundle: Path) -> None:
    assert run_cli("verify", tiny_bundle).code == 0


def test_where_no_process_can_be_started_it_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", "/dev/null")
    done = []
    with limited("bundle x"):
        done.append(True)
    assert done
    assert "bundle x is looked at without limits" in capsys.readouterr().err
