"""The TensorRT builder in a process of its own.

A builder takes gigabytes, which CPU and GPU of a Jetson share. Its process gives them back, and
when the system kills it for want of memory, the caller lives on to say so.
"""

from __future__ import annotations

import ctypes
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from tempfile import TemporaryFile
from threading import Lock
from typing import IO, Any

from edge_fgir._errors import EdgeFgirError, GateError
from edge_fgir.runtime.runtimes.tensorrt.build import Report, Step, Timings, build_plan

# The caller's import path: what it finds, its builder finds.
_START = (
    "import sys; channel, sys.path[:] = sys.argv[1], sys.argv[2:]; "
    "from edge_fgir.runtime.runtimes.tensorrt.process import serve; serve(int(channel))"
)
_PR_SET_PDEATHSIG = 1


def build_apart(onnx: bytes, workspace_mb: int, timings: Timings, report: Report) -> bytes:
    """Build a plan with ``tensorrt`` in another process.

    Args:
        onnx: The model file.
        workspace_mb: Upper bound of the builder's scratch memory, MiB.
        timings: Of earlier builds; brought up to date.
        report: Called at every step of the build.

    Raises:
        GateError: TensorRT refuses the graph; the text is its own.
        EdgeFgirError: The process was killed or crashed.
    """
    with TemporaryFile() as output, _builder(output) as (process, channel):

        @contextmanager
        def alive() -> Iterator[None]:
            try:
                yield
            except (EOFError, OSError):
                raise EdgeFgirError(_last_words(process.wait(), output, workspace_mb)) from None

        with alive():
            for part in (json.dumps(workspace_mb).encode(), onnx, timings.data):
                channel.send_bytes(part)
        while True:
            with alive():
                answer = json.loads(channel.recv_bytes())
            if "step" not in answer:
                break
            report(Step(*answer["step"]))
        if "error" in answer:
            raise GateError(answer["error"])
        with alive():
            plan, timings.data = channel.recv_bytes(), channel.recv_bytes()
    return plan


@contextmanager
def _builder(output: IO[bytes]) -> Iterator[tuple[subprocess.Popen[bytes], Connection]]:
    """Start the process, and end it with the block: TensorRT has nothing to say in farewell."""
    ours, theirs = Pipe()
    channel = theirs.fileno()
    with ours:
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-c", _START, str(channel), *sys.path],
                pass_fds=[channel],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            yield process, ours
        finally:
            process.kill()
            process.wait()


def _last_words(code: int, output: IO[bytes], workspace_mb: int) -> str:
    if code == -signal.SIGKILL:
        return (
            "the TensorRT builder was killed (SIGKILL), most likely for want of memory; expected "
            f"room for the model and {workspace_mb} MiB of workspace; close other programs or add "
            "swap, then try again"
        )
    output.seek(0)
    lines = output.read().decode(errors="replace").splitlines()
    reason = next((line.strip() for line in reversed(lines) if line.strip()), "no reason given")
    ended = f"exit code {code}"
    with suppress(ValueError):
        ended = signal.Signals(-code).name
    return f"the TensorRT builder crashed ({ended}): {reason}; expected an engine; try again"


def serve(channel: int) -> None:
    """Build what the caller asks for; runs in the builder's process."""
    _die_with_parent()
    lock = Lock()
    with Connection(channel) as caller:

        def tell(answer: dict[str, Any], *data: bytes) -> None:
            with lock:  # TensorRT reports from several threads
                for part in (json.dumps(answer).encode(), *data):
                    caller.send_bytes(part)

        workspace_mb = json.loads(caller.recv_bytes())
        onnx, timings = caller.recv_bytes(), Timings(caller.recv_bytes())
        try:
            import tensorrt

            plan = build_plan(
                tensorrt,
                onnx,
                workspace_mb=workspace_mb,
                timings=timings,
                report=lambda step: tell({"step": step}),
            )
        except GateError as error:
            tell({"error": str(error)})
        else:
            tell({}, plan, timings.data)


def _die_with_parent() -> None:
    """Ask Linux to kill this process when its caller is gone, however that ended."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
