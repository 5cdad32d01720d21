"""The typer application, and how every command ends: 0 ok, 1 it failed, 2 bad usage or input."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Annotated, Any

import typer

from edge_fgir import __version__
from edge_fgir._errors import EdgeFgirError, MissingExtraError
from edge_fgir._files import to_json
from edge_fgir._text import printable_json, printable_lines

app = typer.Typer(
    name="edge-fgir",
    help="Train, fit and deploy fine-grained image recognisers on edge devices.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON value for scripts.")]


def _version(show: bool) -> None:
    if show:
        echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Train, fit and deploy fine-grained image recognisers on edge devices."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; errors meant for the user are one line on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that is not UTF-8 gets escapes
            stream.reconfigure(errors="backslashreplace")
    try:
        app(args=list(arguments) if arguments is not None else None, prog_name="edge-fgir")
    except EdgeFgirError as error:
        echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        # A full disk, a folder that may not be written: the user's to mend, not a traceback.
        where = f"{error.filename!s}: " if error.filename else ""
        echo(" ".join(f"error: {where}{error.strerror or error}".split()), err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        echo("stopped", err=True)
        sys.exit(130)


def need(library: str, extra: str, purpose: str) -> None:
    """Raise MissingExtraError unless ``library`` can be imported."""
    if find_spec(library) is None:
        raise MissingExtraError(library, extra, purpose)


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print text; what a terminal would obey in names and messages is shown as escapes."""
    typer.echo(printable_lines(text), err=err, nl=nl)


def print_json(value: Any) -> None:
    """Print ``value`` as the command's one JSON answer."""
    typer.echo(printable_json(to_json(value)), nl=False)
