"""The bill of materials of a bundle: its model, the data it learned from, what computes it."""

from __future__ import annotations

from edge_fgir._errors import InputError
from edge_fgir.describing.cyclonedx import Part, document, hashes, library, licences, properties
from edge_fgir.results import AccuracyReport
from edge_fgir.runtime import Bundle, Calibration, Manifest, find_runtime

BILL = "bom.json"
"""The file of a bundle."""

_MODEL, _DATA = "model", "data"


def read_bill(bundle: Bundle) -> Part:
    """Return the bill of a bundle: the one that is sealed in it, else one of what it says now.

    Raises:
        InputError: A file that it needs was changed, or is not what it should be.
    """
    if BILL in {entry.path for entry in bundle.manifest.files}:
        return bundle.read_object(BILL)
    return bill_of_bundle(bundle.manifest, accuracy_of(bundle), bundle.calibration)


def accuracy_of(bundle: Bundle) -> AccuracyReport | None:
    """Return the accuracy that a bundle tells; None where it tells none in today's form."""
    try:
        return AccuracyReport.of(bundle)
    except InputError:
        return None


def bill_of_bundle(
    manifest: Manifest, accuracy: AccuracyReport | None, calibration: Calibration
) -> Part:
    """Return the bill of materials of a bundle, with the model's card.

    Args:
        manifest: Of the bundle, at least with the model's own files.
        accuracy: On the validation split; None: not known.
        calibration: How far its scores can be trusted.
    """
    runtime = find_runtime(manifest.runtime).library
    versions = {name: version for name, version in manifest.versions.items() if name == runtime}
    engines = [library(name, version) for name, version in versions.items()]
    model: Part = {
        "type": "machine-learning-model",
        "bom-ref": _MODEL,
        "name": manifest.name,
        "version": manifest.created,
        "description": f"{manifest.architecture}, {manifest.precision}, for {manifest.target}",
        "components": [
            {"type": "file", "name": entry.path, "hashes": hashes(entry.sha256)}
            for entry in manifest.files
            if manifest.is_models(entry.path)
        ],
        "modelCard": _card(manifest, accuracy, calibration),
        "properties": properties(_facts(manifest)),
    }
    data: Part = {
        "type": "data",
        "bom-ref": _DATA,
        "name": manifest.data.name,
        "licenses": licences(manifest.data.licence),
        "hashes": hashes(manifest.data.hash),
        "data": [{"type": "dataset", "name": manifest.data.name}],
        "description": "labelled photographs; the hash is over file names, sizes, labels, splits",
    }
    uses = {_MODEL: [_DATA, *(engine["bom-ref"] for engine in engines)]}
    return document(model, [data, *engines], uses)


def _card(manifest: Manifest, accuracy: AccuracyReport | None, calibration: Calibration) -> Part:
    _, height, width, _ = manifest.input.shape
    card: Part = {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": "image classification",
            "modelArchitecture": manifest.architecture,
            "datasets": [{"ref": _DATA}],
            "inputs": [{"format": f"{width} x {height} RGB pixels, uint8"}],
            "outputs": [{"format": f"probabilities of {manifest.output.classes} classes, float32"}],
        },
        "considerations": {
            "technicalLimitations": [
                "Accuracy is that of the validation split, which also chose what was built.",
                f"A score below {calibration.unknown_threshold:.3f} means that the picture is "
                "unknown; pictures of no class can score higher.",
            ]
        },
    }
    if accuracy is not None:
        card["quantitativeAnalysis"] = {"performanceMetrics": _metrics(accuracy)}
    return card


def _metrics(accuracy: AccuracyReport) -> list[Part]:
    low, high = accuracy.top1_interval
    interval = {"lowerBound": f"{low:.2f}", "upperBound": f"{high:.2f}"}
    figures = {
        "top-1 accuracy, percent": accuracy.top1,
        "top-5 accuracy, percent": accuracy.top5,
        "mean accuracy of the classes, percent": accuracy.macro,
        "mean accuracy of the worst tenth of the classes, percent": accuracy.worst_decile,
        "expected calibration error, percent": accuracy.ece,
    }
    where = f"{accuracy.split}, {accuracy.images} images"
    metrics: list[Part] = [
        {"type": name, "value": f"{value:.2f}", "slice": where} for name, value in figures.items()
    ]
    metrics[0]["confidenceInterval"] = interval
    return metrics


def _facts(manifest: Manifest) -> dict[str, object]:
    origin = manifest.origin
    facts: dict[str, object] = {
        "target": manifest.target,
        "precision": manifest.precision,
        "parameters": manifest.params,
        "source-commit": manifest.source_commit,
        "recipe-sha256": origin and origin.recipe,
        "trained-weights-sha256": origin and origin.weights,
        "training-started-from": origin and origin.started_from,
    }
    made_with = {f"made-with:{name}": version for name, version in manifest.versions.items()}
    return facts | made_with
