"""Device descriptors: ``devices/<id>.yaml``, every figure with its source and how sure it is.

A descriptor gives bounds: a peak is what the arithmetic units would do if nothing ever waited.
What was measured on a device is worth more than any of it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator
from functools import cache
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge_fgir import _resources
from edge_fgir._errors import InputError
from edge_fgir._refusal import validated
from edge_fgir._yaml import read_yaml
from edge_fgir.runtime.machine import HERE, System, kilobytes_to_mb

LOCAL = "local"
"""What a machine is called that no descriptor matches."""

Precision = Literal["fp32", "fp16", "int8"]
Confidence = Literal["vendor", "derived", "ours", "community", "uncertain"]
"""How sure a figure is, surest first.

``vendor``: the vendor states it, read there or in a copy that the source names. ``derived``:
arithmetic over such figures. ``ours``: our own choice or test. ``community``: others measured or
report it. ``uncertain``: recalled, assumed, or sources disagree.
"""

_SPARSITY = 2  # what 2:4 sparsity multiplies a headline by


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Sourced(_Section):
    source: Annotated[str, Field(description="key of the descriptor's sources")]
    confidence: Confidence
    note: str = ""


class Figure(_Sourced):
    """One number; its unit is in the name of the field that holds it.

    ``arithmetic`` shows how it was worked out: numbers, each with words behind it, joined by ``x``
    and ``/``.
    """

    value: Annotated[float, Field(gt=0)]
    arithmetic: str = ""

    @model_validator(mode="after")
    def _adds_up(self) -> Figure:
        if self.confidence == "derived" and not self.arithmetic:
            raise ValueError("a derived figure shows its arithmetic")
        if self.arithmetic and not math.isclose(worth(self.arithmetic), self.value, rel_tol=0.01):
            raise ValueError(f"{self.arithmetic} is {worth(self.arithmetic):g}, not {self.value:g}")
        return self


class Match(_Section):
    """What a machine says of itself: regular expressions, looked for in this order."""

    compatible: Annotated[
        tuple[str, ...], Field(description="an entry of the device tree's compatible list")
    ] = ()
    model: Annotated[
        tuple[str, ...], Field(description="device tree's model, else DMI's product name")
    ] = ()
    processor: Annotated[tuple[str, ...], Field(description="model name in /proc/cpuinfo")] = ()
    memory_gb: Annotated[
        tuple[float, float] | None,
        Field(
            description="GiB the kernel sees, at least and at most: tells apart what shares a model"
        ),
    ] = None


class Unit(_Section):
    """One kind of arithmetic unit; a precision it does not compute in is not listed."""

    name: str
    counted: Annotated[str, Field(description="what there are several of: core, SM, EU")]
    ops_per_clock: Annotated[
        dict[Precision, Figure], Field(description="dense, of one of them; a multiply-add is two")
    ]


class Setting(_Section):
    """What a power mode leaves of a unit."""

    count: Figure
    clock_mhz: Annotated[Figure, Field(description="highest, MHz")]


class PowerMode(_Section):
    """A power mode; empty where its figures were not found."""

    bandwidth_gbs: Annotated[Figure | None, Field(description="memory, GB/s, theoretical")] = None
    units: dict[str, Setting] = {}


class Headline(_Sourced):
    """A figure of the vendor's marketing, kept to check the derived peaks against."""

    unit: str
    mode: str
    precision: Precision
    sparse: bool
    value: Annotated[float, Field(gt=0, description="10^12 operations a second")]

    @property
    def dense(self) -> float:
        """The figure without sparsity, 10^12 operations a second."""
        return self.value / (_SPARSITY if self.sparse else 1)


class Runtime(_Sourced):
    """A software release and the versions of the libraries in it."""

    name: str
    versions: dict[str, str]


class Descriptor(_Section):
    """One kind of device; peaks are dense, never the sparse ones of marketing."""

    id: str
    name: str
    target: Annotated[str, Field(description="export target that fits it")]
    match: Match
    memory_gb: Annotated[Figure, Field(description="GB: the module's, or the most it comes with")]
    workspace_mb: Annotated[
        Figure | None, Field(description="what TensorRT's builder may use as scratch memory, MiB")
    ] = None
    units: dict[str, Unit]
    default_mode: Annotated[str, Field(description="the power mode after flashing or booting")]
    power_modes: dict[str, PowerMode]
    headlines: tuple[Headline, ...] = ()
    runtimes: tuple[Runtime, ...]
    sources: dict[str, str]

    @model_validator(mode="after")
    def _names_what_is_there(self) -> Descriptor:
        headlines, modes = self.headlines, self.power_modes.values()
        _known("power modes", self.power_modes, {self.default_mode, *(h.mode for h in headlines)})
        _known("units", self.units, {u for mode in modes for u in mode.units})
        _known("units", self.units, {h.unit for h in headlines})
        cited = {figure.source for _, _, figure in self.figures()}
        cited |= {said.source for said in (*headlines, *self.runtimes)}
        _known("sources", self.sources, cited)
        if unused := sorted(self.sources.keys() - cited):
            raise ValueError(f"sources {', '.join(unused)} are never named")
        return self

    def figures(self) -> Iterator[tuple[str, str, Figure]]:
        """Yield every figure as it stands in the file: what it is, its unit, itself."""
        yield "memory", "GB", self.memory_gb
        if self.workspace_mb:
            yield "TensorRT workspace", "MiB", self.workspace_mb
        for unit, made in self.units.items():
            for precision, figure in made.ops_per_clock.items():
                yield f"{unit} {precision}", f"ops/clock/{made.counted}", figure
        for mode, settings in self.power_modes.items():
            if settings.bandwidth_gbs:
                yield f"{mode}: bandwidth", "GB/s", settings.bandwidth_gbs
            for unit, setting in settings.units.items():
                yield f"{mode}: {unit} count", self.units[unit].counted, setting.count
                yield f"{mode}: {unit} clock", "MHz", setting.clock_mhz

    def peaks(self, mode: str | None = None) -> dict[str, dict[Precision, Figure]]:
        """Return the dense peaks of every unit, 10^12 operations a second.

        A peak is as sure as the least sure figure in it.

        Args:
            mode: Power mode; the default one if None. Empty where its clocks are not known.

        Raises:
            InputError: There is no such power mode.
        """
        mode = self.default_mode if mode is None else mode
        if mode not in self.power_modes:
            raise InputError(
                f"unknown power mode {mode!r} of {self.id}",
                f"one of {', '.join(self.power_modes)}",
            )
        return {
            unit: {
                precision: _product(rate, setting.count, setting.clock_mhz)
                for precision, rate in self.units[unit].ops_per_clock.items()
            }
            for unit, setting in self.power_modes[mode].units.items()
        }


def worth(arithmetic: str) -> float:
    """Return what ``4 cores x 2 pipes / 1000`` comes to.

    Raises:
        ValueError: A term does not begin with a number.
    """
    value = 1.0
    for sign, number in re.findall(r"(?:^|\s([x/])\s)\s*(\S+)", arithmetic):
        value = value / float(number) if sign == "/" else value * float(number)
    return value


def device_names() -> list[str]:
    """Return the ids of all descriptors."""
    return _resources.names("devices")


@cache
def read_device(name: str) -> Descriptor:
    """Read one descriptor.

    Raises:
        InputError: There is none of that id, or it breaks a rule.
    """
    if name not in device_names():
        raise InputError(f"unknown device {name!r}", f"one of {', '.join(device_names())}")
    path = _resources.folder("devices") / f"{name}.yaml"
    return validated(Descriptor, {"id": name, **read_yaml(path)}, path, "a device")


def match_device(system: System = HERE) -> str:
    """Return the id of the descriptor that fits a machine, or ``local``.

    A device tree names the board first and its chip last, and the first entry that any descriptor
    knows decides. Where none is known, the model's name and then the processor's do, together with
    the memory for what is sold in several sizes.
    """
    rules = {name: read_device(name).match for name in device_names()}
    for entry in (system.text("proc/device-tree/compatible") or "").split("\0"):
        for name, rule in rules.items():
            if _found(rule.compatible, entry):
                return name
    # Boards that boot without a device tree (UEFI with ACPI) have a DMI table instead.
    model = system.text("proc/device-tree/model") or system.text("sys/class/dmi/id/product_name")
    processor = system.field("proc/cpuinfo", "model name")
    memory_gb = (kilobytes_to_mb(system.field("proc/meminfo", "MemTotal")) or 0) / 1024
    for name, rule in rules.items():
        least, most = rule.memory_gb or (0, math.inf)
        named = _found(rule.model, model) or _found(rule.processor, processor)
        if named and least <= memory_gb <= most:
            return name
    return LOCAL


def _known(kind: str, there: Collection[str], named: set[str]) -> None:
    if missing := sorted(named.difference(there)):
        raise ValueError(f"{kind} {', '.join(missing)} are named but not there")


def _found(patterns: tuple[str, ...], text: str | None) -> bool:
    return any(re.search(pattern, text or "") for pattern in patterns)


def _product(rate: Figure, count: Figure, clock_mhz: Figure) -> Figure:
    parts = (rate, count, clock_mhz)
    ranks = get_args(Confidence)
    return Figure(
        value=rate.value * count.value * clock_mhz.value / 1e6,
        arithmetic=f"{rate.value:g} x {count.value:g} x {clock_mhz.value:g} MHz / 1000000",
        source=", ".join(dict.fromkeys(part.source for part in parts)),
        confidence=max(("derived", *(part.confidence for part in parts)), key=ranks.index),
    )
