"""The bundle of ``examples/fruit``: it answers as it did, and its card tells the truth."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_fgir import Bundle, Classifier, verify
from edge_fgir.results import Evaluation, read_result
from edge_fgir.runtime import read_image

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples" / "fruit"
BUNDLE, PHOTOS, CARD = FOLDER / "fruit.fgir", FOLDER / "photos", FOLDER / "README.md"
MADE = {"fruit.fgir", "photos", "README.md", "LICENSE.data", "accuracy.json"}
MAKERS = {"make.py", "card.md", "recipe.yaml"}


@pytest.fixture
def _its_runtime() -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


@pytest.mark.export
@pytest.mark.usefixtures("_its_runtime")
def test_it_answers_its_golden_pictures_as_it_did() -> None:
    golden = Bundle(BUNDLE).golden
    with Classifier.open(BUNDLE) as model:
        for one in golden.images:
            with Image.open(io.BytesIO(model.bundle.read(f"golden/{one.file}"))) as picture:
                answers = model.infer(np.asarray(picture)[None])[0]
            assert answers == pytest.approx(np.array(one.probabilities), abs=golden.tolerance)
            assert answers.argmax() == np.argmax(one.probabilities)


@pytest.mark.export
@pytest.mark.usefixtures("_its_runtime")
def test_it_verifies() -> None:
    checks = list(verify(BUNDLE))
    assert [check for check in checks if not check.ok] == []


@pytest.mark.export
@pytest.mark.usefixtures("_its_runtime")
@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md"])
def test_its_photographs_are_told_as_the_pages_say(
    page: str, monkeypatch: pytest.MonkeyPatch, run_cli: Callable[..., Any]
) -> None:
    monkeypatch.chdir(ROOT)
    text = (ROOT / page).read_text()
    (command,) = re.findall(r"^    edge-fgir (predict examples/fruit/.*)$", text, re.MULTILINE)
    said = re.findall(
        r"^(?:    )?(examples/fruit/photos/\S+: .*) \d+\.\d %(.*)$", text, re.MULTILINE
    )
    assert said
    done = run_cli(*command.split())
    assert done.code == 0
    told = re.findall(r"^(\S+: .*) \d+\.\d %(.*)$", done.out, re.MULTILINE)
    assert len(told) == len(list(PHOTOS.iterdir()))
    assert set(said) <= set(told)


@pytest.mark.export
@pytest.mark.usefixtures("_its_runtime")
def test_the_card_says_what_its_photographs_are_told_to_be() -> None:
    rows = re.findall(r"^\| `(\S+)` \| .* \| (.*) \| (\d+) \|$", CARD.read_text(), re.MULTILINE)
    assert {name for name, *_ in rows} == {photo.name for photo in PHOTOS.iterdir()}
    with Classifier.open(BUNDLE) as model:
        for name, answer, score in rows:
            result = model(PHOTOS / name)
            assert answer == result.label + (" (unknown)" if result.is_unknown else "")
            assert float(score) == pytest.approx(100 * result.score, abs=2)


@pytest.mark.unit
def test_the_card_says_what_was_measured() -> None:
    card = CARD.read_text()
    accuracy = read_result(FOLDER / "accuracy.json", Evaluation)
    assert f"**{accuracy.top1:.1f} %** of {accuracy.images} photographs" in card
    assert f"{accuracy.macro:.1f} % as the mean over the classes" in card
    for one in accuracy.classes:
        row = rf"^\| {one.name} \| \d+ \| {one.images} \| {one.top1:.0f} \|$"
        assert re.search(row, card, re.MULTILINE)
    assert f"{Bundle(BUNDLE).manifest.params:,} parameters" in card
    for page in ("README.md", "docs/quickstart.md"):
        assert f"{accuracy.top1:.1f} %" in (ROOT / page).read_text()


@pytest.mark.unit
def test_its_data_has_a_licence_and_authors() -> None:
    assert Bundle(BUNDLE).manifest.data.licence == "MIT"
    for name in ("README.md", "LICENSE.data"):
        text = " ".join((FOLDER / name).read_text().split())
        words = ("Klasson", "Zhang", "Kjellström", "MIT", "OpenCV", "Apache")
        assert all(word in text for word in words)
    assert "WITHOUT WARRANTY OF ANY KIND" in (FOLDER / "LICENSE.data").read_text()


@pytest.mark.unit
def test_it_is_small_and_has_nothing_of_the_machine_that_made_it() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert {path.relative_to(FOLDER).parts[0] for path in files} == MADE | MAKERS
    assert sum(path.stat().st_size for path in files) < 1e6
    assert not any(b"/tmp/" in path.read_bytes() for path in files)
    for photo in PHOTOS.iterdir():
        with Image.open(photo) as picture:
            assert min(picture.size) == 192
            assert not picture.getexif()


def pictures_in_files(path: Path) -> Iterator[str]:
    """Yield the names of a zip's files that hold a picture, whatever they are called."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            if data.startswith((b"\x89PNG", b"\xff\xd8", b"RIFF")) or b"data:image" in data:
                yield name


@pytest.mark.unit
def test_the_only_pictures_that_it_carries_are_its_photographs() -> None:
    bundle = Bundle(BUNDLE)
    carried = [f"golden/{one.file}" for one in bundle.golden.images]
    assert sorted(pictures_in_files(BUNDLE)) == carried
    for file, photo in zip(carried, sorted(PHOTOS.iterdir()), strict=True):
        with Image.open(io.BytesIO(bundle.read(file))) as picture:
            pixels = np.asarray(picture)
        assert (pixels == bundle.preprocess.apply(read_image(photo, convert=True))).all()
