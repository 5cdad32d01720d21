"""What computes beside the processor: graphics processors and neural ones."""

from __future__ import annotations

from edge_fgir.runtime.machine.sysfs import HERE, System

_GPU_DRIVERS = ("amdgpu", "i915", "nouveau", "xe")


def gpus(system: System = HERE) -> tuple[str, ...]:
    """Return the graphics processors: NVIDIA's by name, others by driver and PCI number."""
    nvidia = [
        system.field(path, "Model") or ""
        for path in system.files("proc/driver/nvidia/gpus/*/information")
    ]
    if not any(nvidia):  # a container or WSL may show the tool alone
        query = ("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
        nvidia = (system.run(query) or "").splitlines()
    others = [
        name
        for name in _named(system, "sys/class/drm/card[0-9]*/device/uevent")
        if name.split()[0] in _GPU_DRIVERS
    ]
    return tuple(name.strip() for name in (*nvidia, *others) if name.strip())


def npus(system: System = HERE) -> tuple[str, ...]:
    """Return the neural processors that Linux lists as accelerators, by driver and PCI number."""
    return tuple(_named(system, "sys/class/accel/accel[0-9]*/device/uevent"))


def _named(system: System, pattern: str) -> list[str]:
    found = []
    for path in system.files(pattern):
        facts = dict(line.partition("=")[::2] for line in (system.text(path) or "").splitlines())
        # card0 is a processor, card0-HDMI-A-1 one of its sockets.
        if facts.get("DRIVER") and "-" not in path.parts[-3]:
            found.append(f"{facts['DRIVER']} {facts.get('PCI_ID', '')}".strip())
    return found
