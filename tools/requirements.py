"""Writes ``requirements/``: what a device installs, every file of it known by its hash.

    pip install uv
    python tools/requirements.py

The versions are those of ``constraints.txt``; on Python 3.10, which several of them have left, uv
chooses. A device installs exactly these files, or nothing, and then the package itself:

    pip install --require-hashes --requirement requirements/openvino.txt
    pip install --no-deps edge_fgir-0.1.0-py3-none-any.whl
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "requirements"
BESIDE = ("camera", "mqtt", "sign")
"""Extras that any device may want."""
FILES: dict[str, tuple[str, ...]] = {
    "base": (),
    **{runtime: (runtime, *BESIDE) for runtime in ("openvino", "arm", "litert")},
}
"""The extras of each file."""

_HEAD = """\
# {what}, of Python 3.10 to 3.13 on Linux, x86-64 and arm64.
# Made by tools/requirements.py: pip install --require-hashes --requirement requirements/{name}.txt
"""


def command(name: str) -> list[str]:
    """Return the command that resolves a file."""
    extras = [word for extra in FILES[name] for word in ("--extra", extra)]
    return [
        *("uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.10"),
        *("--generate-hashes", "--no-header", "--no-annotate"),
        *("--constraint", "constraints.txt", *extras, "pyproject.toml"),
    ]


def main() -> int:
    """Write every file anew."""
    FOLDER.mkdir(exist_ok=True)
    for name, extras in FILES.items():
        done = subprocess.run(command(name), cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            sys.stderr.write(done.stderr)
            return done.returncode
        what = " and ".join(
            ["The base install", ", ".join(extras)] if extras else ["The base install"]
        )
        (FOLDER / f"{name}.txt").write_text(_HEAD.format(what=what, name=name) + done.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
