from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from bundles import make_bundle

pytest.importorskip("flatbuffers", reason="makes bundles")
pytest.importorskip("ai_edge_litert", reason="makes bundles")

pytestmark = pytest.mark.unit


def test_it_says_what_a_browser_loads(tmp_path: Path, run_cli: Callable) -> None:
    page = {"index.html": b"<p>", "onnxruntime/ort.wasm": b"0" * 1_500_000}
    bundle = make_bundle(tmp_path / "x.fgir", target="web", replaced=page)
    shown = run_cli("web", bundle).out
    assert shown.splitlines()[0].split() == ["1.500", "MB", "onnxruntime/ort.wasm"]
    assert "golden" not in shown
    told = json.loads(run_cli("web", bundle, "--json").out)
    assert told["bytes"] == sum(file["bytes"] for file in told["files"])
    assert f"{told['bytes'] / 1e6:.3f} MB  in all" in shown


def test_another_bundle_is_refused(tmp_path: Path, run_cli: Callable) -> None:
    done = run_cli("web", make_bundle(tmp_path / "x.fgir"), "--serve")
    assert done.code == 2
    assert "holds no page" in done.err
