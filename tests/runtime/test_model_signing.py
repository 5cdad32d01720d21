"""``model.sig``: OpenSSF Model Signing, written and checked here."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bundles import edit_manifest, zip_bundle
from refusals import refusal
from signing import Keys

from edge_fgir.runtime import Bundle
from edge_fgir.runtime.signing import SigningKey, read_public_key

pytestmark = pytest.mark.unit

pytest.importorskip("cryptography", reason="signing needs the extra 'sign'")

Values = dict[str, Any]


@pytest.fixture(scope="module", params=["p256", "p384", "p521"])
def ours(request, tmp_path_factory) -> Keys:
    return Keys(tmp_path_factory.mktemp("ours") / "keys", request.param)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory) -> Keys:
    return Keys(tmp_path_factory.mktemp("theirs") / "keys", "p256")


@pytest.fixture
def signed(ours, tiny_bundle, tmp_path) -> Path:
    return ours.sign(Path(shutil.copytree(tiny_bundle, tmp_path / "birds.fgir")))


def statement_of(bundle: Path) -> Values:
    envelope = json.loads((bundle / "model.sig").read_text())["dsseEnvelope"]
    statement: Values = json.loads(base64.b64decode(envelope["payload"]))
    return statement


def change(bundle: Path, edit: Callable[[Values], object]) -> None:
    """Let ``edit`` change the statement of a ``model.sig``; what signed it stays."""
    file = bundle / "model.sig"
    values, statement = json.loads(file.read_text()), statement_of(bundle)
    edit(statement)
    payload = base64.b64encode(json.dumps(statement).encode()).decode()
    values["dsseEnvelope"]["payload"] = payload
    file.write_text(json.dumps(values))


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_the_right_key_opens_it(form, signed, ours, tmp_path):
    path = signed if form == "folder" else zip_bundle(signed, tmp_path / "birds.zip")
    signature, files, _ = Bundle(path, trust=ours.public).check_files()
    signer = read_public_key(ours.public).fingerprint[:16]
    assert signature.detail == f"by the trusted key {signer} (OpenSSF Model Signing)"
    assert files.ok


def test_it_lists_the_hash_of_every_file(signed):
    listed = {
        each["name"]: each["digest"] for each in statement_of(signed)["predicate"]["resources"]
    }
    sealed = {entry.path: entry.sha256 for entry in Bundle(signed).manifest.files}
    assert listed.pop("manifest.json")
    assert listed == sealed


def test_without_a_key_it_proves_nothing(signed):
    signature, *_ = Bundle(signed).check_files()
    assert "who signed is told by --trust" in signature.detail


def test_another_key_is_named(signed, theirs):
    own = json.loads((signed / "model.sig").read_text())["verificationMaterial"]["publicKey"][
        "hint"
    ]
    text = refusal(lambda: Bundle(signed, trust=theirs.public))
    assert f"is signed by key {own[:16]}; expected key " in text


def test_a_key_that_is_only_claimed(signed, ours, theirs):
    theirs.sign(signed)
    file = signed / "model.sig"
    values = json.loads(file.read_text())
    values["verificationMaterial"]["publicKey"]["hint"] = read_public_key(ours.public).fingerprint
    file.write_text(json.dumps(values))
    assert "was not made by key" in refusal(lambda: Bundle(signed, trust=ours.public))


def test_a_key_that_is_not_named_is_proven(signed, ours, theirs):
    file = signed / "model.sig"
    values = json.loads(file.read_text())
    values["verificationMaterial"]["publicKey"] = {}
    file.write_text(json.dumps(values))
    assert Bundle(signed, trust=ours.public).labels
    assert "was not made by key" in refusal(lambda: Bundle(signed, trust=theirs.public))


def test_a_bundle_that_was_changed_and_sealed_again(signed, ours):
    edit_manifest(signed, lambda manifest: manifest.update(name="crows"))
    message = f"{signed}/model.sig does not fit manifest.json: one of them was changed"
    assert refusal(lambda: Bundle(signed, trust=ours.public)).startswith(message)
    assert refusal(lambda: list(Bundle(signed).check_files())).startswith(message)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda s: s["predicate"]["resources"][0].update(digest="0" * 64), "contradicts itself"),
        (
            lambda s: s["predicate"]["resources"].append(s["predicate"]["resources"][0]),
            "contradict",
        ),
        (lambda s: s["subject"][0]["digest"].update(sha256="0" * 64), "contradicts itself"),
        (lambda s: s.update(predicateType="https://slsa.dev/provenance/v1"), "predicateType: "),
        (lambda s: s.update(_type="https://in-toto.io/Statement/v0.1"), "_type: "),
        (lambda s: s["predicate"].update(resources=[]), "predicate.resources: "),
        (lambda s: s["predicate"]["resources"][0].update(algorithm="md5"), "algorithm: "),
    ],
    ids=range(7),
)
def test_a_statement_that_was_changed(edit, message, signed, ours):
    change(signed, edit)
    assert message in refusal(lambda: list(Bundle(signed).check_files()))
    assert "was not made by key" in refusal(lambda: Bundle(signed, trust=ours.public))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "model.sig: text: Invalid JSON"),
        (b"[" * 100_000, "model.sig: text: Invalid JSON"),
        (b"{}", "model.sig: mediaType: Field required"),
        (b"\0" * (5 << 20), "model.sig has 5242880 bytes; expected at most"),
    ],
    ids=range(4),
)
def test_a_malformed_signature(text, message, signed, ours):
    (signed / "model.sig").write_bytes(text)
    assert message in refusal(lambda: list(Bundle(signed).check_files()))
    assert message in refusal(lambda: Bundle(signed, trust=ours.public))


@pytest.mark.parametrize("place", [("payload",), ("payloadType",), ("signatures", 0, "sig")])
def test_a_changed_envelope(place, signed, ours):
    values = json.loads((signed / "model.sig").read_text())
    inner = values["dsseEnvelope"]
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = "!" + inner[place[-1]][1:]
    (signed / "model.sig").write_text(json.dumps(values))
    refusal(lambda: Bundle(signed, trust=ours.public))


def test_both_kinds_stand_side_by_side(signed, ours, tmp_path):
    edwards = Keys(tmp_path / "edwards")
    edwards.sign(signed)
    for keys in (ours, edwards):
        checks = [check.detail for check in Bundle(signed, trust=keys.public).check_files()]
        assert sum(detail.startswith("by the trusted key") for detail in checks) == 1
    # A key asks for its own kind: one that was taken out is missed.
    (signed / "model.sig").unlink()
    assert "expected a model.sig by the key of" in refusal(
        lambda: Bundle(signed, trust=ours.public)
    )


def test_no_manifest_lists_it(signed):
    entry = {"path": "model.sig", "sha256": "0" * 64, "size": 1}
    edit_manifest(signed, lambda manifest: manifest["files"].append(entry))
    assert "unsafe path 'model.sig'" in refusal(lambda: Bundle(signed))


@pytest.fixture
def other_program() -> Any:
    return pytest.importorskip("model_signing", reason="pip install model-signing pyOpenSSL")


def test_the_program_of_openssf_accepts_what_is_signed_here(signed, ours, other_program):
    other_program.verifying.Config().use_elliptic_key_verifier(public_key=ours.public).verify(
        signed, signed / "model.sig"
    )
    (signed / "labels.txt").write_text("crow\n")
    with pytest.raises(ValueError, match=r"labels\.txt"):
        other_program.verifying.Config().use_elliptic_key_verifier(public_key=ours.public).verify(
            signed, signed / "model.sig"
        )


def test_what_the_program_of_openssf_signed_is_accepted(
    tiny_bundle, tmp_path, ours, theirs, other_program
):
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "birds.fgir"))
    other_program.signing.Config().use_elliptic_key_signer(private_key=ours.private).sign(
        bundle, bundle / "model.sig"
    )
    signature, *_ = Bundle(bundle, trust=ours.public).check_files()
    assert signature.detail.startswith("by the trusted key")
    assert "is signed by key" in refusal(lambda: Bundle(bundle, trust=theirs.public))


def test_a_signing_key_of_each_kind_makes_its_file(ours, tiny_bundle):
    signature = SigningKey.read(ours.private).sign((tiny_bundle / "manifest.json").read_bytes())
    assert signature.file == "model.sig"
    assert signature.is_by(read_public_key(ours.public))
