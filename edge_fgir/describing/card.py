"""The card of a bundle: the page that a hub shows, in Markdown with fields for its search."""

from __future__ import annotations

import html
import re

import yaml

from edge_fgir._text import printable
from edge_fgir.describing.cyclonedx import licences
from edge_fgir.describing.materials import accuracy_of
from edge_fgir.results import AccuracyReport
from edge_fgir.runtime import Bundle

_SHOWN_CLASSES = 50
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~-])")


def card_of(bundle: Bundle, file: str, place: str) -> str:
    """Return the card of a bundle.

    Args:
        bundle: It.
        file: The bundle's name at the place.
        place: The repository, ``user/name``.
    """
    manifest, accuracy = bundle.manifest, accuracy_of(bundle)
    facts = {
        "data": f"{manifest.data.name} ({manifest.data.licence})",
        "network": f"{manifest.architecture}, {manifest.params:,} parameters",
        "computes in": manifest.precision,
        "runs on": f"{manifest.target} ({manifest.runtime})",
        "input": f"{bundle.preprocess.size} px",
        **_variants(bundle),
        "size": f"{bundle.size / 1e6:.1f} MB",
        **_figures(accuracy),
    }
    rows = "\n".join(f"| {name} | {_safe(value)} |" for name, value in facts.items())
    return f"""---
{_fields(bundle)}---

# {_safe(manifest.name)}

Tells {manifest.output.classes} classes of pictures apart. Made with edge-fgir, as a sealed bundle
that a device opens without PyTorch.

    edge-fgir pull {place} --out {file}
    edge-fgir verify {file}
    edge-fgir predict {file} photo.jpg

| | |
|---|---|
{rows}

Accuracy is that of the validation pictures, which also decided what was built: expect a little
less of new ones. A score below {bundle.calibration.unknown_threshold:.3f} is reported as unknown.
The weights came from the data above, whose terms apply. `edge-fgir bom {file}` prints data
fingerprint, origin and metrics as a CycloneDX document.

## Classes

{_classes(bundle.labels)}
"""


def _variants(bundle: Bundle) -> dict[str, str]:
    """Return what a bundle holds beside its first variant, if anything."""
    names = bundle.manifest.variant_names[1:]
    return {"smaller variants (side, keep rate)": ", ".join(names)} if names else {}


def _fields(bundle: Bundle) -> str:
    """Return the fields that a hub searches by, as YAML."""
    licence = licences(bundle.manifest.data.licence)[0]["license"]
    known = licence.get("id", "").lower()
    fields = {
        "library_name": "edge-fgir",
        "pipeline_tag": "image-classification",
        "tags": ["edge-fgir", "fine-grained", bundle.manifest.target, bundle.manifest.precision],
        "license": known or "other",
        **({} if known else {"license_name": printable(bundle.manifest.data.licence)}),
    }
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)


def _figures(accuracy: AccuracyReport | None) -> dict[str, str]:
    if accuracy is None:
        return {}
    low, high = accuracy.top1_interval
    return {
        "top-1 accuracy": f"{accuracy.top1:.1f} % (95 % interval {low:.1f} to {high:.1f}) "
        f"of {accuracy.images} validation pictures",
        "worst tenth of the classes": f"{accuracy.worst_decile:.1f} %",
        "calibration error": f"{accuracy.ece:.1f} %",
    }


def _classes(labels: tuple[str, ...]) -> str:
    shown = ", ".join(_safe(label) for label in labels[:_SHOWN_CLASSES])
    rest = len(labels) - _SHOWN_CLASSES
    return f"{shown} and {rest} more" if rest > 0 else shown


def _safe(text: str) -> str:
    """Return text from a bundle so that a page shows it and obeys nothing in it."""
    return _MARKDOWN.sub(r"\\\1", html.escape(printable(text)))
