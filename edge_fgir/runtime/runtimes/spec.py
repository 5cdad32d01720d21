"""What a runtime is: the library that computes a bundle's model, as one object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from edge_fgir._errors import InputError
from edge_fgir.runtime.engine_options import AUTO, Device, EngineOptions

if TYPE_CHECKING:
    from edge_fgir.runtime.bundle import Bundle
    from edge_fgir.runtime.novelty import Features
    from edge_fgir.runtime.preprocess import Pixels

Probabilities = npt.NDArray[np.float32]


class Answer(NamedTuple):
    """All outputs of a model; None is what its manifest does not declare.

    Attributes:
        probabilities: (N, K).
        regions: (N, 4) left, top, right, bottom, input pixels.
        maps: (N, g, g) similarity.
        features: (N, F) what the classifier reads.
    """

    probabilities: Probabilities
    regions: npt.NDArray[np.float32] | None = None
    maps: npt.NDArray[np.float32] | None = None
    features: Features | None = None


class Engine(Protocol):
    """A compiled model: ``uint8`` NHWC pixels in, probabilities out.

    Several threads call ``infer`` and ``observe`` at once: what a call needs for itself comes from
    a :class:`~edge_fgir.runtime.runtimes.Pool`, or a lock lets callers take turns. ``close`` is
    called once, when no other call is under way.
    """

    @property
    def description(self) -> str:
        """Library, version and device, for reports."""

    def infer(self, batch: Pixels) -> Probabilities:
        """Return (N, K) ``float32`` probabilities for (N, H, W, 3) pixels."""

    def observe(self, batch: Pixels) -> Answer:
        """Return all outputs for (1, H, W, 3) pixels."""

    def close(self) -> None:
        """Free what the engine holds."""


Open = Callable[["Bundle", EngineOptions], Engine]
"""Compiles a bundle's model for one of a runtime's devices; ``auto`` has been resolved."""


@dataclass(frozen=True)
class Replay:
    """How a bundle is checked on a machine that lacks its runtime: another one computes its model.

    Attributes:
        device: What the user asks for to get it.
        library: The other runtime's, as it is imported.
        open: Compiles the model there.
    """

    device: Device
    library: str
    open: Open


@dataclass(frozen=True)
class RuntimeSpec:
    """One runtime.

    Attributes:
        name: As manifests and targets call it.
        library: The Python package that is imported; its distribution has the same name.
        install: How a user gets the library, an imperative.
        devices: What it computes on, ``auto`` first of all; never empty.
        open: Compiles a bundle's model.
        replay: How its models are checked elsewhere; None: the library runs everywhere.
        hardware: The machines that only this library reaches; empty: it runs on any CPU.
        on_pypi: ``pip`` installs the library.
        numbered: Its devices of which there may be several, such as ``gpu.1``.
        has_precision: It lets a user choose what float layers are computed in.
        survives_fork: A forked process can open the model again.
        find_devices: Asks the library which devices there are, which loads their drivers; None:
            all of them are everywhere.
    """

    name: str
    library: str
    install: str
    devices: tuple[Device, ...]
    open: Open
    replay: Replay | None = None
    hardware: str = ""
    on_pypi: bool = True
    numbered: tuple[Device, ...] = ()
    has_precision: bool = False
    survives_fork: bool = True
    find_devices: Callable[[], tuple[Device, ...]] | None = None

    @property
    def choices(self) -> tuple[Device, ...]:
        """Every device that a user may name for its bundles."""
        return (AUTO, *self.devices, *((self.replay.device,) if self.replay else ()))

    def has(self, device: Device) -> bool:
        """Say whether a user may name ``device`` for its bundles."""
        name, dot, number = device.partition(".")
        return device in self.choices or (
            bool(dot) and name in self.numbered and number.isdecimal() and number.isascii()
        )

    def found_devices(self) -> tuple[Device, ...]:
        """Return the devices that this machine has, as far as the library knows them."""
        return self.devices if self.find_devices is None else self.find_devices()

    @property
    def gate_device(self) -> Device:
        """The device on which every machine can check a bundle."""
        return self.replay.device if self.replay else AUTO

    @property
    def version(self) -> str | None:
        """Version of the library; None where it is not installed."""
        try:
            return metadata.version(self.library)
        except metadata.PackageNotFoundError:
            return None

    @property
    def installed(self) -> bool:
        """Whether the library can be imported here."""
        return find_spec(self.library) is not None

    def library_for(self, device: Device) -> str:
        """Return the library that computes on ``device``."""
        if self.replay is not None and device == self.replay.device:
            return self.replay.library
        return self.library

    def missing(self, purpose: str) -> InputError:
        """Return the error for a library that is not installed but needed for ``purpose``."""
        return InputError(f"{self.library} is not installed", f"it for {purpose}", self.install)
