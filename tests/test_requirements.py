"""What a device installs: every file by its hash, and the versions that are tested."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomllib")

pytestmark = pytest.mark.unit


def _loaded() -> Any:
    spec = importlib.util.spec_from_file_location("hashed", ROOT / "tools" / "requirements.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tool = _loaded()

_PIN = re.compile(r"^([a-z0-9-]+)==(\S+)(?: ; (.+?))? \\$", re.MULTILINE)


def text_of(name: str) -> str:
    return (tool.FOLDER / f"{name}.txt").read_text()


def pins(name: str) -> dict[str, str]:
    """Return the versions of Python 3.11 and newer."""
    return {
        library: version
        for library, version, marker in _PIN.findall(text_of(name))
        if "python_full_version < '3.11'" not in marker
    }


def named(needs: list[str]) -> set[str]:
    return {re.split(r"[<>=\[; ]", need)[0].replace("_", "-").lower() for need in needs}


def test_there_is_a_file_for_each_runtime_and_no_other() -> None:
    assert {path.stem for path in tool.FOLDER.iterdir()} == set(tool.FILES)


@pytest.mark.parametrize("name", tool.FILES)
def test_a_file_has_what_is_needed_and_is_tested(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needs = [*project["dependencies"]]
    for extra in tool.FILES[name]:
        needs += project["optional-dependencies"][extra]
    found = pins(name)
    assert named(needs) <= set(found)
    tested = dict(
        re.findall(r"^([a-z0-9-]+)==(\S+);", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    )
    different = {lib: v for lib, v in found.items() if lib in tested and tested[lib] != v}
    assert not different, "run: python tools/requirements.py"


@pytest.mark.parametrize("name", tool.FILES)
def test_every_version_has_hashes_and_no_place(name: str) -> None:
    lines = [line for line in text_of(name).splitlines() if not line.startswith("#")]
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if not line.startswith(" "):
            assert _PIN.match(f"{line}\n"), line
            assert following.startswith("    --hash=sha256:"), line
    assert "://" not in text_of(name)
    assert " @ " not in text_of(name)
