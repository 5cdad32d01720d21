from __future__ import annotations

import pytest
from signing import Keys

from edge_fgir import InputError
from edge_fgir.runtime import Bundle, verify

pytestmark = pytest.mark.export

pytest.importorskip("cryptography", reason="signing needs the extra 'sign'")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("signer") / "keys")


@pytest.mark.parametrize("form", [[], ["--zip"]], ids=["folder", "zip"])
def test_export_signs_what_it_writes(run_cli, photos, tiny_run, tmp_path, keys, form) -> None:
    out = tmp_path / "birds.fgir"
    arguments = ("--target", "arm", "--precision", "fp32", "--data", photos, "--out", out)
    done = run_cli("export", tiny_run, *arguments, "--sign", keys.private, *form)
    assert (done.code, out.is_file()) == (0, bool(form))
    assert all(check.ok for check in verify(out, trust=keys.public))
    assert "signature.json" not in [entry.path for entry in Bundle(out).manifest.files]
    other = Keys(tmp_path / "other")
    with pytest.raises(InputError, match="is signed by key"):
        Bundle(out, trust=other.public)


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
