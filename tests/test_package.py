import re
import zipfile
from pathlib import Path

import pytest

from edge_fgir import _resources

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
        *("sign", "remote", "report", "camera", "mqtt", "demo", "pretrained", "docs", "dev", "all"),
    }


def test_no_file_names_a_registry_or_a_private_index() -> None:
    for name in ("pyproject.toml", "constraints.txt", "Makefile", ".ci/run"):
        text = (ROOT / name).read_text()
        assert not re.search(r"https?://|--index-url|--extra-index-url|--find-links", text), name


def test_the_metadata_say_what_a_registry_page_shows(wheel: Path) -> None:
    import edge_fgir

    archive = zipfile.ZipFile(wheel)
    metadata = next(n for n in archive.namelist() if n.endswith("METADATA"))
    lines = archive.read(metadata).decode().splitlines()
    assert f"Version: {edge_fgir.__version__}" in lines
    assert "Author: edge-fgir developers" in lines
    assert "Classifier: Operating System :: POSIX :: Linux" in lines
    assert "Classifier: Programming Language :: Python :: 3.10" in lines
