from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bundles import edit_manifest, zip_bundle
from refusals import refusal
from signing import Keys

from edge_fgir import Classifier
from edge_fgir._errors import MissingExtraError
from edge_fgir.runtime import Bundle, verify
from edge_fgir.runtime.signing import Ed25519Signature, SigningKey, read_public_key

pytestmark = pytest.mark.unit

pytest.importorskip("cryptography", reason="signing needs the extra 'sign'")


@pytest.fixture(scope="module")
def ours(tmp_path_factory) -> Keys:
    return Keys(tmp_path_factory.mktemp("ours") / "keys")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory) -> Keys:
    return Keys(tmp_path_factory.mktemp("theirs") / "keys")


@pytest.fixture
def signed(ours, tiny_bundle, tmp_path) -> Path:
    return ours.sign(Path(shutil.copytree(tiny_bundle, tmp_path / "birds.fgir")))


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_the_right_key_opens_a_signed_bundle(form, signed, ours, tmp_path):
    path = signed if form == "folder" else zip_bundle(signed, tmp_path / "birds.zip")
    signature, files, contents = Bundle(path, trust=ours.public).check_files()
    signer = read_public_key(ours.public).fingerprint[:16]
    assert (signature.name, signature.ok) == ("signature", True)
    assert signature.detail == f"by the trusted key {signer}"
    assert files.ok
    assert contents.ok


def test_a_path_may_be_text(signed, ours):
    assert Bundle(str(signed), trust=str(ours.public)).signatures


@pytest.mark.export
def test_classifier_and_verify_take_the_key_too(signed, ours, theirs, tiny_bundle):
    with Classifier.open(signed, trust=ours.public) as model:
        assert model.bundle.signatures
    assert [check.name.split()[0] for check in verify(signed, trust=ours.public)] == [
        "signature",
        "files",
        "contents",
        "golden",
    ]
    for action in (Classifier.open, verify):
        assert "is signed by key" in refusal(lambda a=action: list(a(signed, trust=theirs.public)))  # type: ignore[misc]
        assert "is not signed" in refusal(lambda a=action: list(a(tiny_bundle, trust=ours.public)))  # type: ignore[misc]


def test_without_a_key_the_check_says_that_it_proves_nothing(signed, theirs):
    for path in (signed, theirs.sign(signed)):
        signature, *_ = Bundle(path).check_files()
        assert signature.ok
        assert signature.detail.endswith(
            "which may be anyone's: to know whose, add --trust PUB.pem"
        )


def test_an_unsigned_bundle(tiny_bundle, ours):
    assert Bundle(tiny_bundle).signatures == ()
    assert [check.name for check in Bundle(tiny_bundle).check_files()] == ["files", "contents"]
    assert refusal(lambda: Bundle(tiny_bundle, trust=ours.public)) == (
        f"{tiny_bundle} is not signed; expected a signature.json by the key of {ours.public}; "
        "get the signed bundle, or sign it with: edge-fgir export --sign"
    )


def test_another_key(signed, ours, theirs):
    own, other = (read_public_key(keys.public).fingerprint[:16] for keys in (ours, theirs))
    assert refusal(lambda: Bundle(signed, trust=theirs.public)) == (
        f"{signed} is signed by key {own}; expected key {other} of {theirs.public}; "
        "do not use the bundle; get it again from whom you trust"
    )


def test_a_bundle_that_was_changed_and_sealed_again(signed, ours, theirs):
    edit_manifest(signed, lambda manifest: manifest.update(name="crows"))
    message = f"{signed}/signature.json does not fit manifest.json: one of them was changed"
    assert refusal(lambda: Bundle(signed, trust=ours.public)).startswith(message)
    # Without a key it opens, as any unsigned bundle, but verify does not pass over it.
    assert refusal(lambda: list(Bundle(signed).check_files())).startswith(message)
    # Signed again by whoever changed it: only the key tells.
    theirs.sign(signed)
    assert "is signed by key" in refusal(lambda: Bundle(signed, trust=ours.public))


def test_a_changed_file_is_found_behind_a_right_signature(signed, ours):
    (signed / "labels.txt").write_text("red\ngreen\nblau\n")
    bundle = Bundle(signed, trust=ours.public)
    assert "labels.txt was changed" in refusal(lambda: list(bundle.check_files()))


def test_a_key_that_is_only_claimed(signed, ours, theirs):
    theirs.sign(signed)
    file = signed / "signature.json"
    values = json.loads(file.read_text()) | {"public_key": read_public_key(ours.public).fingerprint}
    file.write_text(Ed25519Signature(**values).dump())
    assert "does not fit manifest.json" in refusal(lambda: Bundle(signed, trust=ours.public))
    assert "does not fit manifest.json" in refusal(lambda: list(Bundle(signed).check_files()))


def test_any_changed_byte_of_the_signature(signed, ours):
    file = signed / "signature.json"
    whole = file.read_bytes()
    for place in range(len(whole)):
        spoilt = bytearray(whole)
        spoilt[place] ^= 1 << place % 8
        file.write_bytes(spoilt)
        refusal(lambda: Bundle(signed, trust=ours.public))
        refusal(lambda: list(Bundle(signed).check_files()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: b"", "signature.json: text: Invalid JSON"),
        (lambda text: b"[" * 100_000, "signature.json: text: Invalid JSON"),
        (lambda text: b"[]", "signature.json: text: Input should be an object"),
        (lambda text: b"{}", "signature.json: public_key: Field required"),
        (lambda text: b"\0" * (5 << 20), "signature.json has 5242880 bytes; expected at most"),
        (lambda text: text + b"\n", "signature.json was changed after signing"),
        (
            lambda text: text.replace(b'"algorithm"', b'"algo"'),
            "signature.json has an unknown key algo",
        ),
        (lambda text: text.replace(b"25519", b"448"), "algorithm: Input should be 'ed25519'"),
        (lambda text: text.replace(b"ture/1", b"ture/2"), "schema: Input should be 'edge-fgir/si"),
        (lambda text: text.replace(b'"signature": "', b'"signature": "0'), "signature: String sh"),
        (lambda text: text.replace(b'"public_key": "', b'"public_key": "G'), "public_key: String"),
        (lambda text: text.upper(), "signature.json: public_key: Field required"),
    ],
    ids=range(12),
)
def test_a_malformed_signature(change, message, signed, ours):
    file = signed / "signature.json"
    file.write_bytes(change(file.read_bytes()))
    for action in (
        lambda: Bundle(signed, trust=ours.public),
        lambda: list(Bundle(signed).check_files()),
    ):
        assert message in refusal(action)


def test_a_manifest_cannot_list_its_own_signature(signed):
    entry = {"path": "signature.json", "sha256": "0" * 64, "size": 1}
    edit_manifest(signed, lambda manifest: manifest["files"].append(entry))
    assert "unsafe path 'signature.json'" in refusal(lambda: Bundle(signed))


def test_a_signature_is_no_file_that_is_handed_out(signed):
    assert "has no file signature.json" in refusal(lambda: Bundle(signed).read("signature.json"))


PRIVATE = (
    "expected an Ed25519 or elliptic curve private key in a PEM file, without a passphrase; "
    "make one with: "
)
PUBLIC = (
    "expected an Ed25519 or elliptic curve public key in a PEM file; make it with: openssl pkey "
)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("missing", "does not exist; "),
        ("folder", "is a folder; "),
        ("empty", "holds no private key; "),
        ("garbage", "holds no private key; "),
        ("public", "holds no private key; "),
        ("passphrase", "has a passphrase; "),
        ("ed448", "is a key of another kind; "),
        ("k256", "is a key of another kind; "),
    ],
)
def test_a_key_that_cannot_sign(case, message, ours, tmp_path):
    path = key_of(case, tmp_path) if case != "public" else ours.public
    text = refusal(lambda: SigningKey.read(path))
    assert text.startswith(str(path))
    assert message + PRIVATE in text


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("missing", "does not exist; "),
        ("folder", "is a folder; "),
        ("empty", "holds no public key; "),
        ("garbage", "holds no public key; "),
        ("private", "holds no public key; "),
        ("ed448", "is a key of another kind; "),
        ("k256", "is a key of another kind; "),
    ],
)
def test_a_key_that_cannot_be_trusted(case, message, ours, signed, tmp_path):
    path = key_of(case, tmp_path, private=False) if case != "private" else ours.private
    text = refusal(lambda: Bundle(signed, trust=path))
    assert text.startswith(str(path))
    assert message + PUBLIC in text


def key_of(case: str, folder: Path, *, private: bool = True) -> Path:
    """Return the path of something that is no such key."""
    path = folder / "key.pem"
    if case == "folder":
        path.mkdir()
    elif case == "empty":
        path.touch()
    elif case == "garbage":
        path.write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n\xff")
    elif case == "passphrase":
        return Keys(folder / "locked", passphrase=b"secret").private
    elif case != "missing":
        keys = Keys(folder / case, case)
        return keys.private if private else keys.public
    return path


def test_without_cryptography_it_is_named(signed, ours, monkeypatch):
    for name in [n for n in sys.modules if n.split(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(MissingExtraError, match=r'run: pip install "edge-fgir\[sign\]"'):
        SigningKey.read(ours.private)
    for action in (
        lambda: Bundle(signed, trust=ours.public),
        lambda: list(Bundle(signed).check_files()),
    ):
        with pytest.raises(MissingExtraError, match="cryptography is not installed"):
            action()
    assert Bundle(signed).labels == ("red", "green", "blue")


def test_cryptography_is_loaded_only_to_check(signed, ours):
    code = (
        "import sys; from edge_fgir.runtime import Bundle; Bundle(sys.argv[1]).labels\n"
        "assert 'cryptography' not in sys.modules\n"
        "Bundle(sys.argv[1], trust=sys.argv[2])\n"
        "assert 'cryptography' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, signed, ours.public], check=True)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl program")
def test_openssl_makes_our_keys_and_agrees_with_our_signature(tiny_bundle, tmp_path):
    key, public, raw = (tmp_path / name for name in ("key.pem", "pub.pem", "signature.raw"))

    def openssl(*arguments: object) -> str:
        done = subprocess.run(
            ["openssl", *map(str, arguments)], capture_output=True, text=True, check=True
        )
        return done.stdout

    openssl("genpkey", "-algorithm", "ed25519", "-out", key)
    openssl("pkey", "-in", key, "-pubout", "-out", public)
    manifest = tiny_bundle / "manifest.json"
    signature = SigningKey.read(key).sign(manifest.read_bytes())
    assert isinstance(signature, Ed25519Signature)
    assert signature.public_key == read_public_key(public).fingerprint
    raw.write_bytes(bytes.fromhex(signature.signature))
    checked = openssl(
        *("pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", public),
        *("-sigfile", raw, "-in", manifest),
    )
    assert "Signature Verified Successfully" in checked


@pytest.mark.export
def test_verify_on_the_command_line(run_cli, signed, ours, theirs):
    trusted = run_cli("verify", signed, "--trust", ours.public)
    assert trusted.code == 0
    assert trusted.out.startswith("ok      signature: by the trusted key ")
    anyone = run_cli("verify", signed, "--json")
    assert anyone.json["ok"]
    assert "which may be anyone's" in anyone.json["checks"][0]["detail"]
    refused = run_cli("verify", signed, "--trust", theirs.public)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith(f"error: {signed} is signed by key ")


@pytest.mark.parametrize(
    "command", [["verify"], ["bench"], ["predict", "PICTURE"], ["camera", "--source", "PICTURE"]]
)
def test_every_command_that_opens_a_bundle_takes_a_key(command, run_cli, tiny_bundle, ours):
    name, *rest = (str(tiny_bundle / "golden/red.png") if w == "PICTURE" else w for w in command)
    done = run_cli(name, tiny_bundle, *rest, "--trust", ours.public)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: {tiny_bundle} is not signed; ")
    assert len(done.err.splitlines()) == 1
