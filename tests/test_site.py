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
