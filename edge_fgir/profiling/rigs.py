"""Where networks are timed: this machine, or one that is reached by ssh."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from typing import Protocol as Interface

from edge_fgir._errors import EdgeFgirError
from edge_fgir._files import sha256
from edge_fgir.benchmarking import environment
from edge_fgir.benchmarking.bundle_bench import FRAME, NETWORK, scope_calls
from edge_fgir.benchmarking.interleaving import Interleaved, interleave
from edge_fgir.benchmarking.protocol import PROBES, Call
from edge_fgir.benchmarking.remote import bench_there
from edge_fgir.runtime import Bundle, Classifier, Device
from edge_fgir.runtime.runtimes import runtimes

_REPEATS = 3
_MODE = "burst"
_IDENTITY = ("machine", "processor", "instructions", "board", "cpus")
_DIGITS = 16


@dataclass(frozen=True)
class Timed:
    """One network that was timed, milliseconds.

    Attributes:
        network_ms: Median of the compiled model alone.
        frame_ms: Median from a decoded 640 x 480 frame to the label.
        tail: 99th percentile of the latter over its median.
        disturbed: The network's runs never agreed: something else was going on.
    """

    network_ms: float
    frame_ms: float
    tail: float
    disturbed: bool


class Rig(Interface):
    """A device that bundles can be timed on."""

    name: str

    def time(self, bundles: Sequence[Bundle]) -> list[Timed]:
        """Time bundles shortly."""

    def bench(self, bundle: Bundle, seconds: float) -> dict[str, Any]:
        """Return the body of a ``latency`` result."""

    def identity(self) -> dict[str, Any]:
        """Return what tells the device from others; times are for it alone."""

    def versions(self) -> dict[str, str]:
        """Return the versions of the runtimes there."""


class LocalRig:
    """This machine.

    Args:
        device: Of the runtime.
    """

    name = "local"

    def __init__(self, device: Device = "auto") -> None:
        self._device = device

    def time(self, bundles: Sequence[Bundle]) -> list[Timed]:
        """Time bundles in turns, so that drift hits all alike."""
        models = [Classifier.open(bundle.path, self._device) for bundle in bundles]
        try:
            calls: dict[str, Call] = {}
            for place, model in enumerate(models):
                for scope, call in scope_calls(model).items():
                    calls[f"{place} {scope}"] = call
            # Frames only tell what comes on top of the network.
            turns = interleave(calls, PROBES, brief=[name for name in calls if FRAME in name])
        finally:
            for model in models:
                model.close()
        return [_timed(turns, place) for place in range(len(bundles))]

    def bench(self, bundle: Bundle, seconds: float) -> dict[str, Any]:
        """Bench a bundle in a process of its own, whose memory is the bundle's alone."""
        command = [sys.executable, "-m", "edge_fgir", "bench", str(bundle.path), "--json"]
        command += [f"--seconds={seconds:g}", f"--mode={_MODE}", f"--device={self._device}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or ["no word"]
            raise EdgeFgirError(f"the bench of {bundle.path} failed: {last[0]}")
        body: dict[str, Any] = json.loads(done.stdout)
        return body

    def identity(self) -> dict[str, Any]:
        """Return this machine's processor."""
        return _identity(environment().model_dump(mode="json"))

    def versions(self) -> dict[str, str]:
        """Return the versions of the runtimes here."""
        return _versions(environment().model_dump(mode="json"))


class RemoteRig:
    """A machine that is reached by ssh; see :func:`~edge_fgir.benchmarking.remote.bench_there`.

    Args:
        host: ``[user@]host[:port]``.
        say: Gets a line for the user.
        device: Of the runtime.
    """

    def __init__(self, host: str, say: Callable[[str], None], device: Device = "auto") -> None:
        self.name = host
        self._say, self._device = say, device
        self._identity: dict[str, Any] = {}
        self._versions: dict[str, str] = {}

    def time(self, bundles: Sequence[Bundle]) -> list[Timed]:
        """Time one bundle after another; those whose repeats disagree once more."""
        return [self._time(bundle) for bundle in bundles]

    def _time(self, bundle: Bundle) -> Timed:
        best: Timed | None = None
        for _ in range(_REPEATS):
            body = self._there(bundle, "--mode=quick")
            scopes = body["scopes"]
            found = Timed(
                network_ms=scopes[NETWORK]["p50_ms"],
                frame_ms=scopes[FRAME]["p50_ms"],
                tail=scopes[FRAME]["p99_ms"] / scopes[FRAME]["p50_ms"],
                disturbed=_apart(*body["repeats_p50_ms"][NETWORK]),
            )
            best = found if best is None or found.network_ms < best.network_ms else best
            if not found.disturbed:
                return found
        assert best is not None
        return replace(best, disturbed=True)

    def bench(self, bundle: Bundle, seconds: float) -> dict[str, Any]:
        """Bench a bundle there."""
        return self._there(bundle, f"--seconds={seconds:g}")

    def _there(self, bundle: Bundle, *arguments: str) -> dict[str, Any]:
        words = [*arguments, *([f"--device={self._device}"] if self._device != "auto" else [])]
        body = bench_there(self.name, bundle, words, device=self._device, say=self._say)
        found = _identity(body["environment"])
        if self._identity and found != self._identity:
            raise EdgeFgirError(f"{self.name} is another machine than at first: {found}")
        self._identity, self._versions = found, _versions(body["environment"])
        return body

    def identity(self) -> dict[str, Any]:
        """Return that machine's processor; known after the first measurement."""
        return self._identity

    def versions(self) -> dict[str, str]:
        """Return the versions of the runtimes there; known after the first measurement."""
        return self._versions


def fingerprint(identity: dict[str, Any]) -> str:
    """Return a short name of a device's identity."""
    return sha256(json.dumps(identity, sort_keys=True).encode())[:_DIGITS]


def _identity(environment: dict[str, Any]) -> dict[str, Any]:
    return {key: environment[key] for key in _IDENTITY}


def _versions(environment: dict[str, Any]) -> dict[str, str]:
    known: dict[str, str] = environment["versions"]
    return {name: known[name] for name in (spec.library for spec in runtimes()) if name in known}


def _timed(turns: dict[str, Interleaved], place: int) -> Timed:
    network, frame = (turns[f"{place} {scope}"] for scope in (NETWORK, FRAME))
    return Timed(
        network_ms=1e3 * network.seconds,
        frame_ms=1e3 * frame.seconds,
        tail=frame.tail,
        disturbed=network.disturbed,
    )


def _apart(first: float, second: float) -> bool:
    return abs(first - second) > 0.05 * min(first, second)
