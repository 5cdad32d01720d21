"""Checking words that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar, get_args

import typer

from edge_fgir import _resources
from edge_fgir._errors import InputError
from edge_fgir.runtime import EngineOptions, FloatPrecision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_fgir.models import Setting
    from edge_fgir.results import Budget
    from edge_fgir.runtime import Device

_Word = TypeVar("_Word", bound=str)

LEAST_SIDE = 16
"""Of an input, pixels."""

DataArgument = Annotated[str, typer.Argument(help="Folder of pictures or shards, lists, or elpv.")]
StrictOption = Annotated[
    bool,
    typer.Option(
        "--strict/--convert",
        help="Refuse pictures that are broken or no upright 8-bit RGB, instead of leaving them out "
        "or converting them.",
    ),
]
AcceptDataChangeOption = Annotated[
    bool,
    typer.Option(
        "--accept-data-change",
        help="Other pictures of the same classes than the run was trained on are meant.",
    ),
]
UnknownOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Pictures that the model shall not know: the bundle says how many it rejects.",
    ),
]
GoldenOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Pictures that the bundle carries for verify, instead of some validation pictures, "
        "which may be private.",
    ),
]
PictureStrictOption = Annotated[
    bool | None,
    typer.Option(
        "--strict/--convert",
        help="End with the first picture that is broken or no upright 8-bit RGB. Otherwise the "
        "others are answered; odd ones are converted, by bundles of today without asking.",
    ),
]
TrustOption = Annotated[
    Path | None,
    typer.Option(metavar="PUB.pem", help="Refuse a bundle that this public key did not sign."),
]
DeviceOption = Annotated[str, typer.Option(help=EngineOptions.help_of("device"))]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help=EngineOptions.help_of("threads"))]
FloatPrecisionOption = Annotated[
    str | None, typer.Option("--precision", help=EngineOptions.help_of("precision"))
]
RuntimeOption = Annotated[str | None, typer.Option(help=EngineOptions.help_of("runtime"))]
VariantOption = Annotated[str | None, typer.Option(help=EngineOptions.help_of("variant"))]
KeepRateOption = Annotated[
    str | None,
    typer.Option(help="Share of the tokens a stage keeps, such as 0.7; 0.7,0.5,0.5: one a stage."),
]

ProgramOption = Annotated[
    str | None,
    typer.Option(
        "--for",
        metavar="frigate|frigate-bird",
        help="Add what Frigate's custom or bird classification takes, compared with the bundle; "
        "target litert.",
    ),
]

LatencyOption = Annotated[
    float | None, typer.Option(help="At most so long from frame to decision.")
]
PercentileOption = Annotated[str, typer.Option(help="That latency's: p50 or p99.")]
MemoryOption = Annotated[float | None, typer.Option(help="At most so much memory.")]
SizeOption = Annotated[float | None, typer.Option(help="Model files no larger.")]

LogitAdjustmentOption = Annotated[
    str | None,
    typer.Option(
        metavar="TAU",
        help="Take tau log(share of the training pictures) from each logit, so that rare classes "
        "are not neglected: a number such as 1, or auto: the best on val.",
    ),
]
ShotsOption = Annotated[
    str,
    typer.Option(
        metavar="MANY,FEW",
        help="Shot groups: classes with more than MANY and fewer than FEW training pictures.",
    ),
]
SHOTS = "100,20"


def choose(option: str, value: str, words: Sequence[_Word]) -> _Word:
    """Return ``value`` as one of the words that an option takes.

    Raises:
        InputError: It is none of them.
    """
    for word in words:
        if word == value:
            return word
    raise InputError(f"{option} {value}", f"one of {', '.join(words)}")


def logit_adjustment_choice(value: str | None) -> float | Literal["auto"] | None:
    """Return ``value`` as the tau of a logit adjustment.

    Raises:
        InputError: It is no number from 0 to 10.
    """
    if value is None:
        return None
    if value == "auto":
        return "auto"
    try:
        tau = float(value)
    except ValueError:
        tau = -1.0
    if not 0 <= tau <= 10:
        raise InputError(f"--logit-adjustment {value}", "a number from 0 to 10, or auto")
    return tau


def shots_choice(value: str) -> tuple[int, int]:
    """Return the bounds of shot groups: more pictures than the first, fewer than the second.

    Raises:
        InputError: ``value`` is not two numbers.
    """
    many, _, few = value.partition(",")
    if not (many.strip().isdecimal() and few.strip().isdecimal()):
        raise InputError(f"--shots {value}", "two whole numbers, such as 100,20")
    return int(many), int(few)


def keep_rate_choice(value: str | None) -> float | tuple[float, ...] | None:
    """Return ``value`` as one keep rate, or one a stage.

    Raises:
        InputError: It is no list of numbers.
    """
    if value is None:
        return None
    try:
        rates = tuple(float(part) for part in value.split(","))
    except ValueError:
        raise InputError(
            f"--keep-rate {value}", "a number such as 0.7, or one a stage: 0.7,0.5,0.5"
        ) from None
    return rates if len(rates) > 1 else rates[0]


def variant_choice(value: str) -> Setting:
    """Return ``value`` as the setting of a bundle's variant.

    Raises:
        InputError: It is none.
    """
    from edge_fgir.models import Setting

    side, colon, rates = value.partition(":")
    expected = "SIZE or SIZE:KEEP, such as 128 or 224:0.7"
    if not side.isdecimal() or int(side) < LEAST_SIDE or (colon and not rates):
        raise InputError(f"--variant {value}", expected)
    try:
        return Setting(int(side), keep_rate_choice(rates or None))
    except InputError:
        raise InputError(f"--variant {value}", expected) from None


def device_choice(value: str) -> Device:
    """Return ``value`` as a device.

    Raises:
        InputError: No runtime computes on it.
    """
    from edge_fgir.runtime.runtimes import device_names, runtimes

    device = value.lower()
    if any(spec.has(device) for spec in runtimes()):
        return device
    raise InputError(f"--device {value}", f"one of {', '.join(device_names())}")


def engine_choice(
    device: str,
    threads: int | None,
    precision: str | None,
    runtime: str | None = None,
    variant: str | None = None,
) -> EngineOptions:
    """Return how a bundle is to be opened.

    Raises:
        InputError: No runtime computes on the device, or so.
    """
    precisions = get_args(FloatPrecision)
    return EngineOptions(
        device_choice(device),
        threads,
        None if precision is None else choose("--precision", precision, precisions),
        runtime,
        variant,
    )


def targets_help() -> str:
    """Return the names of the targets for a help text."""
    *names, last = _resources.names("export", "*/target.yaml")
    return f"{', '.join(names)} or {last}"


def budget_of(**bounds: object) -> Budget:
    """Return the budget that options name.

    Raises:
        InputError: A bound is none.
    """
    from pydantic import ValidationError

    from edge_fgir._refusal import broken_rule
    from edge_fgir.results import Budget

    try:
        return Budget.model_validate(bounds)
    except ValidationError as error:
        where, value, rule = broken_rule(error)
        option = "--" + where.replace("_", "-")
        raise InputError(f"{option} {value}", rule.removeprefix("Input should be ")) from error
