"""A device that bundles are measured on: this machine, or one behind ssh (see ``remote``)."""

from __future__ import annotations

import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge_fgir._errors import EdgeFgirError
from edge_fgir.benchmarking.bundle_bench import BenchMode
from edge_fgir.benchmarking.environment import environment
from edge_fgir.benchmarking.messages import (
    BenchBundle,
    Benched,
    Found,
    Identity,
    Request,
    TimeBundles,
    Timing,
    Timings,
    read_answer,
)
from edge_fgir.benchmarking.protocol import PROBES, Protocol
from edge_fgir.benchmarking.worker import START
from edge_fgir.results import Environment, Latency
from edge_fgir.runtime import Bundle, Device
from edge_fgir.runtime.runtimes import runtimes

PACKAGE_PARENT = Path(__file__).resolve().parents[2]
"""The folder that holds the package."""


class DeviceHandle(ABC):
    """A device that bundles are measured on, open while the block runs.

    It is identified when it is opened, before anything is built for it; every later answer must
    come from the same one.

    Args:
        name: For messages and file names.
        device: Of the runtime there.

    Attributes:
        identity: What the device is.
        versions: Of the runtimes there.
    """

    identity: Identity
    versions: Mapping[str, str]

    def __init__(self, name: str, device: Device = "auto") -> None:
        self.name = name
        self._device = device

    def __enter__(self) -> DeviceHandle:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> Identity:
        """Reach the device and identify it.

        Raises:
            EdgeFgirError: It cannot be reached, or lacks something.
        """
        machine = self._identify()
        self.identity = Identity.of(machine)
        libraries = {spec.library for spec in runtimes()}
        self.versions = {n: v for n, v in machine.versions.items() if n in libraries}
        return self.identity

    def close(self) -> None:
        """Leave the device as it was: here nothing has to be undone."""
        return

    def time(self, bundles: Sequence[Bundle], protocol: Protocol = PROBES) -> list[Timing]:
        """Time bundles side by side in one process, so that drift hits all alike."""
        request = TimeBundles(device=self._device, protocol=protocol)
        answer = self._checked(self._ask(request, bundles, Timings))
        if len(answer.timings) != len(bundles):
            raise EdgeFgirError(f"{self.name}: {len(answer.timings)} timings of {len(bundles)}")
        return list(answer.timings)

    def bench(
        self,
        bundle: Bundle,
        *,
        seconds: float | None = None,
        mode: BenchMode = "burst",
        fps: float | None = None,
        protocol: Protocol | None = None,
    ) -> Latency:
        """Bench a bundle in a process of its own, whose memory is the bundle's alone.

        The arguments are those of :func:`~edge_fgir.benchmarking.bundle_bench.bench`.
        """
        request = BenchBundle(
            device=self._device, seconds=seconds, mode=mode, fps=fps, protocol=protocol
        )
        return self._checked(self._ask(request, [bundle], Benched)).latency

    def _checked(self, answer: Found) -> Found:
        identity = Identity.of(answer.environment)
        if identity != self.identity:
            raise EdgeFgirError(
                f"{self.name} is another machine than at first: {identity.told_from(self.identity)}"
            )
        return answer

    @abstractmethod
    def _identify(self) -> Environment:
        """Return the device's environment."""

    @abstractmethod
    def _ask(self, request: Request, bundles: Sequence[Bundle], kind: type[Found]) -> Found:
        """Let a worker on the device do something with bundles."""


class LocalDevice(DeviceHandle):
    """This machine.

    Args:
        device: Of the runtime.
    """

    def __init__(self, device: Device = "auto") -> None:
        super().__init__("local", device)

    def _identify(self) -> Environment:
        return environment()

    def _ask(self, request: Request, bundles: Sequence[Bundle], kind: type[Found]) -> Found:
        asked = request.on([str(bundle.path) for bundle in bundles])
        done = subprocess.run(
            [sys.executable, "-c", START, str(PACKAGE_PARENT)],
            input=asked.model_dump_json().encode(),
            stdout=subprocess.PIPE,
            check=False,
        )
        if done.returncode:
            raise EdgeFgirError(f"the measuring process ended with code {done.returncode}")
        return read_answer(done.stdout, kind, self.name)
