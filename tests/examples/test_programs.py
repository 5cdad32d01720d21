"""The small programs of ``examples/`` are built, and answer as Python does."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import edit_manifest
from PIL import Image
from preprocessing_vectors import FILE

from edge_fgir import Bundle, Classifier
from edge_fgir.runtime import Preprocess

pytestmark = [pytest.mark.export, pytest.mark.slow]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
LINES = 150
"""That a program, and a header of its own, may have."""
_HEADERS = ("/usr/include", os.environ.get("EDGE_FGIR_INCLUDE", "/usr/include"))


def header(name: str, package: str) -> Path:
    """Return the folder that has a header; the test skips where there is none."""
    for folder in _HEADERS:
        if (Path(folder) / name).is_file():
            return Path(folder)
    pytest.skip(f"there is no {name} (Debian: {package})")


def package_folder(name: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        pytest.skip(f"{name} is not installed")
    return Path(found.origin).parent


def library(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if not found:
        pytest.skip(f"{folder} has no {pattern}")
    return found[0]


def build(source: Path, out: Path, others: Iterable[Path], libraries: Iterable[Path] = ()) -> Path:
    """Compile a program without a warning; ``others`` are folders of libraries' headers."""
    if shutil.which("g++") is None:
        pytest.skip("there is no g++")
    linked = [word for one in libraries for word in (one, f"-Wl,-rpath,{one.parent}")]
    # The compiler knows /usr/include, and loses its own headers where it is named.
    folders = [f"-isystem{folder}" for folder in others if str(folder) != "/usr/include"]
    own = [f"-I{EXAMPLES / 'cpp'}", "-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror"]
    command = ["g++", *own, *folders, source, "-o", out, *linked]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def with_json() -> list[Path]:
    """Folders of the headers that all C++ programs include."""
    json_folder = header("nlohmann/json.hpp", "nlohmann-json3-dev")
    return [json_folder, header("stb/stb_image.h", "libstb-dev")]


@pytest.fixture
def pictures(photos: Path, tmp_path: Path) -> list[Path]:
    """Photographs, a large one, and what is unknown."""
    files = sorted((photos / "test").rglob("*.png"))[::6]
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    made = {"noise": Image.fromarray(noise), "large": Image.open(files[0]).resize((900, 700))}
    for name, image in made.items():
        image.save(tmp_path / f"{name}.png")
        files.append(tmp_path / f"{name}.png")
    return files


def compare(command: list[Path], bundle: Path, pictures: list[Path]) -> None:
    """Compare a program's answers about golden and other pictures with Python's."""
    files = [*sorted((bundle / "golden").glob("*.png")), *pictures]
    done = subprocess.run([*command, bundle, *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    with Classifier.open(bundle) as model:
        wanted = [model(file) for file in files]
    assert [each["label"] for each in answers] == [each.label for each in wanted]
    assert [each["is_unknown"] for each in answers] == [each.is_unknown for each in wanted]
    assert [each["score"] for each in answers] == pytest.approx(
        [each.score for each in wanted], abs=0.01
    )
    assert {each.is_unknown for each in wanted} == {True, False}  # or nothing was compared
    missing = subprocess.run([*command, bundle, "none.png"], capture_output=True, text=True)
    assert missing.returncode == 1
    assert missing.stderr.startswith("error: ")
    assert len(missing.stderr.splitlines()) == 1


def test_the_resize_in_cpp_is_the_specified_one(tmp_path: Path) -> None:
    program = build(Path(__file__).with_name("vectors.cpp"), tmp_path / "x", [])
    vectors = json.loads(FILE.read_text())
    cases = []
    for vector in vectors:
        spec = Preprocess(**vector["preprocess"])
        step = (spec.size, spec.kernel, int(spec.antialias), spec.crop_fraction, spec.shrink)
        settings = (*step, spec.view_size or 0)
        cases.append(" ".join(map(str, (vector["height"], vector["width"], *settings))))
    done = subprocess.run(program, input="\n".join(cases).encode(), capture_output=True, check=True)
    at, found = 0, []
    for vector in vectors:
        size = 3 * vector["preprocess"]["size"] ** 2
        found.append(hashlib.sha256(done.stdout[at : at + size]).hexdigest())
        at += size
    assert found == [vector["sha256"] for vector in vectors]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_onnxruntime_in_cpp(
    tiny_export: Callable[[str, str], Path],
    pictures: list[Path],
    with_json: list[Path],
    tmp_path: Path,
    precision: str,
) -> None:
    folder = header("onnxruntime/onnxruntime_cxx_api.h", "libonnxruntime-dev, from Debian 13 on")
    # The wheel has the library, but not under the name that programs look for.
    linked = tmp_path / "libonnxruntime.so.1"
    linked.symlink_to(library(package_folder("onnxruntime") / "capi", "libonnxruntime.so.*"))
    includes = [*with_json, folder / "onnxruntime"]
    source = EXAMPLES / "cpp" / "onnxruntime.cpp"
    compare(
        [build(source, tmp_path / "x", includes, [linked])], tiny_export("arm", precision), pictures
    )


def test_openvino_in_cpp(
    tiny_export: Callable[[str, str], Path],
    pictures: list[Path],
    with_json: list[Path],
    tmp_path: Path,
) -> None:
    folder = package_folder("openvino")
    linked = library(folder / "libs", "libopenvino.so.*")
    source = EXAMPLES / "cpp" / "openvino.cpp"
    program = build(source, tmp_path / "x", [*with_json, folder / "include"], [linked])
    bundle = tiny_export("openvino", "int8")
    compare([program], bundle, pictures)
    compare([program], in_two_steps(bundle, tmp_path / "two.fgir"), pictures)


def in_two_steps(bundle: Path, copy: Path) -> Path:
    """Return a copy of a bundle whose pictures become its input in two steps."""
    shutil.copytree(bundle, copy)
    before = Bundle(bundle).preprocess
    settings = before.model_copy(update={"view_size": before.size * 5 // 2}).model_dump_json()
    (copy / "preprocess.json").write_text(settings)

    def seal(values: dict[str, Any]) -> None:
        (entry,) = (one for one in values["files"] if one["path"] == "preprocess.json")
        entry["sha256"] = hashlib.sha256(settings.encode()).hexdigest()
        entry["size"] = len(settings)

    return edit_manifest(copy, seal)


def test_onnxruntime_in_node(tiny_export: Callable[[str, str], Path], pictures: list[Path]) -> None:
    node, packages = shutil.which("node"), EXAMPLES / "node" / "node_modules"
    if node is None or not packages.is_dir():
        pytest.skip(f"{packages} is not there: make npm")
    compare([Path(node), EXAMPLES / "node" / "classify.js"], tiny_export("arm", "int8"), pictures)


@pytest.mark.unit
def test_programs_are_small() -> None:
    sources = [*EXAMPLES.glob("cpp/*.?pp"), *EXAMPLES.glob("node/*.js")]
    assert len(sources) == 6
    for source in sources:
        assert len(source.read_text().splitlines()) <= LINES, source
