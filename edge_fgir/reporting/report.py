"""The page: a report rendered to HTML, and written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge_fgir import __version__
from edge_fgir._errors import InputError, MissingExtraError
from edge_fgir._files import write_atomic
from edge_fgir.reporting import (
    columns,
    figures,
    fit_figures,
    fits,
    profile_figures,
    profiles,
    units,
)
from edge_fgir.reporting.collect import Report, collect

if TYPE_CHECKING:
    from jinja2 import Template

_PAGE = "report.html.j2"


def write_report(
    results: Sequence[Path], out: Path, title: str = "", pictures: Sequence[Path] = ()
) -> Report:
    """Draw one self-contained HTML page from result files.

    Args:
        results: Result files of any kind, in any order.
        out: The page to write.
        title: Heading; by default it names the data.
        pictures: Folders whose pictures may be shown, beside those below the current folder and
            below a result's.

    Returns:
        What the page shows.

    Raises:
        InputError: A result cannot be used, or ``out`` cannot be written or is one of them.
        MissingExtraError: jinja2 is not installed.
    """
    template = _template()
    if out.resolve() in {path.resolve() for path in results}:
        raise InputError(f"--out {out} is one of the results", "a new file")
    report = collect(results, title, pictures)
    page = _render(template, report)
    try:
        # A file name may hold bytes that are no text.
        write_atomic(out, page.encode("utf-8", "replace"))
    except OSError as error:
        raise InputError(f"--out {out}: {error.strerror}", "a file that can be written") from error
    return report


def render(report: Report) -> str:
    """Return the page as HTML.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    return _render(_template(), report)


def _render(template: Template, report: Report) -> str:
    return template.render(
        report=report,
        columns=columns,
        figures=figures,
        fit_figures=fit_figures,
        fits=fits,
        profile_figures=profile_figures,
        profiles=profiles,
        version=__version__,
    )


def _template() -> Template:
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise MissingExtraError("jinja2", "report", "HTML reports") from error
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=units.percent,
        points=units.points,
        ms=units.milliseconds,
        mb=units.megabytes,
        times=units.times,
        duration=units.duration,
    )
    return environment.get_template(_PAGE)
