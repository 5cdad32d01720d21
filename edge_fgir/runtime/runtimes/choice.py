"""Which runtime computes a bundle that has files for several: the fastest here, as was measured.

A bundle is sealed, and which of its runtimes is fastest differs from machine to machine. So what a
bench finds is kept in the user's cache folder, for this bundle, these versions and this machine.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from edge_fgir._cache import cache_path
from edge_fgir._errors import InputError
from edge_fgir._files import write_atomic
from edge_fgir.runtime.cores import usable_cores
from edge_fgir.runtime.engine_options import AUTO, EngineOptions
from edge_fgir.runtime.runtimes.registry import find_runtime, runtimes

if TYPE_CHECKING:
    from edge_fgir.runtime.bundle import Bundle

_DIGITS = 32
_MOST_BYTES = 1 << 16
_NO_CACHE = (OSError, InputError)
"""A read-only file system, or a user without a home folder."""


class RuntimeChoice(NamedTuple):
    """The runtime that computes a bundle, and why."""

    runtime: str
    why: str


class MeasuredRuntimes(BaseModel):
    """How long a bundle's runtimes took on a machine, each on the device that ``auto`` is."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    machine: Annotated[str, Field(description="name, processor and usable cores")]
    versions: Annotated[dict[str, str], Field(description="of the runtimes' libraries")]
    network_ms: Annotated[
        dict[str, float], Field(min_length=2, description="by runtime: the network alone, typical")
    ]


def choose_runtime(bundle: Bundle, options: EngineOptions) -> RuntimeChoice:
    """Choose among the runtimes that a bundle has files for.

    What a bench has found decides for device ``auto`` alone, for which it was found.

    Raises:
        InputError: It has none for the one that is asked for.
    """
    names = bundle.manifest.runtimes
    if options.runtime is not None:
        if options.runtime not in names:
            raise InputError(
                f"{bundle.path} has no files for runtime {options.runtime}",
                f"one of {', '.join(names)}",
                "leave --runtime out, or export it with --also",
            )
        return RuntimeChoice(options.runtime, "as asked")
    if len(names) == 1:
        return RuntimeChoice(names[0], "the bundle has files for no other")
    fitting = runtimes_here(bundle, options)
    if not fitting:
        return RuntimeChoice(names[0], "the preferred one; none is installed")
    others = f"the first installed of {', '.join(names)}, in the bundle's order"
    if options.device != AUTO:
        return RuntimeChoice(fitting[0], others)
    measured = _measured(bundle)
    if measured is not None and set(fitting) == set(measured.network_ms):
        fastest = min(measured.network_ms, key=measured.network_ms.__getitem__)
        told = ", ".join(f"{name} {ms:.2f} ms" for name, ms in measured.network_ms.items())
        return RuntimeChoice(fastest, f"the fastest by bench on this machine: {told}")
    return RuntimeChoice(fitting[0], f"{others}; edge-fgir bench measures them here")


def runtimes_here(bundle: Bundle, options: EngineOptions) -> list[str]:
    """Return a bundle's runtimes that are installed and have the device, the preferred first."""
    specs = [find_runtime(name) for name in bundle.manifest.runtimes]
    return [spec.name for spec in specs if spec.installed and spec.has(options.device)]


def remember_runtimes(bundle: Bundle, network_ms: Mapping[str, float]) -> None:
    """Keep how long a bundle's runtimes took here, opened without any options.

    Where nothing can be kept, nothing is.
    """
    found = MeasuredRuntimes(
        machine=_machine(), versions=_versions(network_ms), network_ms=dict(network_ms)
    )
    with suppress(*_NO_CACHE):
        write_atomic(_file(bundle), found.model_dump_json())


def _measured(bundle: Bundle) -> MeasuredRuntimes | None:
    """Return what is known of a bundle on this machine and with these libraries."""
    try:
        with _file(bundle).open("rb") as file:
            found = MeasuredRuntimes.model_validate_json(file.read(_MOST_BYTES))
    except (*_NO_CACHE, ValueError):
        return None
    same = found.machine == _machine() and found.versions == _versions(found.network_ms)
    return found if same else None


def _file(bundle: Bundle) -> Path:
    return cache_path() / "runtimes" / f"{bundle.manifest.seal[:_DIGITS]}.json"


def _machine() -> str:
    return f"{platform.node()} {platform.machine()} {usable_cores()}"


def _versions(names: Mapping[str, float]) -> dict[str, str]:
    return {spec.name: spec.version or "" for spec in runtimes() if spec.name in names}
