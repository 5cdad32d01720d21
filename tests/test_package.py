import base64
import hashlib
import re
import zipfile
from pathlib import Path

import pytest

from edge_fgir import _resources
from edge_fgir._errors import InputError

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "torchvision", "timm", "onnx", "nncf", "openvino", "onnxruntime", "tensorrt"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    builder = pytest.importorskip("hatchling.builders.wheel").WheelBuilder(str(ROOT))
    folder = tmp_path_factory.mktemp("wheel")
    return Path(next(builder.build(directory=str(folder), versions=["standard"])))


def test_wheel_is_under_a_megabyte_and_carries_the_data(wheel: Path) -> None:
    assert wheel.stat().st_size < 1e6
    names = set(zipfile.ZipFile(wheel).namelist())
    for kind, pattern in (
        ("recipes", "*.yaml"),
        ("recipes", "sweeps/*.yaml"),
        ("devices", "*.yaml"),
        ("export", "*/target.yaml"),
    ):
        files = list(_resources.folder(kind).glob(pattern))
        assert files
        for file in files:
            inside = file.relative_to(_resources.folder(kind)).as_posix()
            assert f"edge_fgir/_data/{kind}/{inside}" in names
    assert "edge_fgir/reporting/report.html.j2" in names
    assert "edge_fgir/py.typed" in names
    assert not [n for n in names if n.startswith(("tests/", "benchmarks/", "demo/"))]


def test_base_install_is_what_a_device_needs(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    metadata = next(n for n in archive.namelist() if n.endswith("METADATA"))
    lines = archive.read(metadata).decode().splitlines()
    required = [
        ln.removeprefix("Requires-Dist: ") for ln in lines if ln.startswith("Requires-Dist")
    ]
    base = {re.split(r"[<>=! ;\[]", need)[0].lower() for need in required if "extra ==" not in need}
    assert base == {"numpy", "pillow", "pydantic", "pyyaml", "typer", "rich"}
    assert not base & HEAVY
    extras = {
        ln.removeprefix("Provides-Extra: ") for ln in lines if ln.startswith("Provides-Extra")
    }
    assert extras == {
        *("openvino", "arm", "litert", "jetson", "train", "sweep", "export", "export-litert"),
        *(
            "sign",
            "remote",
            "hub",
            "report",
            "camera",
            "mqtt",
            "serve",
            "demo",
            "pretrained",
            "docs",
            "dev",
            "all",
        ),
    }


def test_no_file_names_a_registry_or_a_private_index() -> None:
    for name in ("pyproject.toml", "constraints.txt", "Makefile", ".ci/run"):
        text = (ROOT / name).read_text()
        assert not re.search(r"https?://|--index-url|--extra-index-url|--find-links", text), name


def test_what_the_makefile_runs_is_there() -> None:
    named = set(
        re.findall(r"(?<=[\s])(?:tests|benchmarks|tools)/\S+", (ROOT / "Makefile").read_text())
    )
    named = {name.rstrip(",.;:") for name in named}
    assert named >= {"tests/attacks", "tests/fuzz.py"}
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_the_metadata_say_what_a_registry_page_shows(wheel: Path) -> None:
    import edge_fgir

    archive = zipfile.ZipFile(wheel)
    metadata = next(n for n in archive.namelist() if n.endswith("METADATA"))
    lines = archive.read(metadata).decode().splitlines()
    assert f"Version: {edge_fgir.__version__}" in lines
    assert "Author: edge-fgir developers" in lines
    assert "Classifier: Operating System :: POSIX :: Linux" in lines
    assert "Classifier: Programming Language :: Python :: 3.10" in lines


def test_the_wheel_command_writes_what_the_builder_builds(wheel: Path, tmp_path: Path) -> None:
    from edge_fgir._wheel import write_wheel

    ours = write_wheel(tmp_path)
    assert ours.name == wheel.name
    with zipfile.ZipFile(ours) as written, zipfile.ZipFile(wheel) as built:
        names = written.namelist()
        package = {name for name in built.namelist() if name.startswith("edge_fgir/")}
        assert {name for name in names if name.startswith("edge_fgir/")} == package
        assert all(written.read(name) == built.read(name) for name in package)
        entry_points = next(name for name in names if name.endswith("/entry_points.txt"))
        assert written.read(entry_points) == built.read(entry_points)
    assert write_wheel(tmp_path / "again").read_bytes() == ours.read_bytes()


def test_the_wheels_record_lists_every_file_with_its_hash(tmp_path: Path) -> None:
    from edge_fgir._wheel import write_wheel

    with zipfile.ZipFile(write_wheel(tmp_path)) as archive:
        record = next(name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
        lines = [line.rsplit(",", 2) for line in archive.read(record).decode().splitlines()]
        assert [name for name, _, _ in lines] == archive.namelist()
        assert lines[-1] == [record, "", ""]
        for name, digest, size in lines[:-1]:
            data = archive.read(name)
            padded = digest.removeprefix("sha256=") + "="
            assert base64.urlsafe_b64decode(padded) == hashlib.sha256(data).digest()
            assert int(size) == len(data)


def test_another_version_than_the_installed_one_makes_no_wheel(tmp_path, monkeypatch) -> None:
    from edge_fgir import _wheel

    monkeypatch.setattr(_wheel, "__version__", "9.9.9")
    with pytest.raises(InputError, match=r"9\.9\.9 runs here, and .* is installed; .*pip install"):
        _wheel.write_wheel(tmp_path)
    assert not list(tmp_path.iterdir())
