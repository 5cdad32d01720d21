"""Checking words that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from edge_fgir import _resources
from edge_fgir._errors import InputError

if TYPE_CHECKING:
    from edge_fgir.runtime import Device

TrustOption = Annotated[
    Path | None,
    typer.Option(
        metavar="PUB.pem", help="Refuse a bundle that this Ed25519 public key did not sign."
    ),
]
DeviceOption = Annotated[
    str, typer.Option(help="Where to compute; edge-fgir doctor lists what each target offers.")
]
KeepRateOption = Annotated[
    str | None,
    typer.Option(help="Share of the tokens a stage keeps, such as 0.7; 0.7,0.5,0.5: one a stage."),
]

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


def logit_adjustment_choice(value: str | None) -> float | Literal["auto"] | None:
    """Return ``value`` as the tau of a logit adjustment.

    Raises:
        InputError: It is no number from 0 to 10.
    """
    if value is None or value == "auto":
        return cast("Literal['auto'] | None", value)
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


def device_choice(value: str) -> Device:
    """Return ``value`` as a device.

    Raises:
        InputError: No runtime computes on it.
    """
    from edge_fgir.runtime.runtimes import device_names

    if value not in device_names():
        raise InputError(f"--device {value}", f"one of {', '.join(device_names())}")
    return value


def targets_help() -> str:
    """Return the names of the targets for a help text."""
    *names, last = _resources.names("export", "*/target.yaml")
    return f"{', '.join(names)} or {last}"
