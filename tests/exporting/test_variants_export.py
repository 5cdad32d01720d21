"""Several settings of one training as one bundle: exported, joined, measured."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from bundles import make_bundle
from safetensors.numpy import load_file, save_file
from signing import Keys
from targets import loosened

import edge_fgir as ef
from edge_fgir import Classifier, InputError
from edge_fgir.exporting import check_variants
from edge_fgir.exporting.variants import join_variants
from edge_fgir.models import Network
from edge_fgir.models.reduction import Reduction
from edge_fgir.runs import TrainedModel
from edge_fgir.runtime import Bundle, DataInfo, Normalization, Preprocess, SigningKey, verify

pytestmark = pytest.mark.export
pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def exported(
    tiny_run: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, list[str]]:
    """The tiny run at 32 and at 24 px, signed; the public key, and what was told."""
    folder, told = tmp_path_factory.mktemp("exported"), []
    signer = Keys(folder / "keys")
    options = ef.ExportOptions(precision="fp32", signing_key=SigningKey.read(signer.private))
    ef.export(
        tiny_run,
        loosened("openvino"),
        str(photos),
        folder / "leaves.fgir",
        options,
        variants=[ef.Setting(24)],
        tell_line=told.append,
    )
    return folder / "leaves.fgir", signer.public, told


def test_each_is_whole_and_answers_its_own_golden_pictures(
    exported: tuple[Path, Path, list[str]],
) -> None:
    path, key, told = exported
    checks = list(verify(path, trust=key))
    assert all(check.ok for check in checks), checks
    assert [check.name.rpartition(" at ")[2] for check in checks[-2:]] == ["32", "24"]
    assert told == ["variant 32:", "variant 24:"]
    first, second = Bundle(path).variants
    assert (first.preprocess.size, second.preprocess.size) == (32, 24)
    for variant in (first, second):
        assert variant.report("accuracy")["split"] == "val"
        assert variant.calibration.validation_images == 36
    assert first.report("parity") != second.report("parity")
    listed = [entry.path for entry in Bundle(path).manifest.files]
    assert [name for name in listed if name.endswith("labels.txt")] == ["labels.txt"]
    components = Bundle(path).read_object("bom.json")["metadata"]["component"]["components"]
    assert {"openvino/model.bin", "variants/24/openvino/model.bin"} <= {
        each["name"] for each in components
    }


def test_the_smaller_one_is_the_run_at_its_size(
    exported: tuple[Path, Path, list[str]], tiny_run: Path, photos: Path
) -> None:
    path, *_ = exported
    run = ef.Run.open(tiny_run)
    smaller = ef.EngineOptions(variant="24")
    on_device = ef.evaluate(path, str(photos), "val", device=smaller)
    in_torch = ef.evaluate(run.at(ef.Setting(24)), str(photos), "val")
    assert (on_device.variant, on_device.image_size) == ("24", 24)
    assert on_device.top1 == pytest.approx(in_torch.top1, abs=1e-6)
    assert on_device.model_bytes < Bundle(path).model_size


def test_bench_compares_them_and_measures_the_first(
    exported: tuple[Path, Path, list[str]],
    run_cli: Callable,
    quick_bench: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from edge_fgir.benchmarking import side_by_side
    from edge_fgir.benchmarking.protocol import PROBES, StoppingRule

    brief = PROBES.model_copy(update={"stop": StoppingRule(brief=2, most=2)})
    monkeypatch.setattr(side_by_side, "PROBES", brief)
    path, *_ = exported
    latency = run_cli("bench", path, "--seconds", 0.1, "--json").json
    assert list(latency["variants_ms"]) == ["32", "24"]
    assert min(latency["variants_ms"].values()) > 0
    assert (latency["image_size"], latency["variant"]) == (32, "32")
    one = run_cli("bench", path, "--seconds", 0.1, "--variant", "24", "--json").json
    assert (one["image_size"], one["variant"], one["variants_ms"]) == (24, "24", None)
    told = run_cli("bench", path, "--seconds", 0.1).out
    assert "variants side by side, frame to decision: 32 " in told


def test_the_camera_goes_through_them(
    exported: tuple[Path, Path, list[str]], run_cli: Callable, photos: Path
) -> None:
    path, *_ = exported
    done = run_cli("camera", path, "--source", photos / "test/red_leaf", "--target-fps", 1000)
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert {line["variant"] for line in lines} <= {0, 1}
    assert len(lines) == 12
    alone = run_cli("camera", path, "--source", photos / "test/red_leaf")
    assert "variant" not in json.loads(alone.out.splitlines()[0])


def test_only_what_is_the_same_is_held_once(tmp_path: Path) -> None:
    """A keep rate changes the model and what was measured of it, not the pictures."""
    pytest.importorskip("openvino")
    whole = make_bundle(tmp_path / "whole.fgir")
    fewer = make_bundle(tmp_path / "fewer.fgir", replaced={"deepstream/labels.txt": b"red\n"})
    parts = [Bundle(whole), Bundle(fewer)]
    join_variants(parts, [(0.7, 0.5)], tmp_path / "both.fgir", as_zip=True)
    bundle = Bundle(tmp_path / "both.fgir")
    assert bundle.manifest.variant_names == ("32", "32:0.7,0.5")
    own = [e.path for e in bundle.manifest.files if e.path.startswith("variants/32-0.7-0.5/")]
    assert [path.removeprefix("variants/32-0.7-0.5/") for path in own] == [
        "deepstream/labels.txt",
        "openvino/model.bin",
        "openvino/model.xml",
        "reports/accuracy.json",
    ]
    with Classifier.open(bundle.path, target_fps=1000) as model:
        assert model(np.full((40, 40, 3), (250, 20, 30), np.uint8), color="rgb").label == "red"


def test_keep_rates_in_two_runtimes(vit_run: Path, photos: Path, tmp_path: Path) -> None:
    """A network that keeps fewer tokens: every variant is the run at its setting, in each file."""
    pytest.importorskip("openvino")
    ef.export(
        vit_run,
        loosened("arm"),
        str(photos),
        tmp_path / "leaves.fgir",
        ef.ExportOptions(precision="fp32", setting=ef.Setting(64, 1.0)),
        also=["openvino"],
        variants=[ef.Setting(64, 0.5), ef.Setting(48, 0.5)],
    )
    bundle = Bundle(tmp_path / "leaves.fgir")
    assert bundle.manifest.variant_names == ("64", "64:0.5", "48:0.5")
    assert [check for check in verify(bundle.path) if not check.ok] == []
    run = ef.Run.open(vit_run)
    settings = ef.Setting(64, 1.0), ef.Setting(64, 0.5), ef.Setting(48, 0.5)
    answers = {}
    for name, setting in zip(bundle.manifest.variant_names, settings, strict=True):
        in_torch = ef.evaluate(run.at(setting), str(photos), "test").top1
        for runtime in ("onnxruntime", "openvino"):
            device = ef.EngineOptions(runtime=runtime, variant=name)
            on_device = ef.evaluate(bundle.path, str(photos), "test", device=device)
            assert on_device.top1 == pytest.approx(in_torch, abs=100 / 36 + 1e-6)
            with Classifier.open(bundle.path, device) as model:
                assert model.image_size == setting.image_size
                answers[name, runtime] = model(np.full((70, 70, 3), 99, np.uint8)).probabilities
    for name in bundle.manifest.variant_names:
        ours, theirs = (answers[name, runtime] for runtime in ("onnxruntime", "openvino"))
        assert ours == pytest.approx(theirs, abs=2e-2)  # OpenVINO's file is in half precision
    assert answers["64", "onnxruntime"] != pytest.approx(answers["64:0.5", "onnxruntime"], abs=1e-4)


@pytest.mark.parametrize(
    ("target", "variants", "says"),
    [
        ("openvino", [ef.Setting(24), ef.Setting(28)], "variant 28 computes .* 24 before it"),
        ("openvino", [ef.Setting(32)], "variant 32 computes .* GMACs, 32 before it"),
        ("openvino", [ef.Setting(24, 0.5)], "a keep rate for tiny, a model without token reduct"),
        ("openvino", [ef.Setting(24)] * 9, "9 variants; expected at most 8"),
        ("web", [ef.Setting(24)], "variants with target web, whose page opens one model"),
    ],
    ids=["order", "same", "no rates", "many", "web"],
)
def test_variants_that_cannot_be_are_refused_before_anything_is_exported(
    tiny_run: Path, target: str, variants: list[ef.Setting], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        check_variants(ef.Run.open(tiny_run), loosened(target), None, variants)


def test_weights_that_do_not_serve_a_variant_are_refused_before_anything_is_exported(
    vit_run: Path, photos: Path, tmp_path: Path
) -> None:
    shutil.copytree(vit_run, tmp_path / "run")
    weights = ef.Run.open(tmp_path / "run").weights
    held = load_file(weights)
    held.pop(next(iter(held)))
    save_file(held, weights)
    told: list[str] = []
    with pytest.raises(InputError, match="is missing or of another shape"):
        ef.export(
            tmp_path / "run",
            loosened("openvino"),
            str(photos),
            tmp_path / "leaves.fgir",
            ef.ExportOptions(precision="fp32"),
            variants=[ef.Setting(48)],
            tell_line=told.append,
        )
    assert told == []
    assert not (tmp_path / "leaves.fgir").exists()


def test_what_a_variant_leaves_open_is_as_in_the_first() -> None:
    trained = TrainedModel(
        name="vit",
        network=Network(name="vit_tiny_patch16_224", reduction=Reduction()),
        num_classes=3,
        normalization=Normalization(mean=(0, 0, 0), std=(1, 1, 1)),
        preprocess=Preprocess(size=224),
        data=DataInfo(name="none", licence="", hash=""),
    )
    run = cast("ef.Run", SimpleNamespace(trained_as=trained))
    first, target = ef.Setting(224, 0.7, "topk"), loosened("openvino")
    asked = [ef.Setting(224, 0.5), ef.Setting(192, 0.5), ef.Setting(160)]
    assert check_variants(run, target, first, asked[:2]) == [
        (224, 0.5, "topk"),
        (192, 0.5, "topk"),
    ]
    assert check_variants(run, target, first, asked[2:]) == [(160, 0.7, "topk")]
    with pytest.raises(InputError, match=r"variant 224:0\.8 computes"):
        check_variants(run, target, first, [ef.Setting(224, 0.8)])


@pytest.mark.parametrize("value", ["small", "8", "128:", "128:a", ":0.5", "128:0.5:0.7", "-128"])
def test_words_that_are_no_variant_are_refused(
    tiny_run: Path, tmp_path: Path, run_cli: Callable, value: str
) -> None:
    out = tmp_path / "b.fgir"
    words = ("--target", "openvino", "--data", tmp_path, "--out", out, f"--variant={value}")
    done = run_cli("export", tiny_run, *words)
    assert (done.code, out.exists()) == (2, False)
    assert f"--variant {value}" in done.err
    assert "SIZE:KEEP" in done.err
    both = run_cli("export", tiny_run, *words[:-1], "--variant", "24", "--qat-epochs", 1)
    assert "--variant beside --qat-epochs" in both.err
