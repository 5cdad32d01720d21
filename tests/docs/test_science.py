"""What the code cites of ``docs/science`` is there to be read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
SCIENCE = ROOT / "docs" / "science"
_CITED = re.compile(r"docs/science/(\w+\.md)(?:#([\w-]+))?")
_LINKED = re.compile(r"\]\((\w+\.md)?(?:#([\w-]+))?\)")
_CITING = (
    "edge_fgir/**/*.py",
    "benchmarks/**/*.py",
    "recipes/**/*.yaml",
    "tests/**/*.*",
    "README.md",
    "docs/*",
)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


def citations() -> Iterator[tuple[Path, str, str]]:
    for pattern in _CITING:
        for path in ROOT.glob(pattern):
            if path.is_file() and path.suffix in {".py", ".yaml", ".md"}:
                for page, anchor in _CITED.findall(path.read_text()):
                    yield path, page, anchor
    for path in SCIENCE.glob("*.md"):
        for page, anchor in _LINKED.findall(path.read_text()):
            yield path, page or path.name, anchor


def test_what_is_cited_is_there() -> None:
    cited = list(citations())
    assert cited
    for path, page, anchor in cited:
        assert (SCIENCE / page).is_file(), f"{path} cites {page}"
        if anchor:
            assert anchor in anchors(SCIENCE / page), f"{path} cites {page}#{anchor}"


def test_a_missing_anchor_would_be_noticed() -> None:
    assert "crop-and-drop" in anchors(SCIENCE / "tgda.md")
    assert "ratio-1-2" in anchors(SCIENCE / "tgda.md")
    assert "nothing-of-the-kind" not in anchors(SCIENCE / "tgda.md")


def test_no_source_cites_a_page_that_readers_cannot_open() -> None:
    for pattern in _CITING:
        for path in ROOT.glob(pattern):
            if path.suffix in {".py", ".yaml"} and path != Path(__file__):
                hit = re.search(
                    r"\b[Ss]pecs? (TGDA|CLCA|ILA|GLSim|DAF:re|section)\b", path.read_text()
                )
                assert hit is None, f"{path}: {hit}"
