"""What a bundle did on this machine's devices, kept, so that ``auto`` need not guess.

It counts for one bundle (by its seal), one version of the runtime and one machine: processor,
graphics and neural processors, kernel. Where one of these differs, there is no evidence.
"""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from edge_fgir._cache import own_cache, own_cache_if_any
from edge_fgir._errors import InputError
from edge_fgir._files import read_file, sha256, to_json, write_atomic
from edge_fgir.runtime.machine import HERE, gpus, instructions, npus, processor

if TYPE_CHECKING:
    from edge_fgir.runtime.bundle import Bundle
    from edge_fgir.runtime.engine_options import Device
    from edge_fgir.runtime.runtimes import RuntimeSpec

_MOST_BYTES = 1 << 20


class DeviceEvidence(BaseModel):
    """What a bundle did on one device.

    Attributes:
        device: As a user names it.
        runtime: What computes there; empty in evidence of earlier versions.
        ok: It answered its golden pictures as it did when it was made.
        detail: How far apart the answers are, or what went wrong.
        engine: The library and the device that answered; empty where none did.
        p50_ms: Median time of an answer of the network alone; None where none was right.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str
    runtime: str = ""
    ok: bool
    detail: str
    engine: str = ""
    p50_ms: FiniteFloat | None = None


class Setting(BaseModel):
    """What evidence holds for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: str
    runtime: str
    version: str | None
    processor: str
    instructions: tuple[str, ...]
    gpus: tuple[str, ...]
    npus: tuple[str, ...]
    kernel: str

    @classmethod
    def here(cls, bundle: Bundle, runtime: RuntimeSpec) -> Setting:
        """Return that of a bundle and its runtime on this machine."""
        files = replace(HERE, run=lambda command: None)  # no other program is started for it
        return cls(
            bundle=bundle.manifest.seal,
            runtime=runtime.name,
            version=runtime.version,
            processor=processor(files),
            instructions=instructions(files),
            gpus=gpus(files),
            npus=npus(files),
            kernel=platform.release(),
        )

    def file(self, cache: Path) -> Path:
        """Return where it is kept."""
        return cache / "devices" / f"{sha256(to_json(self.model_dump()).encode())[:32]}.json"


class Evidence(BaseModel):
    """All devices' evidence, and what it holds for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["edge-fgir/devices/1"] = "edge-fgir/devices/1"
    setting: Setting
    devices: tuple[DeviceEvidence, ...]

    def keep(self) -> Path:
        """Write it to the user's cache folder, and return the file.

        Raises:
            InputError: Others can write to the folder, or there is no home to put it in.
            OSError: It cannot be written.
        """
        path = self.setting.file(own_cache())
        write_atomic(path, to_json(self.model_dump()))
        return path


def known_evidence(bundle: Bundle, runtime: RuntimeSpec) -> tuple[DeviceEvidence, ...]:
    """Return what is known of a bundle on this machine's devices; nothing where it is not."""
    cache = own_cache_if_any()
    if cache is None:
        return ()
    setting = Setting.here(bundle, runtime)
    try:
        found = Evidence.model_validate_json(read_file(setting.file(cache), most=_MOST_BYTES))
    except (ValidationError, InputError):  # there is none, or it can be made again
        return ()
    return found.devices if found.setting == setting else ()


def best_device(bundle: Bundle, runtime: RuntimeSpec) -> Device:
    """Return the device that answers a bundle right and soonest, as far as that is known.

    Without evidence, it is the runtime's first.
    """
    if len(runtime.devices) > 1:
        right = [one for one in known_evidence(bundle, runtime) if one.ok and one.p50_ms]
        right = [one for one in right if runtime.has(one.device)]
        if right:
            return min(right, key=lambda one: one.p50_ms or 0.0).device
    return runtime.devices[0]
