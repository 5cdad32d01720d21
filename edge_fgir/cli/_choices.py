"""Checking words that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from edge_fgir._errors import InputError

if TYPE_CHECKING:
    from edge_fgir.runtime import Device

TrustOption = Annotated[
    Path | None,
    typer.Option(
        metavar="PUB.pem", help="Refuse a bundle that this Ed25519 public key did not sign."
    ),
]
KeepRateOption = Annotated[
    str | None,
    typer.Option(help="Share of the tokens a stage keeps, such as 0.7; 0.7,0.5,0.5: one a stage."),
]


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
        InputError: It is none of ours.
    """
    from edge_fgir.runtime import Device

    if value not in get_args(Device):
        raise InputError(f"--device {value}", f"one of {', '.join(get_args(Device))}")
    return cast("Device", value)
