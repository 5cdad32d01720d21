"""What a container takes away: names, homes, memory that is shared, a root that can be written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bundles import make_bundle

import edge_fgir

pytestmark = pytest.mark.unit

SCRIPT = Path(__file__).parent / "container.sh"
PACKAGE = Path(edge_fgir.__file__).parent.parent
_PATIENCE_S = 300

Command = Callable[..., subprocess.CompletedProcess[str]]


def contained(folder: Path, *command: object) -> subprocess.CompletedProcess[str]:
    """Run a command in a container's confines; it starts in ``folder``."""
    arguments = ["unshare", "--user", "--map-root-user", "--mount", "--net", "sh", SCRIPT, folder]
    return subprocess.run(
        [*map(str, arguments), *map(str, command)],
        capture_output=True,
        encoding="utf-8",
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PACKAGE)},
        timeout=_PATIENCE_S,
    )


@pytest.fixture(scope="module", autouse=True)
def _namespaces(tmp_path_factory: pytest.TempPathFactory) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed")
    done = contained(tmp_path_factory.mktemp("tried"), "true")
    if done.returncode:
        pytest.skip(f"this machine makes no namespaces: {done.stderr.strip()}")


@pytest.fixture
def run(tmp_path: Path) -> Command:
    """Return a function that runs ``edge-fgir`` in a container, in the test's folder."""
    return lambda *arguments: contained(tmp_path, sys.executable, "-m", "edge_fgir", *arguments)


def test_the_confines_are_what_they_should_be(tmp_path: Path) -> None:
    code = (
        "import json, os, pwd, sys\n"
        "def refused(action):\n"
        "    try: action()\n"
        "    except (OSError, KeyError): return True\n"
        "    return False\n"
        "shm = os.statvfs('/dev/shm')\n"
        "print(json.dumps({\n"
        "    'root': refused(lambda: open('/file', 'w')),\n"
        "    'user': refused(lambda: pwd.getpwuid(os.getuid())),\n"
        "    'home': 'HOME' not in os.environ,\n"
        "    'shm': shm.f_blocks * shm.f_frsize,\n"
        "    'terminal': sys.stdout.encoding,\n"
        "}))\n"
        "open('here', 'w')\n"
    )
    done = contained(tmp_path, sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["root"], found["user"], found["home"]) == (True, True, True)
    assert found["shm"] == 64 << 20
    assert found["terminal"].lower() not in ("utf-8", "utf8")


def test_a_bundle_is_verified_and_asked(run: Command, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    labels = ("Weißstorch", "鷺", "red")
    bundle = make_bundle(tmp_path / "birds.fgir", labels=labels)
    verified = run("verify", bundle)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    answered = run("predict", bundle, bundle / "golden", "--out", "answers.json")
    assert answered.returncode == 0, answered.stderr
    assert "storch" in answered.stdout  # whatever the terminal can show of it
    answers = json.loads((tmp_path / "answers.json").read_text(encoding="utf-8"))
    assert {each["label"] for each in answers["predictions"]} <= set(labels)


def test_a_camera_writes_its_events(run: Command, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    bundle = make_bundle(tmp_path / "birds.fgir")
    done = run("camera", bundle, "--source", bundle / "golden", "--sink", "jsonl:events.jsonl")
    assert done.returncode == 0, done.stderr


def test_photographs_are_read_and_looked_at(run: Command, photos: Path, tmp_path: Path) -> None:
    done = run("data", "check", photos, "--min-images", "0")
    assert "Traceback" not in done.stderr
    assert done.returncode == 0, done.stderr


def test_a_dead_proxy_ends_a_pull_in_seconds(run: Command, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    done = run("pull", "someone/birds", "--out", "birds.fgir")
    assert done.returncode == 2
    assert done.stderr.startswith("error: pulling from someone/birds: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.export
@pytest.mark.slow
def test_a_network_is_trained_and_quantized(run: Command, photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    pytest.importorskip("nncf")
    from runs import write_recipe

    recipe = write_recipe(tmp_path / "tiny.yaml", epochs=1)
    trained = run("train", recipe, "--data", photos, "--out", "run", "--set", "data.workers=2")
    assert trained.returncode == 0, trained.stderr
    exported = run(
        *("export", "run", "--target", "openvino", "--data", photos, "--precision", "int8"),
        *("--max-drop", "100", "--out", "a.fgir"),
    )
    # The network learned next to nothing: a gate may speak, a traceback may not.
    assert exported.returncode in (0, 1), exported.stderr
    assert "Traceback" not in exported.stderr
