"""The process's one OpenVINO core."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def openvino_core() -> Any:
    """Return the process's ``openvino.Core``, which is made once and never destroyed.

    Every core's CPU plugin gives the thread an alternate signal stack and takes it away in its
    destructor. Cores that end in the order they began leave the thread with a stack that is no
    longer mapped, and the next signal (Ctrl-C, the end of a child process) kills the process
    (OpenVINO's ``SigAltStackSetup``, openvinotoolkit/openvino pull request 11894).

    Raises:
        ImportError: OpenVINO is not installed.
    """
    import openvino as ov

    return ov.Core()
