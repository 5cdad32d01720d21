"""``bench`` on another machine: which of its options go along, and which stay."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import typer

from edge_fgir._errors import InputError

# Of the bundle the machine gets a copy, and the result comes back: these mean files here.
_KEPT = ("bundle", "trust", "host", "out", "json")


def bench_on(host: str, command: Callable[..., None], given: Mapping[str, Any]) -> dict[str, Any]:
    """Run ``bench`` on ``host`` with the options given here, and return its result.

    Args:
        host: ``user@host`` or ``user@host:port``.
        command: The command's function.
        given: Its arguments, by name.

    Raises:
        EdgeFgirError: See :func:`~edge_fgir.benchmarking.remote.bench_there`; or an option names
            another file, which is here and not there.
    """
    from edge_fgir.benchmarking.remote import bench_there
    from edge_fgir.runtime import Bundle

    return bench_there(
        host,
        Bundle(given["bundle"], given["trust"]),
        _words(command, given),
        device=given["device"],
        say=lambda line: typer.echo(line, err=True),
    )


def _words(command: Callable[..., None], given: Mapping[str, Any]) -> list[str]:
    words = []
    for name, parameter in inspect.signature(command).parameters.items():
        value, option = given[name], "--" + name.replace("_", "-")
        if name in _KEPT or value == parameter.default:
            continue
        if isinstance(value, Path):
            raise InputError(
                f"{option} {value} with --host", "one of the two: that file is here, not there"
            )
        words.append(option if value is True else f"{option}={value}")
    return words
