"""The bill of materials of this package: the libraries that are installed for it, and theirs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from edge_fgir._errors import InputError
from edge_fgir.describing.cyclonedx import Part, document, library, licences

_PACKAGE = "edge-fgir"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LONGEST_LICENCE = 100
"""Some distributions put the whole text where the name should stand."""


def bill_of_software() -> Part:
    """Return a bill of what is installed here of the libraries that edge-fgir names.

    Libraries of extras are in it where they are installed, and so is what those need.

    Raises:
        InputError: edge-fgir itself is not installed, but run from its source.
    """
    try:
        own = distribution(_PACKAGE)
    except PackageNotFoundError as error:
        raise InputError(
            f"{_PACKAGE} is not installed", "it with its libraries", "run: pip install edge-fgir"
        ) from error
    found = {_plain(_PACKAGE): own}
    waiting = [own]
    needs: dict[str, list[str]] = {}
    while waiting:
        one = waiting.pop()
        needed = dict(_needed(one, with_extras=one is own))
        waiting += [each for name, each in needed.items() if name not in found]
        found |= needed
        needs[_plain(one.name)] = sorted(needed)
    parts = {name: _part(each) for name, each in sorted(found.items())}
    subject = parts.pop(_plain(_PACKAGE)) | {"type": "application"}
    references = {name: part["bom-ref"] for name, part in parts.items()}
    references[_plain(_PACKAGE)] = subject["bom-ref"]
    uses = {
        references[name]: [references[each] for each in needed]
        for name, needed in sorted(needs.items())
    }
    return document(subject, list(parts.values()), uses)


def _needed(one: Distribution, *, with_extras: bool) -> Iterator[tuple[str, Distribution]]:
    """Yield what a distribution requires and is installed.

    Markers of extras are looked for, others are not evaluated: what they exclude is rarely there.
    """
    for requirement in one.requires or ():
        named = _NAME.match(requirement)
        if named is None or ("extra ==" in requirement and not with_extras):
            continue
        name = _plain(named[0])
        if name == _plain(one.name):  # an extra that takes in another
            continue
        try:
            yield name, distribution(name)
        except PackageNotFoundError:
            continue


def _part(one: Distribution) -> Part:
    about = one.metadata.json
    part = library(one.name, one.version)
    stated = str(about.get("license_expression") or about.get("license") or "")
    trove = [value for value in about.get("classifier", ()) if value.startswith("License ::")]
    if not stated or "\n" in stated or len(stated) > _LONGEST_LICENCE:
        stated = ", ".join(value.rpartition(" :: ")[2] for value in trove)
    return part | ({"licenses": licences(stated)} if stated else {})


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
