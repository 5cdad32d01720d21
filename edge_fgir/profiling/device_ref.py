"""Which device is meant: this machine, one behind ssh, or one that only a descriptor tells of."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from edge_fgir._errors import InputError
from edge_fgir.benchmarking import (
    LOCAL,
    Descriptor,
    DeviceHandle,
    Host,
    LocalDevice,
    RemoteDevice,
    environment,
    match_device,
    read_device,
)
from edge_fgir.runtime.runtimes import RuntimeSpec

_SSH = "@"


@dataclass(frozen=True)
class DeviceRef:
    """A device by its name; nothing has been reached yet.

    Attributes:
        name: ``local``, a descriptor's id, or ``user@host``.
        title: For people.
        descriptor: Its figures, where it is known.
        is_at_hand: Whether networks can be timed on it.
    """

    name: str
    title: str
    descriptor: Descriptor | None
    is_at_hand: bool

    @classmethod
    def parse(cls, text: str) -> DeviceRef:
        """Understand ``--device``.

        Args:
            text: ``local``, the id of a descriptor, or ``user@host[:port]``.

        Raises:
            InputError: It is none of these.
        """
        here = match_device()
        if text in (LOCAL, here):
            known = read_device(here) if here != LOCAL else None
            title = known.name if known is not None else environment().processor
            return cls(text, title, known, is_at_hand=True)
        if _SSH in text:
            Host.parse(text)
            return cls(text, text, None, is_at_hand=True)
        known = read_device(text)
        return cls(text, known.name, known, is_at_hand=False)

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

    @property
    def file_name(self) -> str:
        """Its name, safe as a part of a file's name."""
        return re.sub(r"[^\w.-]+", "_", self.name)

    @contextmanager
    def opened(
        self, runtime: RuntimeSpec, tell: Callable[[str], None]
    ) -> Iterator[DeviceHandle | None]:
        """Yield the device, reached and identified; None where it is not at hand.

        Args:
            runtime: Of the bundles.
            tell: Gets lines of a device behind ssh.

        Raises:
            EdgeFgirError: It cannot be reached, or lacks something.
        """
        if not self.is_at_hand:
            yield None
            return
        handle: DeviceHandle = (
            RemoteDevice(self.name, [runtime], tell) if _SSH in self.name else LocalDevice()
        )
        with handle:
            yield handle
