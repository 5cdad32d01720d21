"""Bundles on ARM: verified and asked on a real aarch64 ONNX Runtime and LiteRT, under qemu-user."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from targets import exported

from edge_fgir.runtime import Bundle

HERE = Path(__file__).parent
ROOT = Path(os.environ.get("EDGE_FGIR_AARCH64") or HERE.parents[1] / "build" / "aarch64")
QEMU = shutil.which("qemu-aarch64-static")
pytestmark = [
    pytest.mark.export,
    pytest.mark.slow,
    pytest.mark.skipif(
        QEMU is None,
        reason="no ARM here: qemu-aarch64-static is missing (Debian: qemu-user-static)",
    ),
    pytest.mark.skipif(
        not (ROOT / "made_from").exists(),
        reason=f"no ARM here: {ROOT} is missing; run: tests/arm/aarch64_root.sh {ROOT}",
    ),
]

PI_5, PI_4 = "cortex-a76", "cortex-a72"  # with int8 dot products, and without: other kernels


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our own wheel, unpacked as the device's pip would."""
    builder = pytest.importorskip("hatchling.builders.wheel").WheelBuilder(str(HERE.parents[1]))
    folder = tmp_path_factory.mktemp("wheel")
    wheel = next(builder.build(directory=str(folder), versions=["standard"]))
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def on_arm(installed: Path) -> Callable[..., Any]:
    """Return a function that runs ``edge-fgir`` there and returns its JSON."""

    def run(*arguments: object, cpu: str = PI_5) -> Any:
        done = subprocess.run(
            [str(QEMU), "-cpu", cpu, "-L", ROOT, ROOT / "usr/bin/python3", "-m", "edge_fgir"]
            + [str(argument) for argument in arguments]
            + ["--json"],
            env={"PYTHONPATH": f"{installed}:{ROOT / 'site'}", "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=installed,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    return run


@pytest.fixture(params=[exported("arm"), exported("litert")])
def bundle(request: pytest.FixtureRequest, tiny_export: Callable[..., Path]) -> Path:
    """The tiny LRNet-14 as INT8; what its 36 validation images say gates nothing."""
    return tiny_export(request.param, "int8")


@pytest.mark.parametrize("cpu", [PI_5, PI_4])
def test_the_bundle_verifies_on_arm(on_arm: Callable[..., Any], bundle: Path, cpu: str) -> None:
    answer = on_arm("verify", bundle, cpu=cpu)
    assert answer["ok"], answer
    (replay,) = (c for c in answer["checks"] if c["name"].startswith("golden images"))
    engine = {"arm": "onnxruntime", "litert": "ai-edge-litert"}[Bundle(bundle).manifest.target]
    assert replay["name"].startswith(f"golden images in {engine} ")


def test_it_answers_on_arm_as_here(
    on_arm: Callable[..., Any], run_cli: Callable[..., Any], bundle: Path, photos: Path
) -> None:
    there = on_arm("predict", bundle, photos / "test")
    here = run_cli("predict", bundle, photos / "test", "--json").json
    assert len(here) == 36
    assert {picture["label"] for picture in here} == {
        folder.name for folder in (photos / "test").iterdir()
    }
    assert [p["label"] for p in there] == [p["label"] for p in here]
    for one, other in zip(there, here, strict=True):
        assert dict(one["top"]) == pytest.approx(dict(other["top"]), abs=0.01)
