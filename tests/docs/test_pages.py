"""What the pages say can be done: commands parse, code runs, links lead somewhere."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import typer.main
from PIL import Image

from edge_fgir.cli import app

ROOT = Path(__file__).resolve().parents[2]
DOCS = sorted(ROOT.glob("docs/**/*.md"))
PAGES = [
    ROOT / "CONTRIBUTING.md",
    ROOT / "README.md",
    *DOCS,
    *sorted(ROOT.glob("export/*/README.md")),
]
HELP = sorted((ROOT / "edge_fgir" / "cli").glob("[!_]*.py"))

_TRIED_ELSEWHERE = {"extending.md", "serve.md"}
"""Pages whose programs are files of several lines and kinds (``tests/test_extending.py``), or need
a library that not everybody has (``tests/serving/test_serve.py``)."""

_COMMAND = re.compile(r"(?:^    (?:\S*/)?|`)(edge-fgir [^`\n]*)", re.MULTILINE)
_PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
_DATED = re.compile(r".+\n\n\*\d{4}-\d\d-\d\d(, changed \d{4}-\d\d-\d\d)?\.\* ")
_LINK = re.compile(r"\]\(([^)\s#]*)(?:#([^)\s]+))?\)")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def commands() -> list[tuple[str, str]]:
    found = []
    for path in [*PAGES, *HELP]:
        for line in _COMMAND.findall(path.read_text()):
            for part in re.split(r"\s&&\s|\s#\s", line):
                if part.strip().startswith("edge-fgir "):
                    found.append((name_of(path), part.strip()))
    return found


@pytest.mark.unit
@pytest.mark.parametrize(("page", "command"), commands())
def test_a_documented_command_is_one_of_ours(page: str, command: str) -> None:
    words = shlex.split(command)[1:]
    if "..." in words:
        words = words[: words.index("...")]
        needed = False
    else:
        needed = len(words) > 1 or words[0] == "doctor"
    group = typer.main.get_command(app)
    context = group.make_context("edge-fgir", list(words), resilient_parsing=not needed)
    while hasattr(group, "get_command"):
        name = words.pop(0)
        group = group.get_command(context, name)
        assert group is not None, f"{page}: there is no {name}"
        if not words:
            return
    group.make_context(name, list(words), parent=context, resilient_parsing=not needed)


@pytest.mark.unit
def test_the_pages_show_most_commands() -> None:
    shown = {command.split()[1] for _, command in commands()}
    assert shown >= set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def blocks() -> list[tuple[str, str]]:
    pages = [path for path in PAGES if path.name not in _TRIED_ELSEWHERE]
    return [(name_of(path), code) for path in pages for code in _PYTHON.findall(path.read_text())]


@pytest.mark.export
@pytest.mark.parametrize(("page", "code"), blocks())
def test_documented_code_runs(
    page: str,
    code: str,
    tiny_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    for name in ("birds.fgir", "birds-128.fgir"):
        shutil.copytree(tiny_bundle, tmp_path / name)
    (tmp_path / "photos").mkdir()
    for path in (tmp_path / "photo.jpg", tmp_path / "photos" / "1.jpg"):
        Image.new("RGB", (64, 48), "red").save(path)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, page, "exec"), {})  # a program of its own: nothing is there but the files
    # It looks at the picture, and shows the folder where it opens one.
    assert capsys.readouterr().out.count("red") >= 1 + code.count("open_source(")


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one).strip().lower().replace(" ", "-") for one in headings}


def links(page: Path) -> list[tuple[Path, str]]:
    """Return the files that a page links to, and where in them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    found = [(link, anchor) for link, anchor in _LINK.findall(text) if "://" not in link]
    return [((page.parent / link).resolve() if link else page, anchor) for link, anchor in found]


@pytest.mark.unit
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in links(page):
        assert target.exists(), target
        assert not anchor or anchor in anchors(target), f"{target}#{anchor}"


@pytest.mark.unit
def test_a_link_to_nowhere_would_be_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A title, here\n[one](there.md) [two](page.md#a-title-here) [three](#nowhere)"
    )
    assert anchors(page) == {"a-title-here"}
    assert [(target.name, anchor) for target, anchor in links(page)] == [
        ("there.md", ""),
        ("page.md", "a-title-here"),
        ("page.md", "nowhere"),
    ]


@pytest.mark.unit
def test_every_decision_has_its_day() -> None:
    page = (ROOT / "docs" / "decisions.md").read_text()
    records = re.split(r"^### ", page, flags=re.MULTILINE)[1:]
    assert len(records) > 50
    undated = [record for record in records if not _DATED.match(record)]
    assert not undated, "the line below the title begins with *YEAR-MONTH-DAY.*"
