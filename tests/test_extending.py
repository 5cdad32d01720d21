"""The worked examples of docs/extending.md run as they stand, as files of their names."""

from __future__ import annotations

import re
import runpy
import shutil
from pathlib import Path

import pytest
from PIL import Image

pytestmark = [pytest.mark.export, pytest.mark.slow]

PAGE = Path(__file__).resolve().parents[1] / "docs" / "extending.md"
_FILE = re.compile(r"^`(\S+)`\n\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILES = dict(_FILE.findall(PAGE.read_text()))
PRINTED = {
    "train_mine.py": "trained lrnet14 on 3 classes",
    "by_file_name.py": "classes green_leaf red_leaf striped_leaf",
    "export_to_myboard.py": "myboard ",
    "every_second.py": "logits (1, 5)",
}
"""What each program says, in part."""


@pytest.fixture
def place(tmp_path: Path, tiny_run: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the page's files, photographs and a run."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    shutil.copytree(photos, tmp_path / "photos")
    shutil.copytree(tiny_run, tmp_path / "runs" / "student")
    (tmp_path / "birds").mkdir()
    for number, path in enumerate(sorted(photos.rglob("*.png"))):
        shutil.copy(path, tmp_path / "birds" / f"{path.parent.name}-{number:04}.png")
    Image.new("RGB", (64, 48), "red").save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_program_is_tried() -> None:
    assert {name for name in FILES if name.endswith(".py")} == set(PRINTED)


@pytest.mark.parametrize("program", sorted(PRINTED))
def test_an_example_runs(program: str, place: Path, capsys: pytest.CaptureFixture) -> None:
    from edge_fgir.data import BUILT_IN
    from edge_fgir.models.reduction import METHODS
    from edge_fgir.runtime.targets import forget_target

    try:
        runpy.run_path(str(place / program), run_name="__main__")
    finally:
        BUILT_IN.pop("named-birds", None)
        METHODS.pop("every_second", None)
        forget_target("myboard")
    assert PRINTED[program] in capsys.readouterr().out
