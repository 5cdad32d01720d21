"""Parts of a CycloneDX document: https://cyclonedx.org/docs/1.6/json/."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from edge_fgir import __version__
from edge_fgir._files import to_json

Part = dict[str, Any]
"""A JSON object of the document."""

_SPDX = re.compile(
    r"(CC-BY(-NC)?(-SA|-ND)?|ODbL|PDDL)-\d\.\d|CC0-1\.0|MIT|Apache-2\.0|BSD-[23]-Clause"
)
"""Identifiers of SPDX that are taken for what they are; any other licence is given by its name."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


def document(subject: Part, components: Sequence[Part], uses: Mapping[str, Sequence[str]]) -> Part:
    """Return a document.

    Its serial number follows from its content, so that the same things have the same bill.

    Args:
        subject: The component that it is about.
        components: What that consists of, or came from.
        uses: The references of what a component, by its reference, depends on.
    """
    content = {
        "metadata": {
            "tools": {
                "components": [{"type": "application", "name": "edge-fgir", "version": __version__}]
            },
            "component": subject,
        },
        "components": list(components),
        "dependencies": [{"ref": ref, "dependsOn": list(used)} for ref, used in uses.items()],
    }
    serial = uuid5(NAMESPACE_OID, to_json(content))
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1}
    return {**head, "serialNumber": f"urn:uuid:{serial}", **content}


def library(name: str, version: str) -> Part:
    """Return a Python distribution as a component."""
    plain = re.sub(r"[-_.]+", "-", name).lower()
    reference = f"pkg:pypi/{plain}@{version}"
    return {
        "type": "library",
        "bom-ref": reference,
        "name": name,
        "version": version,
        "purl": reference,
    }


def licences(text: str) -> list[Part]:
    """Return a licence: as SPDX knows it where ``text`` is one of the usual ones."""
    identifier = text.strip().replace("CC BY", "CC-BY").replace(" ", "-")
    if _SPDX.fullmatch(identifier):
        return [{"license": {"id": identifier}}]
    return [{"license": {"name": text}}]


def hashes(sha256: str) -> list[Part]:
    """Return a SHA-256 as hashes; none where it is something else, as "unknown"."""
    return [{"alg": "SHA-256", "content": sha256}] if _SHA256.fullmatch(sha256) else []


def properties(values: Mapping[str, object]) -> list[Part]:
    """Return facts that CycloneDX has no field for; those that are None are left out."""
    return [
        {"name": f"edge-fgir:{name}", "value": str(value)}
        for name, value in values.items()
        if value is not None
    ]
