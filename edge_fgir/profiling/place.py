"""Which device is meant: this machine, one behind ssh, or one that only a descriptor tells of."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable
from dataclasses import dataclass

from edge_fgir._errors import InputError
from edge_fgir.benchmarking.devices import LOCAL, Device, match_device, read_device
from edge_fgir.benchmarking.environment import environment
from edge_fgir.profiling.rigs import LocalRig, RemoteRig, Rig


@dataclass(frozen=True)
class Place:
    """A device.

    Attributes:
        name: ``local``, a descriptor's id, or ``user@host``.
        title: For people.
        rig: Times networks there; None: it is not at hand.
        descriptor: Its figures, where it is known.
    """

    name: str
    title: str
    rig: Rig | None
    descriptor: Device | None

    @property
    def target(self) -> str:
        """The export target that fits it.

        Raises:
            InputError: Nothing tells.
        """
        if self.descriptor is not None:
            return self.descriptor.target
        if self.name == LOCAL:
            return "arm" if platform.machine() == "aarch64" else "openvino"
        raise InputError(
            f"--device {self.name} without a target", "one of the targets", "add --target"
        )

    @classmethod
    def parse(cls, text: str, say: Callable[[str], None]) -> Place:
        """Understand ``--device``.

        Args:
            text: ``local``, the id of a descriptor, or ``[user@]host[:port]``.
            say: Gets lines of a device behind ssh.

        Raises:
            InputError: It is none of these.
        """
        here = match_device()
        if text in (LOCAL, here):
            known = read_device(here) if here != LOCAL else None
            title = known.name if known is not None else environment().processor
            return cls(text, title, LocalRig(), known)
        if "@" in text:
            return cls(text, text, RemoteRig(text, say), None)
        known = read_device(text)
        return cls(text, known.name, None, known)

    @property
    def file_name(self) -> str:
        """Its name, safe as a part of a file's name."""
        return re.sub(r"[^\w.-]+", "_", self.name)
