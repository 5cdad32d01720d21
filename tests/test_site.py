"""The pages as a whole: nothing lies beside the index, the navigation, the results or the code."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[1]
DOCS = sorted(ROOT.glob("docs/**/*.md"))
INDEX = ROOT / "docs" / "index.md"

_LINK = re.compile(r"\]\(([\w/-]+\.md)")
_QUOTED = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)
_ON_A_PAGE_OF_THEIR_OWN = {"timm_models"}


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import page

    yield page
    for name in ("page", "tables"):
        del sys.modules[name]


def test_every_page_is_found_from_the_index() -> None:
    linked = {(INDEX.parent / link).resolve() for link in _LINK.findall(INDEX.read_text())}
    assert not set(DOCS) - {INDEX} - linked, "name it in docs/index.md"


def test_every_page_is_in_the_navigation() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    entries = re.findall(r"[\w/-]+\.md", str(nav))
    assert sorted(entries) == [str(path.relative_to(INDEX.parent)) for path in DOCS], "mkdocs.yml"


ANSWERS = {
    "How do I get from my pictures to a running model?": ("quickstart.md", "4. Use it"),
    "What do all these words mean?": ("concepts.md", "Glossary"),
    "How must my pictures lie in folders, and what is done to them?": ("data.md", "Forms"),
    "Which model fits my device, my milliseconds and my evening?": ("fit.md", "What it does"),
    "How accurate and how fast is it, honestly?": ("benchmarks.md", "The runtime on a device"),
    "May I trust a bundle that I was sent?": ("trust.md", "Whole, and whose"),
    "How does it get onto *my* board, and into my application?": ("camera.md", "Sources"),
    "is a measured latency to be believed?": ("measuring.md", "Figures to trust"),
    "It stopped with a message. What now?": ("troubleshooting.md", "Training"),
    "or add something of my own?": ("extending.md", "A target"),
}
"""A stranger's questions, and the page and its heading below which each is answered."""


@pytest.mark.parametrize("question", ANSWERS)
def test_a_strangers_question_leads_from_the_index_to_its_answer(question: str) -> None:
    page, heading = ANSWERS[question]
    (row,) = (line for line in INDEX.read_text().splitlines() if question in line)
    assert f"({page})" in row
    _, _, answer = (INDEX.parent / page).read_text().partition(f"\n## {heading}\n")
    assert len(answer.partition("\n## ")[0].split()) > 30


def test_the_first_page_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


def test_messages_that_are_explained_are_the_codes() -> None:
    sources = "\n".join(path.read_text() for path in sorted(ROOT.glob("edge_fgir/**/*.py")))
    code = re.sub(r'"\s*f?"', "", sources)  # texts over several lines are one
    explained = _QUOTED.findall((ROOT / "docs" / "troubleshooting.md").read_text())
    assert len(explained) > 25
    for message in explained:
        for part in filter(None, map(str.strip, message.split("…"))):
            assert part in code, f"no error says {part!r}"


def test_every_result_is_shown(page: ModuleType) -> None:
    shown = {name for table in page.TABLES.values() for name in table.results}
    missing = {path.stem for path in page.RESULTS.glob("*.json")} - shown
    assert not missing - _ON_A_PAGE_OF_THEIR_OWN, (
        "declare a table in benchmarks/tables.py and mark its place on docs/benchmarks.md"
    )
