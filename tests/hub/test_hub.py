"""Bundles go to a hub and come back whole, or not at all."""

from __future__ import annotations

import io
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from bundles import make_bundle, zip_bundle
from hub_server import TOKEN, Hub, running_hub
from refusals import refusal
from signing import Keys

import edge_fgir
from edge_fgir._errors import MissingExtraError
from edge_fgir.runtime import Bundle

pytestmark = [
    pytest.mark.unit,
    # What Hugging Face's library calls its own HTTP library with.
    pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning"),
]

NAME = "someone/colours"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    constants = pytest.importorskip("huggingface_hub.constants")
    # Its large files would else go through another program, to another place.
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True, raising=False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with running_hub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_a_bundle_goes_and_comes_back(hub: Hub, tiny_bundle, tmp_path, run_cli, form) -> None:
    path = tiny_bundle if form == "folder" else zip_bundle(tiny_bundle, tmp_path / "a.zip")
    pushed = run_cli("push", path, NAME)
    assert pushed.code == 0, pushed.err
    assert pushed.out.startswith(f"bundle.fgir, README.md, bom.json: {hub.url}/{NAME}/commit/")
    assert hub.private[NAME]
    out = tmp_path / "colours.fgir"
    pulled = run_cli("pull", NAME, "--out", out)
    assert pulled.code == 0, pulled.err
    assert "all as sealed" in pulled.out
    assert "whose it is, nobody has said" in pulled.err
    sealed = {
        entry.path: Bundle(tiny_bundle).read(entry.path) for entry in Bundle(out).manifest.files
    }
    assert sealed == {name: Bundle(out).read(name) for name in sealed}


def test_a_second_push_replaces_the_first_and_leaves_it_private(hub: Hub, tmp_path, tiny_bundle):
    edge_fgir.push(tiny_bundle, NAME)
    other = make_bundle(tmp_path / "other.fgir", labels=("cyan", "pink"))
    edge_fgir.push(other, NAME, public=True)
    assert hub.private[NAME]
    assert edge_fgir.pull(NAME, tmp_path / "new.fgir").labels == ("cyan", "pink")


def test_anyone_may_read_only_where_that_is_asked_for(hub: Hub, tiny_bundle) -> None:
    edge_fgir.push(tiny_bundle, NAME, public=True)
    assert not hub.private[NAME]


def test_the_card_says_what_the_bundle_is_and_obeys_nothing_in_it(hub: Hub, tmp_path) -> None:
    evil = "<script>x</script> [a](http://b)"
    data = {"name": evil, "licence": "CC BY 4.0", "hash": "0" * 64}
    edge_fgir.push(make_bundle(tmp_path / "a.fgir", labels=("red", evil), data=data), NAME)
    card = hub.files[NAME]["README.md"].decode()
    _, fields, text = card.split("---\n", 2)
    assert yaml.safe_load(fields)["license"] == "cc-by-4.0"
    assert yaml.safe_load(fields)["pipeline_tag"] == "image-classification"
    assert f"edge-fgir pull {NAME} --out bundle.fgir" in text
    assert "<script>" not in text
    assert "](http" not in text
    assert "&lt;script&gt;x&lt;/script&gt;" in text


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: data[:-5], "bundle.fgir"),
        (lambda data: data.replace(b"green\n", b"greem\n"), "bundle.fgir"),
        (lambda data: b"no zip", "a bundle folder or zip"),
    ],
    ids=range(3),
)
def test_what_was_changed_on_the_hub_is_not_kept(
    hub: Hub, tiny_bundle, tmp_path, run_cli, spoil, message
) -> None:
    edge_fgir.push(tiny_bundle, NAME)
    files = hub.files[NAME]
    files["bundle.fgir"] = spoil(files["bundle.fgir"])
    out = tmp_path / "out.fgir"
    done = run_cli("pull", NAME, "--out", out)
    assert done.code == 2
    assert message in done.err
    assert done.out == ""
    assert not out.exists()


def test_only_the_trusted_keys_bundle_is_kept(hub: Hub, tiny_bundle, tmp_path) -> None:
    pytest.importorskip("cryptography")
    ours, theirs = Keys(tmp_path / "ours"), Keys(tmp_path / "theirs")
    signed = ours.sign(Path(shutil.copytree(tiny_bundle, tmp_path / "signed.fgir")))
    edge_fgir.push(signed, NAME, trust=ours.public)
    out = tmp_path / "out.fgir"
    assert "is signed by key" in refusal(lambda: edge_fgir.pull(NAME, out, trust=theirs.public))
    assert not out.exists()
    assert edge_fgir.pull(NAME, out, trust=ours.public).signatures


def test_nothing_is_sent_of_a_damaged_bundle(hub: Hub, tiny_bundle, tmp_path) -> None:
    copy = Path(shutil.copytree(tiny_bundle, tmp_path / "a.fgir"))
    (copy / "labels.txt").write_text("red\ngreen\nblau\n")
    assert "labels.txt was changed" in refusal(lambda: edge_fgir.push(copy, NAME))
    assert hub.asked == []


def test_other_files_of_a_repository_are_not_fetched(hub: Hub, tiny_bundle, tmp_path) -> None:
    edge_fgir.push(tiny_bundle, NAME)
    hub.files[NAME]["evil.py"] = b"print()"
    hub.asked.clear()
    edge_fgir.pull(NAME, tmp_path / "a.fgir")
    assert {line.rpartition("/")[2] for line in hub.asked} == {"colours", "bundle.fgir"}


@pytest.mark.parametrize("name", ["someone/else", "../../etc", "a b"])
def test_a_repository_that_is_not_there(hub: Hub, tmp_path, name: str) -> None:
    text = refusal(lambda: edge_fgir.pull(name, tmp_path / "a.fgir"))
    assert text.startswith(f"pulling from {name}: ")
    assert not (tmp_path / "a.fgir").exists()


def test_without_leave_to_write(hub: Hub, tiny_bundle, monkeypatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "another")
    text = refusal(lambda: edge_fgir.push(tiny_bundle, NAME))
    assert text.startswith(f"pushing to {NAME}: ")
    assert text.endswith("log in with: hf auth login")


def test_a_hub_that_does_not_answer(tmp_path, monkeypatch) -> None:
    pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "pulling from a/b: " in refusal(lambda: edge_fgir.pull("a/b", tmp_path / "a.fgir"))


def test_a_mirrors_password_is_not_told(hub: Hub, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url.replace("://", "://me:hunter2@"))
    hub.broken = True
    text = refusal(lambda: edge_fgir.pull("someone/else", tmp_path / "a.fgir"))
    assert "http://***@127.0.0.1" in text
    assert "hunter2" not in text


def test_what_lies_there_is_not_replaced(hub: Hub, tmp_path) -> None:
    (tmp_path / "a.fgir").write_text("mine")
    text = refusal(lambda: edge_fgir.pull(NAME, tmp_path / "a.fgir"))
    assert text.endswith("a.fgir exists; expected a new path; choose another --out")
    assert hub.asked == []


def test_without_the_library_it_is_named(tiny_bundle, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r'pip install "edge-fgir\[hub\]"'):
        edge_fgir.push(tiny_bundle, NAME)


def test_a_pushed_zip_is_what_a_bundle_is(hub: Hub, tiny_bundle) -> None:
    edge_fgir.push(tiny_bundle, NAME)
    with zipfile.ZipFile(io.BytesIO(hub.files[NAME]["bundle.fgir"])) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
