"""Cameras that Linux knows (V4L2): USB ones, and those of boards."""

from __future__ import annotations

import os
from typing import NamedTuple

from edge_fgir.runtime.machine.sysfs import HERE, System


class Camera(NamedTuple):
    """One camera.

    Attributes:
        device: What ``--source`` takes: ``/dev/video0``.
        name: The driver's.
        usable: This user may open it.
    """

    device: str
    name: str
    usable: bool


def cameras(system: System = HERE) -> tuple[Camera, ...]:
    """Return the cameras, in the order of their numbers."""
    found = []
    for path in system.files("sys/class/video4linux/video[0-9]*/name"):
        # Of the nodes that a driver makes for one camera, the first gives pictures.
        if system.number(path.parent / "index") not in (0, None):
            continue
        number = int(path.parent.name.removeprefix("video"))
        device = system.root / "dev" / path.parent.name
        usable = os.access(device, os.R_OK | os.W_OK)
        found.append((number, Camera(f"/dev/video{number}", system.text(path) or "", usable)))
    return tuple(camera for _, camera in sorted(found))
