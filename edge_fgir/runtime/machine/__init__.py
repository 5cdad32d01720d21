"""The machine, as small files of its system show it; a folder can stand for one.

No library of a device is asked, so that a broken driver breaks nothing here.
"""

from edge_fgir.runtime.machine.accelerators import gpus, npus
from edge_fgir.runtime.machine.cameras import Camera, cameras
from edge_fgir.runtime.machine.processor import instructions, processor
from edge_fgir.runtime.machine.sysfs import HERE, System, kilobytes_to_mb, ranges, to_int
from edge_fgir.runtime.machine.throttling import Throttling

__all__ = [
    "HERE",
    "Camera",
    "System",
    "Throttling",
    "cameras",
    "gpus",
    "instructions",
    "kilobytes_to_mb",
    "npus",
    "processor",
    "ranges",
    "to_int",
]
