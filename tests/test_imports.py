"""Rooms and floors: who may import whom, and what a device never has to load."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import edge_fgir

pytestmark = pytest.mark.unit

PACKAGE = Path(edge_fgir.__file__).parent
ROOMS = {
    "runtime": set(),
    "results": {"runtime"},
    "serving": {"runtime"},
    "data": {"runtime", "results"},
    "benchmarking": {"runtime", "results"},
    "describing": {"runtime", "results"},
    "hub": {"runtime", "results", "describing"},
    "evaluation": {"runtime", "results", "benchmarking", "data"},
    "reporting": {"runtime", "results", "benchmarking", "data", "evaluation"},
    "models": {"runtime", "results", "benchmarking", "data", "evaluation"},
    "runs": {"runtime", "results", "benchmarking", "data", "evaluation", "models"},
    "training": {"runtime", "results", "benchmarking", "data", "evaluation", "models", "runs"},
    "exporting": {
        *("runtime", "results", "benchmarking", "describing", "data", "evaluation"),
        *("models", "runs"),
    },
}
ROOMS["importing"] = set(ROOMS) - {"training", "exporting", "reporting"}
ROOMS["deploying"] = ROOMS["sweeping"] = ROOMS["profiling"] = set(ROOMS)
ROOMS["fitting"] = set(ROOMS)
ROOMS["api"] = set(ROOMS)
ROOMS["cli"] = set(ROOMS)
HEAVY = ("torch", "torchvision", "timm", "onnx", "nncf", "tensorboard", "sklearn", "scipy")
LIGHT_ROOMS = (
    *("runtime", "results", "serving", "benchmarking", "describing", "hub", "evaluation"),
)


def modules(room: str) -> list[Path]:
    return sorted((PACKAGE / room).rglob("*.py"))


def imported(file: Path) -> set[str]:
    """Return the dotted names of everything a file imports, anywhere in it."""
    package = ".".join(file.relative_to(PACKAGE.parent).parent.parts)
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above, *filter(None, [node.module])]) if node.level else node.module
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def rooms_of(names: set[str]) -> set[str]:
    """Return the rooms (and the private modules of the root) that imported names lie in."""
    parts = [name.split(".") for name in names]
    return {part[1] for part in parts if part[0] == "edge_fgir" and len(part) > 1}


def test_every_room_has_its_floor() -> None:
    folders = {p.parent.name for p in PACKAGE.glob("*/__init__.py")}
    assert folders == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_from_rooms_below(room) -> None:
    for file in modules(room):
        above = (rooms_of(imported(file)) & set(ROOMS)) - ROOMS[room] - {room}
        assert not above, f"{file.relative_to(PACKAGE)} imports {above}"


def test_a_room_imports_others_by_their_faces():
    """A face is an ``__init__``: a room's, or that of a part of it.

    ``data.loaders`` is none of its room's face because it needs torch; a runtime's parts are its
    builder's, too.
    """
    for file in PACKAGE.rglob("*.py"):
        own = file.relative_to(PACKAGE).parts[0]
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            _, *parts = node.module.split(".")
            elsewhere = own != "__init__.py" and parts and parts[0] in set(ROOMS) - {own}
            own_matter = ("edge_fgir.data.loaders", "edge_fgir.runtime.runtimes.")
            if elsewhere and not node.module.startswith(own_matter):
                face = PACKAGE.joinpath(*parts) / "__init__.py"
                assert face.exists(), f"{file.relative_to(PACKAGE)} imports from {node.module}"


def test_the_roots_private_modules_are_below_all_rooms() -> None:
    for file in PACKAGE.glob("_*.py"):
        if not file.name.startswith("__"):
            assert not rooms_of(imported(file)) & set(ROOMS), file.name


@pytest.mark.parametrize("room", LIGHT_ROOMS)
def test_light_rooms_name_no_heavy_library(room) -> None:
    for file in modules(room):
        heavy = {name.split(".")[0] for name in imported(file)} & set(HEAVY)
        assert not heavy, f"{file.relative_to(PACKAGE)} imports {heavy}"


def test_the_walk_sees_imports_of_every_kind(tmp_path: Path) -> None:
    folder = PACKAGE / "runtime" / "runtimes" / "openvino"
    file = folder / "engine.py"
    assert "edge_fgir.runtime.bundle.Bundle" in imported(file)
    assert "openvino" in imported(folder / "core.py")  # inside a function
    assert rooms_of(imported(PACKAGE / "api" / "_evaluate.py")) >= {"data", "runs", "runtime"}
    assert rooms_of({"edge_fgir.data.folder.x", "numpy", "edge_fgir.__version__"}) == {
        "data",
        "__version__",
    }


def test_no_modules_of_the_runtime_import_each_other_in_a_circle() -> None:
    base = "edge_fgir.runtime"
    files = {
        ".".join(f.relative_to(PACKAGE.parent).with_suffix("").parts): f
        for f in (PACKAGE / "runtime").glob("*.py")
        if f.stem != "__init__"
    }
    needs = {
        name: {one for one in files if any(f"{i}.".startswith(f"{one}.") for i in imported(file))}
        for name, file in files.items()
    }
    assert needs[f"{base}.classifier"] >= {f"{base}.stream", f"{base}.frames"}
    while free := [name for name, others in needs.items() if not others & set(needs)]:
        for name in free:
            del needs[name]
    assert not needs


LOOK = "import json, sys; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"


def loaded_by(code: str, *arguments: object) -> set[str]:
    """Run ``code`` in a fresh process and return the top-level modules that it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{LOOK}", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_package_loads_next_to_nothing() -> None:
    assert not loaded_by("import edge_fgir") & {"numpy", "PIL", "pydantic", "typer", *HEAVY}


def test_a_camera_app_imports_what_opening_needs_when_it_opens() -> None:
    later = {"PIL", "pydantic", "yaml", "xml", "zipfile"}
    assert not loaded_by("from edge_fgir import Classifier") & later


@pytest.mark.export
def test_openvinos_converter_is_loaded_by_those_who_convert() -> None:
    pytest.importorskip("openvino")
    opened = "from edge_fgir.runtime.runtimes.openvino import openvino_core; openvino_core()"
    loaded = "import sys; print('openvino.tools.ovc' in sys.modules, file=sys.stderr)"
    code = f"{opened}; {loaded}; from openvino.tools.ovc import convert_model; {loaded}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.split()[-2:] == ["False", "True"]


@pytest.mark.parametrize("name", ["Classifier", "Result", "InputError"])
def test_its_public_names_are_there(name) -> None:
    assert name in edge_fgir.__all__
    assert getattr(edge_fgir, name).__name__ == name


def test_every_public_name_is_there_and_no_other() -> None:
    assert all(getattr(edge_fgir, name) for name in edge_fgir.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Detector'"):
        _ = edge_fgir.Detector


@pytest.mark.parametrize("module", [f"edge_fgir.{room}" for room in (*LIGHT_ROOMS, "cli", "data")])
def test_importing_a_light_room_loads_nothing_heavy(module) -> None:
    engines = {"openvino", "onnxruntime", "tensorrt", "cv2"}
    assert not loaded_by(f"import {module}") & {*HEAVY, *engines}


def test_the_command_line_starts_without_numpy() -> None:
    assert not loaded_by("import edge_fgir.cli") & {"numpy", "PIL"}


RUN = """
import contextlib, io, json, sys
from edge_fgir.cli import main
if sys.argv[1] == "bench":
    from edge_fgir.benchmarking import Protocol, WarmUp, bundle_bench
    bundle_bench.PROTOCOLS["burst"] = Protocol(warm_up=WarmUp(least_s=0, most_s=0.05))
out = io.StringIO()
with contextlib.redirect_stdout(out):
    try:
        main(sys.argv[1:])
    except SystemExit as ended:
        assert not ended.code, ended.code
json.loads(out.getvalue())
"""


@pytest.mark.export
@pytest.mark.parametrize("command", ["doctor", "predict", "verify", "bench"])
def test_commands_of_a_device_load_nothing_heavy(command, tiny_bundle, elpv_photos) -> None:
    arguments = {
        "doctor": [],
        "predict": [tiny_bundle, elpv_photos[0]],
        "verify": [tiny_bundle],
        "bench": [tiny_bundle, "--seconds", "0.1"],
    }[command]
    loaded = loaded_by(RUN, command, *arguments, "--json")
    assert not loaded & set(HEAVY)
    assert ("openvino" in loaded) == (command != "doctor")


@pytest.mark.export
def test_a_device_needs_no_heavy_library_to_be_installed(tiny_bundle, elpv_photos) -> None:
    hidden = f"import sys; sys.modules.update(dict.fromkeys({HEAVY}))"
    code = f"{hidden}\n{RUN}\nfor name in {HEAVY}: del sys.modules[name]"
    assert "openvino" in loaded_by(code, "predict", tiny_bundle, elpv_photos[0], "--json")
