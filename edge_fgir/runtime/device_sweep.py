"""A bundle on every device that its runtime tells: each in a process of its own.

A driver that crashes takes its process along, one that hangs is ended, and one that answers
something else (numbers that are none, say) is not believed. None of them ends the sweep.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from edge_fgir._errors import InputError
from edge_fgir._files import scratch
from edge_fgir._limits import SECONDS
from edge_fgir.runtime.bundle import Bundle
from edge_fgir.runtime.evidence import DeviceEvidence, Evidence, Setting
from edge_fgir.runtime.runtimes import EngineOptions, RuntimeSpec, find_runtime, runtimes_here

_LOG = logging.getLogger("edge_fgir.devices")

# The caller's import path: what it finds, its probes find.
_START = (
    "import sys; request, sys.path[:] = sys.argv[1], sys.argv[2:]; sys.argv[1:] = [request]; "
    "from edge_fgir.runtime.device_probe import main; main()"
)
PROBE = (sys.executable, "-c", _START)
"""What starts a probe; the request and the import path follow."""


class _ProbeError(Exception):
    """A probe gave no answer; the text says why."""


def sweep_devices(
    path: Path | str,
    trust: Path | str | None = None,
    *,
    seconds: float = SECONDS,
    command: Sequence[str] = PROBE,
) -> Iterator[DeviceEvidence]:
    """Replay a bundle's golden pictures on every device of this machine, and time them.

    Where it has files for several runtimes, each that is installed here is asked for its devices.
    What is found is kept in the user's cache folder, where there is one: from then on ``auto`` is
    the fastest device that answers right (:func:`edge_fgir.runtime.evidence.best_device`).

    Args:
        path: The bundle.
        trust: PEM file with the public key that must have signed it.
        seconds: How long a device may take.
        command: What starts a probe.

    Yields:
        What each device did, as soon as it is known.

    Raises:
        InputError: It is no bundle, or not signed by the key of ``trust``.
    """
    bundle = Bundle(path, trust)
    for name in runtimes_here(bundle, EngineOptions()) or bundle.manifest.runtimes[:1]:
        runtime, found = find_runtime(name), []
        for device in _devices(runtime, seconds, command):
            found.append(_ask(bundle, name, device, seconds, command))
            yield found[-1]
        evidence = Evidence(setting=Setting.here(bundle, runtime), devices=tuple(found))
        try:
            evidence.keep()
        except (RuntimeError, InputError, OSError) as error:
            _LOG.warning("what the devices did is not kept: %s", error)


def _devices(runtime: RuntimeSpec, seconds: float, command: Sequence[str]) -> tuple[str, ...]:
    """Return a runtime's devices here; as far as its library tells without crashing."""
    if not runtime.installed:
        return (runtime.replay.device,) if runtime.replay else runtime.devices[:1]
    if runtime.find_devices is None:
        return runtime.devices
    try:
        answer = _answer({"runtime": runtime.name}, seconds, command)
        return tuple(device for device in answer["devices"] if runtime.has(device))
    except _ProbeError as error:
        _LOG.warning("%s does not tell its devices: %s", runtime.library, error)
        return runtime.devices


def _ask(
    bundle: Bundle, runtime: str, device: str, seconds: float, command: Sequence[str]
) -> DeviceEvidence:
    request = {"bundle": str(bundle.path), "runtime": runtime, "device": device}
    try:
        return DeviceEvidence.model_validate(_answer(request, seconds, command))
    except _ProbeError as error:
        return DeviceEvidence(device=device, runtime=runtime, ok=False, detail=str(error))


def _answer(request: dict[str, str], seconds: float, command: Sequence[str]) -> dict[str, Any]:
    """Start a probe and return what it answers.

    Raises:
        _ProbeError: Nothing, or what went wrong.
    """
    with scratch() as folder:
        file, output = folder / "answer.json", folder / "output"
        text = json.dumps({**request, "answer": str(file)})
        with output.open("wb") as written:
            process = subprocess.Popen(
                [*command, text, *sys.path],
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=written,
                start_new_session=True,
            )
            try:
                code = process.wait(seconds)
            except subprocess.TimeoutExpired:
                raise _ProbeError(f"no answer within {seconds:g} s") from None
            finally:
                # A driver's own processes end with it.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if not file.exists():
            raise _ProbeError(_last_words(code, output))
        answer: dict[str, Any] = json.loads(file.read_bytes())
    if "error" in answer:
        raise _ProbeError(answer["error"])
    return answer


def _last_words(code: int, output: Path) -> str:
    lines = output.read_text(errors="replace").splitlines()
    reason = next((line.strip() for line in reversed(lines) if line.strip()), "no reason given")
    ended = f"exit code {code}"
    with suppress(ValueError):
        ended = signal.Signals(-code).name
    return f"crashed ({ended}): {reason}"
