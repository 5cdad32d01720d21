"""Checking words that several commands take."""

from __future__ import annotations

from typing import cast, get_args

from edge_fgir._errors import InputError
from edge_fgir.runtime import Device


def device_choice(value: str) -> Device:
    """Return ``value`` as a device.

    Raises:
        InputError: It is none of ours.
    """
    if value not in get_args(Device):
        raise InputError(f"--device {value}", f"one of {', '.join(get_args(Device))}")
    return cast(Device, value)
