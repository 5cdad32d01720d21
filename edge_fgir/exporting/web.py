"""What a bundle for browsers holds beside the model: the page, and the library it computes with."""

from __future__ import annotations

from edge_fgir.exporting.target import Target
from edge_fgir.runtime import target_folder

_SITE = "site"
"""Beside ``target.yaml``: files of the page, as they lie in a bundle."""


def page_files(target: Target) -> dict[str, bytes]:
    """Return the files by path; none for a target without a page.

    Raises:
        InputError: The library cannot be had.
    """
    if target.page is None:
        return {}
    site = target_folder(target.name) / _SITE
    page = {
        path.relative_to(site).as_posix(): path.read_bytes()
        for path in sorted(site.rglob("*"))
        if path.is_file()
    }
    for package in target.page.packages:
        page |= package.read()
    return page
