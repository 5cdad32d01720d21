"""The page's modules that compute, in Node: the same numbers as Python."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import make_bundle
from preprocessing_vectors import FILE

from edge_fgir.runtime import FeatureSpace, target_folder

pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node (Debian: nodejs)"),
]

VECTORS = json.loads(FILE.read_text())
SIZE = 48


def ask(name: str, question: object) -> Any:
    """Return the page's answer, or the message of its error."""
    script = Path(__file__).with_name("modules.js")
    done = subprocess.run(
        ["node", script, target_folder("web") / "site"],
        input=json.dumps({name: question}),
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    return found.get("answer", found.get("error"))


def test_pictures_become_the_vectors_of_the_specification() -> None:
    assert ask("vectors", VECTORS) == [vector["sha256"] for vector in VECTORS]


def test_novelty_is_pythons() -> None:
    random = np.random.default_rng(0)
    axes = np.linalg.qr(random.normal(size=(SIZE, 5)))[0].T
    written = FeatureSpace(random.normal(size=SIZE), axes).to_bytes()
    space = FeatureSpace.from_bytes(written, SIZE)
    features = random.normal(size=(6, SIZE)).astype(np.float32)
    features[4], features[5] = space.center, 0  # known through and through, and nothing at all
    asked = {"space": base64.b64encode(written).decode(), "size": SIZE}
    found = ask("novelty", {**asked, "features": features.tolist()})
    assert found == pytest.approx(space.novelty(features).tolist(), abs=1e-5)
    refused = ask("novelty", {**asked, "size": SIZE - 1, "features": []})
    assert refused == "novelty.npy is not the space of this model's features"


def test_the_model_is_told_in_words(tmp_path: Path) -> None:
    pytest.importorskip("flatbuffers", reason="makes bundles")
    pytest.importorskip("ai_edge_litert", reason="makes bundles")
    bundle = make_bundle(
        tmp_path / "x.fgir",
        target="web",
        data={"name": "my_garden-birds", "licence": "", "hash": "0" * 64},
    )
    manifest = json.loads((bundle / "manifest.json").read_text())
    found = ask("facts", manifest)
    assert found["name"] == "My garden birds"
    assert found["tells"] == "Tells 3 classes apart."
    about = dict(found["about"])
    assert about["Computes by"] == "LiteRT in WebAssembly"
    assert about["Learned from"] == "my_garden-birds; licence: not stated"
