"""The reference pages are what the code says."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("torch")

pytestmark = pytest.mark.unit

SCRIPT = Path(__file__).resolve().parents[1] / "tools" / "reference.py"


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_are_what_the_code_says(reference: ModuleType) -> None:
    for name, text in reference.pages().items():
        assert (reference.FOLDER / name).read_text() == text, "run: python tools/reference.py"


def test_a_page_has_every_command_key_and_name(reference: ModuleType) -> None:
    pages = reference.pages()
    assert "## data check\n" in pages["cli.md"]
    assert "| `--latency-ms` | number or null |  | " in pages["cli.md"]
    assert "| `optimizer.lr` | number | `0.0005` | > 0 | peak learning rate |" in pages["recipe.md"]
    assert "| `model.reduction.keep_rate` |" in pages["recipe.md"]
    assert "| `files.sha256` | text |" in pages["bundle.md"]
    assert "## Classifier\n" in pages["api.md"]
