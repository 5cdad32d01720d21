from __future__ import annotations

import base64
import hashlib
import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from edge_fgir import InputError
from edge_fgir.exporting.npm import NpmPackage

pytestmark = pytest.mark.unit

CONTENT = b"export const answer = 42;\n"


def archive(content: bytes = CONTENT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        entry = tarfile.TarInfo("package/dist/a.mjs")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


ARCHIVE = archive()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NpmPackage:
    """A package that is pinned, with an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return NpmPackage(
        package="@some/thing",
        version="1.2.3",
        integrity=f"sha512-{base64.b64encode(hashlib.sha512(ARCHIVE).digest()).decode()}",
        files={"package/dist/a.mjs": "thing/a.js"},
    )


def npm_gives(data: bytes, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    calls: list[list[str]] = []

    def run(command: list[str], **options: object) -> None:
        calls.append(command)
        (Path(command[-1]) / "some-thing-1.2.3.tgz").write_bytes(data)

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_npm_is_asked_once(package: NpmPackage, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = npm_gives(ARCHIVE, monkeypatch)
    assert package.read() == package.read() == {"thing/a.js": CONTENT}
    assert [call[:3] for call in calls] == [["npm", "pack", "@some/thing@1.2.3"]]
    assert "--ignore-scripts" in calls[0]
    assert package.path.read_bytes() == ARCHIVE


def test_another_file_than_was_published_is_not_kept(
    package: NpmPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm_gives(archive(b"import('https://somewhere')\n"), monkeypatch)
    with pytest.raises(InputError, match=r"npm gives another @some/thing@1\.2\.3"):
        package.read()
    assert not package.path.exists()


def test_a_kept_file_that_was_changed_is_refused(package: NpmPackage) -> None:
    package.path.parent.mkdir(parents=True)
    package.path.write_bytes(ARCHIVE + b"\0")
    with pytest.raises(InputError, match=r"is not @some/thing 1\.2\.3 as it was published; .*rm "):
        package.read()


@pytest.mark.parametrize("error", [FileNotFoundError(), subprocess.CalledProcessError(1, "npm")])
def test_without_npm_or_a_network_one_line_says_what_to_run(
    package: NpmPackage, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def run(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(InputError, match=r"npm pack @some/thing@1\.2\.3 --pack-destination /"):
        package.read()


def test_a_user_without_a_home_is_told_what_to_set(
    package: NpmPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    with pytest.raises(InputError, match=r"no home folder; .* set XDG_CACHE_HOME to a folder"):
        package.read()
