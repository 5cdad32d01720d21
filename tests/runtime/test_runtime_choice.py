"""Bundles with files for several runtimes: which one computes, and what it is asked of."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bundles import LABELS, edit_manifest, expected_probabilities, two_runtimes

from edge_fgir import Classifier, EngineOptions, InputError
from edge_fgir.runtime import Bundle, verify
from edge_fgir.runtime.runtimes import choose_runtime, remember_runtimes
from edge_fgir.runtime.runtimes.litert import LITERT

pytestmark = pytest.mark.export
pytest.importorskip("ai_edge_litert")
pytest.importorskip("onnxruntime")

NOTHING = EngineOptions()


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """LiteRT's file first, ONNX Runtime's beside it; the latter has a threshold of its own."""
    return two_runtimes(tmp_path / "both.fgir")


@pytest.mark.parametrize("runtime", ["litert", "onnxruntime"])
def test_each_runtime_answers_with_its_own_files(both: Path, runtime: str) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    with Classifier.open(both, EngineOptions(runtime=runtime)) as model:
        found = model(picture, color="rgb").probabilities
        assert runtime in model.info["engine"].replace("ai-edge-", "")
        assert model.bundle.manifest.runtime == runtime
        threshold = model.bundle.calibration.unknown_threshold
        assert "as asked" in repr(model)
    assert found == pytest.approx(expected_probabilities(picture, 3), abs=1e-4)
    assert threshold == {"litert": 0.5, "onnxruntime": 0.25}[runtime]


def test_the_preferred_one_is_opened_and_without_it_the_other(
    both: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Bundle(both)
    assert bundle.manifest.runtimes == ("litert", "onnxruntime")
    choice = choose_runtime(bundle, NOTHING)
    assert choice.runtime == "litert"
    assert "edge-fgir bench measures them" in choice.why
    monkeypatch.setattr(type(LITERT), "installed", property(lambda spec: spec.name != "litert"))
    assert choose_runtime(bundle, NOTHING).runtime == "onnxruntime"
    with Classifier.open(both) as model:
        assert model.info["engine"].startswith("onnxruntime")
    assert [check.name for check in verify(both) if "onnxruntime" in check.name]


def test_what_was_measured_here_decides(both: Path) -> None:
    bundle = Bundle(both)
    remember_runtimes(bundle, {"litert": 3.0, "onnxruntime": 2.0})
    choice = choose_runtime(bundle, NOTHING)
    assert choice.runtime == "onnxruntime"
    assert "litert 3.00 ms, onnxruntime 2.00 ms" in choice.why
    with Classifier.open(both) as model:
        assert model.info["engine"].startswith("onnxruntime")


def test_what_was_measured_here_does_not_decide_for_another_device(both: Path) -> None:
    bundle = Bundle(both)
    remember_runtimes(bundle, {"litert": 3.0, "onnxruntime": 2.0})
    choice = choose_runtime(bundle, EngineOptions("cpu"))
    assert (choice.runtime, "bench" in choice.why) == ("litert", False)


@pytest.mark.parametrize("options", [EngineOptions("cpu"), EngineOptions(threads=1)])
def test_what_was_measured_with_options_is_not_kept(
    both: Path, options: EngineOptions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from edge_fgir.benchmarking import compare_runtimes, compared_runtimes

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = {"litert": 3.0, "onnxruntime": 2.0}
    monkeypatch.setattr(compared_runtimes, "time_side_by_side", lambda *_: found)
    assert compare_runtimes(both, options) == found
    assert choose_runtime(Bundle(both), NOTHING).runtime == "litert"
    assert compare_runtimes(both, NOTHING) == found
    assert choose_runtime(Bundle(both), NOTHING).runtime == "onnxruntime"


@pytest.mark.parametrize("changed", ["machine", "versions"])
def test_what_was_measured_elsewhere_does_not(
    both: Path, changed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    bundle = Bundle(both)
    remember_runtimes(bundle, {"litert": 3.0, "onnxruntime": 2.0})
    (file,) = (tmp_path / "cache/edge-fgir/runtimes").iterdir()
    found = json.loads(file.read_text())
    found[changed] = "another" if changed == "machine" else {"litert": "0", "onnxruntime": "0"}
    file.write_text(json.dumps(found))
    assert choose_runtime(bundle, NOTHING).runtime == "litert"
    file.write_bytes(b"\xff")
    assert choose_runtime(bundle, NOTHING).runtime == "litert"


def test_one_that_it_has_no_files_for_is_refused(both: Path, arm_bundle: Path) -> None:
    with pytest.raises(InputError, match=r"no files for runtime openvino; expected one of litert"):
        Classifier.open(both, EngineOptions(runtime="openvino"))
    with pytest.raises(InputError, match=r"no files for runtime litert; expected one of onnxr"):
        Classifier.open(arm_bundle, EngineOptions(runtime="litert"))


def test_verify_replays_both(both: Path, run_cli: Callable) -> None:
    checks = run_cli("verify", both, "--json").json["checks"]
    replayed = [check["name"] for check in checks if check["name"].startswith("golden")]
    assert ["ai-edge-litert" in replayed[0], "onnxruntime" in replayed[1]] == [True, True]


def test_bench_measures_both_and_the_fastest_is_opened_from_then_on(
    both: Path, run_cli: Callable, quick_bench: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_fgir.benchmarking import side_by_side
    from edge_fgir.benchmarking.protocol import PROBES, StoppingRule

    brief = PROBES.model_copy(update={"stop": StoppingRule(brief=2, most=2)})
    monkeypatch.setattr(side_by_side, "PROBES", brief)
    latency = run_cli("bench", both, "--seconds", 0.1, "--json").json
    assert set(latency["runtimes_ms"]) == {"litert", "onnxruntime"}
    fastest = min(latency["runtimes_ms"], key=latency["runtimes_ms"].get)
    assert fastest in latency["engine"]
    assert choose_runtime(Bundle(both), NOTHING).runtime == fastest
    asked = run_cli("bench", both, "--seconds", 0.1, "--runtime", "litert", "--json").json
    assert "litert" in asked["engine"]
    assert asked["runtimes_ms"] is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"runtime": "litert"}, "a runtime has two forms"),
        ({"folder": "../elsewhere"}, "unsafe path"),
        ({"runtime": "tflite"}, "is none of"),
    ],
    ids=["twice", "outside", "unknown"],
)
def test_a_form_that_cannot_be_is_refused(both: Path, change: dict[str, str], says: str) -> None:
    edit_manifest(both, lambda values: values["forms"][0].update(change))
    with pytest.raises(InputError, match=says):
        Bundle(both)


def test_a_form_without_its_model_file_is_refused(both: Path) -> None:
    edit_manifest(both, lambda values: values["forms"][0].update(model_file="onnxruntime/no.onnx"))
    with pytest.raises(InputError, match=r"has no file onnxruntime/no\.onnx"):
        Classifier.open(both, EngineOptions(runtime="onnxruntime"))


def test_doctor_says_what_an_arm_bundle_may_run_in(run_cli: Callable) -> None:
    done = run_cli("doctor", "--target", "arm", "--json").json["targets"]["arm"]
    assert set(done["also"]) == {"litert", "openvino"}
    assert done["also"]["litert"] == LITERT.version
    assert "its bundles may hold files of litert" in run_cli("doctor").out


def test_what_both_share_is_the_bundles(both: Path) -> None:
    form = Bundle(both).in_runtime("onnxruntime")
    assert form.labels == LABELS
    assert form.preprocess == Bundle(both).preprocess
