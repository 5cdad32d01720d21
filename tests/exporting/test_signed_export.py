from __future__ import annotations

import pytest
from signing import Keys

from edge_fgir import InputError, Run
from edge_fgir._files import sha256
from edge_fgir.runtime import Bundle, verify

pytestmark = pytest.mark.export

pytest.importorskip("cryptography", reason="signing needs the extra 'sign'")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("signer") / "keys")


@pytest.mark.parametrize(
    ("form", "kind", "file"),
    [([], "ed25519", "signature.json"), (["--zip"], "p256", "model.sig")],
    ids=["folder", "zip"],
)
def test_export_signs_what_it_writes(run_cli, photos, tiny_run, tmp_path, form, kind, file) -> None:
    out, keys = tmp_path / "birds.fgir", Keys(tmp_path / "keys", kind)
    arguments = ("--target", "arm", "--precision", "fp32", "--data", photos, "--out", out)
    done = run_cli("export", tiny_run, *arguments, "--sign", keys.private, *form)
    assert (done.code, out.is_file()) == (0, bool(form))
    assert all(check.ok for check in verify(out, trust=keys.public))
    bundle = Bundle(out)
    assert [signature.file for signature in bundle.signatures] == [file]
    assert file not in [entry.path for entry in bundle.manifest.files]
    other = Keys(tmp_path / "other", kind)
    with pytest.raises(InputError, match="is signed by key"):
        Bundle(out, trust=other.public)
    # Its bill of materials is sealed with it, and knows the run.
    bill, run = bundle.read_object("bom.json"), Run.open(tiny_run)
    facts = {each["name"]: each["value"] for each in bill["metadata"]["component"]["properties"]}
    assert facts["edge-fgir:trained-weights-sha256"] == run.weights_hash
    assert facts["edge-fgir:recipe-sha256"] == sha256(run.config.read_bytes())
    assert facts["edge-fgir:training-started-from"] == "random"
    assert bill["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]


def test_a_key_that_cannot_sign_is_refused_before_the_export(
    run_cli, photos, tiny_run, tmp_path, keys
) -> None:
    out = tmp_path / "birds.fgir"
    locked = Keys(tmp_path / "locked", passphrase=b"secret").private
    for key in (locked, keys.public, tmp_path / "none.pem"):
        arguments = ("--target", "arm", "--data", photos, "--out", out, "--sign", key)
        done = run_cli("export", tiny_run, *arguments)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith(f"error: {key}")
        assert len(done.err.splitlines()) == 1
        assert not out.exists()
