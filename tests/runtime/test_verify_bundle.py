from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from bundles import make_bundle, zip_bundle

from edge_fgir import InputError
from edge_fgir.runtime import verify
from edge_fgir.runtime.runtimes.openvino.engine import OpenVinoEngine

pytestmark = pytest.mark.export


@pytest.fixture
def expected(tiny_bundle) -> dict:
    return json.loads((tiny_bundle / "golden" / "expected.json").read_text())


def with_golden(path: Path, expected: dict) -> Path:
    """A sealed bundle that expects other answers."""
    return make_bundle(path, replaced={"golden/expected.json": json.dumps(expected).encode()})


@pytest.mark.parametrize("target", ["openvino", "arm", "litert", "jetson"])
def test_a_whole_bundle_is_ok(request, run_cli, target):
    path = request.getfixturevalue("tiny_bundle" if target == "openvino" else f"{target}_bundle")
    files, contents, golden = verify(path, "cpu" if target == "jetson" else "auto")
    assert files.ok
    assert contents.ok
    assert golden.ok
    engine = {"openvino": "openvino", "litert": "ai-edge-litert"}.get(target, "onnxruntime")
    assert golden.name.startswith(f"golden images in {engine} ")
    assert golden.detail.startswith("3 images, max |delta p| ")
    assert golden.detail.endswith(" (allowed 0.001)")


def test_a_zip_is_ok(tiny_bundle, tmp_path):
    assert all(check.ok for check in verify(zip_bundle(tiny_bundle, tmp_path / "a.zip")))


def test_without_tensorrt_a_jetson_bundle_is_replayed_and_the_check_says_where(
    jetson_bundle, monkeypatch
):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    *_, golden = verify(jetson_bundle)
    assert golden.ok
    assert golden.name.startswith("golden images in onnxruntime ")


def test_the_command_prints_every_check_and_ends_with_0(run_cli, tiny_bundle):
    done = run_cli("verify", tiny_bundle)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["ok      files", "ok      contents"]
    assert lines[2].startswith("ok      golden images in openvino")


def test_a_probability_off_by_more_than_the_tolerance_fails(run_cli, expected, tmp_path):
    expected["images"][1]["probabilities"][0] += 0.01
    path = with_golden(tmp_path / "a.fgir", expected)
    *_, golden = verify(path)
    assert not golden.ok
    assert golden.detail == "3 images, max |delta p| 0.01 (allowed 0.001)"
    done = run_cli("verify", path)
    assert done.code == 1
    assert done.out.splitlines()[2].startswith("FAILED  golden images in openvino")
    done = run_cli("verify", path, "--json")
    assert (done.code, done.json["ok"]) == (1, False)
    assert [check["ok"] for check in done.json["checks"]] == [True, True, False]


def test_a_probability_within_the_tolerance_is_ok(expected, tmp_path):
    expected["images"][1]["probabilities"][0] += 0.01
    expected["tolerance"] = 0.02
    *_, golden = verify(with_golden(tmp_path / "a.fgir", expected))
    assert golden.ok


def test_another_label_fails_whatever_the_tolerance(run_cli, expected, tmp_path):
    expected["tolerance"] = 1.0
    expected["images"][0]["probabilities"] = [0.2, 0.3, 0.5]
    path = with_golden(tmp_path / "a.fgir", expected)
    *_, golden = verify(path)
    assert not golden.ok
    assert golden.detail.endswith(", other label on red.png")
    assert run_cli("verify", path).code == 1


@pytest.mark.parametrize("spoilt", [0, 1, 2])
def test_an_engine_that_answers_nan_fails(tiny_bundle, monkeypatch, spoilt):
    real = OpenVinoEngine.infer

    def broken(self, batch):
        answer = real(self, batch)
        answer[0, spoilt] = np.nan
        return answer

    monkeypatch.setattr(OpenVinoEngine, "infer", broken)
    *_, golden = verify(tiny_bundle)
    assert not golden.ok
    assert "max |delta p| nan" in golden.detail


def test_a_changed_file_ends_with_2_and_one_line(run_cli, tiny_bundle, tmp_path):
    path = Path(shutil.copytree(tiny_bundle, tmp_path / "a.fgir"))
    weights = path / "openvino" / "model.bin"
    weights.write_bytes(weights.read_bytes()[::-1])
    for options in ([], ["--json"]):
        done = run_cli("verify", path, *options)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith(f"error: {path}/openvino/model.bin was changed: ")
        assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda e: e["images"][0].update(probabilities=[0.5, 0.5]),
            r"golden/expected\.json: red\.png has 2 values; expected 3",
        ),
        (lambda e: e["images"][0].update(file="gone.png"), r"has no file golden/gone\.png"),
        (lambda e: e["images"][0].update(file="expected.json"), r"golden/expected\.json: .*pict"),
        (
            lambda e: e.update(tolerance=0),
            r"golden/expected\.json: tolerance: Input should be greater",
        ),
    ],
)
def test_golden_answers_that_do_not_fit_are_refused(change, message, expected, tmp_path):
    change(expected)
    with pytest.raises(InputError, match=message) as caught:
        list(verify(with_golden(tmp_path / "a.fgir", expected)))
    assert len(str(caught.value).splitlines()) == 1


def test_golden_pictures_have_the_models_size(tiny_bundle, tmp_path):
    larger = make_bundle(tmp_path / "b.fgir", size=48)
    picture = (larger / "golden" / "red.png").read_bytes()
    path = make_bundle(tmp_path / "a.fgir", replaced={"golden/red.png": picture})
    with pytest.raises(InputError, match=r"red\.png is 48 x 48 RGB; expected 32 x 32 RGB"):
        list(verify(path))
