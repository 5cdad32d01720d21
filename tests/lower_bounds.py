"""Runs a device's tests with the oldest versions that ``pyproject.toml`` allows.

    python tests/lower_bounds.py FOLDER

FOLDER gets a virtual environment, and can be removed afterwards. ``pip`` needs a package index.
Ends with 3 where the packages cannot be had, else as the tests do. Needs Python 3.11 or newer.
"""

from __future__ import annotations

import re
import subprocess
import sys
import venv
from pathlib import Path

import tomllib

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = ("openvino", "arm", "sign")
"""What a device may have beside the base install."""
TOOLS = ("pytest", "hypothesis", "onnx")
"""What the tests need beside it: some build a graph."""
TESTS = ("tests/runtime", "tests/attacks", "tests/data", "tests/cli/test_camera.py")


def oldest() -> list[str]:
    """Return what the device and its tests need, each at the lowest version allowed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needed = [*project["dependencies"], *(need for extra in EXTRAS for need in extras[extra])]
    tools = [need for extra in ("dev", "export") for need in extras[extra]]
    needed += [need for need in tools if re.split(r"[>=]", need)[0] in TOOLS]
    return [need.split(";")[0].strip().replace(">=", "==") for need in needed]


def main(folder: Path) -> int:
    """Install the oldest versions into ``folder`` and run the tests; return the exit code."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pins = oldest()
    print("oldest versions:", " ".join(pins))  # noqa: T201
    if subprocess.run([python, "-m", "pip", "install", "--quiet", *pins]).returncode:
        return 3
    return subprocess.run([python, "-m", "pytest", "-q", *TESTS], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
