"""The runtimes that are known. To add one, write its folder beside this file and list it here."""

from __future__ import annotations

from edge_fgir._errors import InputError
from edge_fgir.runtime.engine_options import Device
from edge_fgir.runtime.runtimes.litert import LITERT
from edge_fgir.runtime.runtimes.onnxruntime import ONNXRUNTIME
from edge_fgir.runtime.runtimes.openvino import OPENVINO
from edge_fgir.runtime.runtimes.spec import RuntimeSpec
from edge_fgir.runtime.runtimes.tensorrt import TENSORRT

_runtimes = {spec.name: spec for spec in (OPENVINO, ONNXRUNTIME, LITERT, TENSORRT)}


def register_runtime(spec: RuntimeSpec) -> None:
    """Add a runtime, or replace the one of its name."""
    _runtimes[spec.name] = spec


def forget_runtime(name: str) -> None:
    """Undo :func:`register_runtime`."""
    _runtimes.pop(name, None)


def runtimes() -> tuple[RuntimeSpec, ...]:
    """Return all runtimes."""
    return tuple(_runtimes.values())


def find_runtime(name: str) -> RuntimeSpec:
    """Return the runtime called ``name``.

    Raises:
        InputError: There is none.
    """
    if name not in _runtimes:
        raise InputError(f"unknown runtime {name!a}", f"one of {', '.join(_runtimes)}")
    return _runtimes[name]


def check_runtime(name: str) -> str:
    """Return the name of a runtime, for validation.

    Raises:
        ValueError: There is none of that name.
    """
    if name not in _runtimes:
        raise ValueError(f"{name!a} is none of {', '.join(_runtimes)}")
    return name


def device_names() -> tuple[Device, ...]:
    """Return every device that some runtime computes on, ``auto`` first."""
    return tuple(dict.fromkeys(name for spec in runtimes() for name in spec.choices))
