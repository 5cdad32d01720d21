"""Bills of materials: CycloneDX documents that its own tool takes, with what is in the bundle."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from bundles import make_bundle
from samples import metrics

from edge_fgir._errors import InputError
from edge_fgir.describing import bill_of_software, read_bill
from edge_fgir.describing.cyclonedx import hashes, library, licences
from edge_fgir.runtime import Bundle, OriginInfo

pytestmark = pytest.mark.unit

Bill = dict[str, Any]


def accuracy(labels: tuple[str, ...]) -> bytes:
    by_class = [{"name": name, "images": 10, "top1": 90.0} for name in labels]
    table = [[10 if row == column else 0 for column in labels] for row in labels]
    values = {**metrics(93.21, 10 * len(labels), by_class, table), "split": "val"}
    return json.dumps(values).encode()


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    origin = OriginInfo(weights="1" * 64, recipe="2" * 64, started_from="timm")
    report = {"reports/accuracy.json": accuracy(("red", "green", "blue"))}
    versions = {"edge-fgir": "0", "openvino": "2026.1", "torch": "2.9"}
    return Bundle(
        make_bundle(tmp_path / "a.fgir", replaced=report, origin=origin, versions=versions)
    )


def facts(component: Bill) -> dict[str, str]:
    return {each["name"]: each["value"] for each in component["properties"]}


def check_by_cyclonedx(bill: Bill) -> None:
    """Validate by CycloneDX's own library, in its strictest way."""
    pytest.importorskip("cyclonedx", reason='pip install "cyclonedx-python-lib[json-validation]"')
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill))
    assert problem is None, str(problem)


def check_references(bill: Bill) -> None:
    """Whatever is referred to is there, once."""
    parts = [bill["metadata"]["component"], *bill["components"]]
    known = [part["bom-ref"] for part in parts if "bom-ref" in part]
    assert len(set(known)) == len(known)
    for entry in bill["dependencies"]:
        assert {entry["ref"], *entry["dependsOn"]} <= set(known)


def test_the_bill_of_a_bundle_says_what_it_is_made_of(bundle: Bundle) -> None:
    bill = read_bill(bundle)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    model = bill["metadata"]["component"]
    assert model["type"] == "machine-learning-model"
    sealed = {entry.path: entry.sha256 for entry in bundle.manifest.files}
    for part in model["components"]:
        assert part["hashes"] == [{"alg": "SHA-256", "content": sealed[part["name"]]}]
    assert [part["name"] for part in model["components"]] == [
        "openvino/model.bin",
        "openvino/model.xml",
    ]
    assert facts(model)["edge-fgir:recipe-sha256"] == "2" * 64
    assert facts(model)["edge-fgir:trained-weights-sha256"] == "1" * 64
    assert facts(model)["edge-fgir:training-started-from"] == "timm"
    assert facts(model)["edge-fgir:made-with:torch"] == "2.9"
    data, engine = bill["components"]
    assert (data["name"], data["hashes"][0]["content"]) == ("colours", "0" * 64)
    assert data["licenses"] == [{"license": {"id": "CC0-1.0"}}]
    assert engine["purl"] == "pkg:pypi/openvino@2026.1"
    check_references(bill)


def test_its_card_has_the_metrics_with_their_interval(bundle: Bundle) -> None:
    card = read_bill(bundle)["metadata"]["component"]["modelCard"]
    first, *_ = card["quantitativeAnalysis"]["performanceMetrics"]
    assert (first["type"], first["value"]) == ("top-1 accuracy, percent", "93.21")
    assert first["slice"] == "val, 30 images"
    assert set(first["confidenceInterval"]) == {"lowerBound", "upperBound"}
    assert card["modelParameters"]["inputs"] == [{"format": "32 x 32 RGB pixels, uint8"}]


def test_without_a_report_it_has_no_metrics(tiny_bundle: Path) -> None:
    card = read_bill(Bundle(tiny_bundle))["metadata"]["component"]["modelCard"]
    assert "quantitativeAnalysis" not in card


def test_the_same_bundle_has_the_same_bill(bundle: Bundle, tmp_path: Path) -> None:
    assert read_bill(bundle) == read_bill(Bundle(bundle.path))
    other = Bundle(make_bundle(tmp_path / "b.fgir", labels=("a", "b")))
    assert read_bill(other)["serialNumber"] != read_bill(bundle)["serialNumber"]


def test_a_sealed_bill_is_handed_out_as_it_is(tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "a.fgir", replaced={"bom.json": b'{"bomFormat": "CycloneDX"}'})
    assert read_bill(Bundle(path)) == {"bomFormat": "CycloneDX"}


@pytest.mark.parametrize("text", [b"{", b"[" * 100_000, b"[1]"])
def test_a_sealed_bill_that_is_none_is_refused(tmp_path: Path, text: bytes) -> None:
    path = make_bundle(tmp_path / "a.fgir", replaced={"bom.json": text})
    with pytest.raises(InputError, match=r"bom\.json"):
        read_bill(Bundle(path))


def test_the_bill_of_the_software_names_what_is_installed() -> None:
    bill = bill_of_software()
    assert bill["metadata"]["component"]["type"] == "application"
    parts = {part["name"].lower(): part for part in bill["components"]}
    for name in ("numpy", "pillow", "pydantic", "pyyaml", "typer", "rich"):
        assert parts[name]["version"] == version(name)
    assert "pydantic-core" in {name.replace("_", "-") for name in parts}  # named by pydantic alone
    assert parts["numpy"]["licenses"]
    check_references(bill)
    own = bill["metadata"]["component"]["bom-ref"]
    needs = next(entry for entry in bill["dependencies"] if entry["ref"] == own)
    assert parts["numpy"]["bom-ref"] in needs["dependsOn"]


def test_cyclonedx_takes_them(bundle: Bundle) -> None:
    check_by_cyclonedx(read_bill(bundle))
    check_by_cyclonedx(bill_of_software())


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("CC BY-NC-SA 4.0", {"id": "CC-BY-NC-SA-4.0"}),
        ("CC0-1.0", {"id": "CC0-1.0"}),
        ("MIT", {"id": "MIT"}),
        ("not stated; check the terms of your data", None),
        ("MITX", None),
    ],
)
def test_licences_are_called_as_spdx_does_where_they_are_known(text, known) -> None:
    assert licences(text) == [{"license": known or {"name": text}}]


def test_what_is_no_hash_is_left_out() -> None:
    assert hashes("unknown") == []


def test_names_of_libraries_are_written_in_one_way() -> None:
    assert library("ai_edge.LiteRT", "2")["purl"] == "pkg:pypi/ai-edge-litert@2"


def test_the_command_prints_one_or_writes_it(run_cli, bundle: Bundle, tmp_path: Path) -> None:
    printed = run_cli("bom", bundle.path)
    assert printed.json == read_bill(bundle)
    written = run_cli("bom", bundle.path, "--out", tmp_path / "bom.json")
    assert written.out == f"bill of materials: {tmp_path / 'bom.json'}\n"
    assert json.loads((tmp_path / "bom.json").read_text()) == printed.json
    assert run_cli("bom").json["metadata"]["component"]["name"] == "edge-fgir"


def test_a_changed_bundle_has_none(run_cli, bundle: Bundle) -> None:
    file = bundle.path / "calibration.json"
    file.write_text(file.read_text().replace("1", "2"))
    done = run_cli("bom", bundle.path)
    assert (done.code, done.out) == (2, "")
