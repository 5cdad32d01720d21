"""One bundle with several variants of one training: its format, and what opens and replays it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import (
    LABELS,
    edit_manifest,
    expected_probabilities,
    make_bundle,
    reseal,
    two_runtimes,
    with_variant,
)

from edge_fgir import Classifier, EngineOptions, InputError
from edge_fgir.runtime import Bundle, pack, unpack, verify

pytestmark = pytest.mark.export
pytest.importorskip("openvino")

RED = np.full((48, 48, 3), (250, 20, 30), np.uint8)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Colours at 32 px and at 16 px, which has an unknown threshold of its own."""
    folder = tmp_path_factory.mktemp("variants")
    large, small = (make_bundle(folder / f"{size}.fgir", size=size) for size in (32, 16))
    own = json.loads((small / "calibration.json").read_text()) | {"unknown_threshold": 0.25}
    (small / "calibration.json").write_text(json.dumps(own))
    (small / "reports/accuracy.json").unlink()
    return with_variant(folder / "both.fgir", large, small)


@pytest.fixture
def both(sealed: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(sealed, tmp_path / "both.fgir"))


def test_each_variant_answers_with_its_own_files(both: Path) -> None:
    for name, side, threshold in (("32", 32, 0.5), ("16", 16, 0.25)):
        with Classifier.open(both, EngineOptions(variant=name)) as model:
            result = model(RED, color="rgb")
            assert (model.image_size, model.info["variant"]) == (side, name)
            assert model.bundle.calibration.unknown_threshold == threshold
        assert result.variant is None
        assert result.probabilities == pytest.approx(expected_probabilities(RED, 3), abs=1e-4)
    with Classifier.open(both) as model:
        assert (model.image_size, model.variants) == (32, (f"{both} at 32",))


def test_with_a_rate_to_keep_all_are_opened_and_results_say_which_answered(both: Path) -> None:
    with Classifier.open(both, target_fps=1000) as model:
        assert model.variants == (f"{both} at 32", f"{both} at 16")
        assert model(RED, color="rgb").variant == 0
    last = EngineOptions(variant="16")
    with pytest.raises(InputError, match="target_fps without smaller models"):
        Classifier.open(both, last, target_fps=30)
    other = make_bundle(both.parent / "third.fgir", size=24)
    with Classifier.open(both, last, smaller=[other], target_fps=1000) as model:
        assert model.variants == (f"{both} at 16", str(other))
    with Classifier.open(other, smaller=[both], target_fps=1000) as model:
        assert model.variants == (str(other), f"{both} at 32", f"{both} at 16")


def test_what_a_variant_shares_and_what_it_does_not(both: Path) -> None:
    first, second = Bundle(both).variants
    assert (first.variant, second.variant) == ("32", "16")
    assert first.labels == second.labels == LABELS
    assert second.preprocess.size == second.manifest.input.shape[1] == 16
    assert first.report("accuracy") == {"top1": 100.0}
    with pytest.raises(InputError, match=r"no file reports/accuracy\.json"):
        second.report("accuracy")
    assert Bundle(both).model_size == first.model_size + second.model_size
    (alone,) = Bundle(make_bundle(both.parent / "alone.fgir")).variants
    assert alone.variant is None


def test_verify_replays_each(both: Path, run_cli: Callable) -> None:
    checks = {check["name"]: check for check in run_cli("verify", both, "--json").json["checks"]}
    assert checks["contents"]["detail"] == "3 labels, input 32 px, variants 32, 16"
    replayed = [name for name in checks if name.startswith("golden")]
    assert [name.rpartition(" at ")[2] for name in replayed] == ["32", "16"]


def test_the_variant_that_answers_otherwise_is_found(both: Path, run_cli: Callable) -> None:
    golden = both / "variants/16/golden/expected.json"
    values = json.loads(golden.read_text())
    values["images"][0]["probabilities"].reverse()
    golden.write_text(json.dumps(values))
    *_, first, second = verify(reseal(both))
    assert (first.ok, second.ok) == (True, False)
    assert second.name.endswith(" at 16")
    swept = run_cli("verify", both, "--all-devices", "--json")
    assert (swept.code, swept.json["devices"][0]["ok"]) == (1, False)


def test_all_devices_are_asked_about_each(both: Path, run_cli: Callable) -> None:
    done = run_cli("verify", both, "--all-devices", "--json")
    cpu = next(each for each in done.json["devices"] if each["device"] == "cpu")
    assert (cpu["ok"], cpu["detail"].count("3 images")) == (True, 2)
    assert "at 16: 3 images" in cpu["detail"]


def test_as_one_file_and_back(both: Path, tmp_path: Path) -> None:
    pack(Bundle(both), tmp_path / "one.fgir")
    assert all(check.ok for check in verify(tmp_path / "one.fgir"))
    unpack(Bundle(tmp_path / "one.fgir"), tmp_path / "again.fgir")
    files = [file for file in both.rglob("*") if file.is_file()]
    for file in files:
        again = tmp_path / "again.fgir" / file.relative_to(both)
        assert again.read_bytes() == file.read_bytes()


def test_each_variant_in_each_runtime(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    pytest.importorskip("onnxruntime")
    large, small = (two_runtimes(tmp_path / f"{size}.fgir", size=size) for size in (32, 16))
    both = with_variant(tmp_path / "both.fgir", large, small)
    for runtime, threshold in (("litert", 0.5), ("onnxruntime", 0.25)):
        options = EngineOptions(runtime=runtime, variant="16")
        for opened in (EngineOptions(runtime=runtime), options):
            with Classifier.open(both, opened) as model:
                assert runtime in model.info["engine"].replace("ai-edge-", "")
                assert model.bundle.calibration.unknown_threshold == threshold
                assert model.image_size == (32 if opened.variant is None else 16)
                assert model(RED, color="rgb").label == "red"
    names = [check.name for check in verify(both) if check.name.startswith("golden")]
    assert [name.rpartition(" at ")[2] for name in names] == ["32", "16", "32", "16"]


def test_one_that_it_does_not_hold_is_refused(both: Path) -> None:
    with pytest.raises(InputError, match="has no variant 64; expected one of 32, 16"):
        Classifier.open(both, EngineOptions(variant="64"))
    alone = make_bundle(both.parent / "alone.fgir")
    with pytest.raises(InputError, match="has no variant 16; expected 32; leave it out"):
        Classifier.open(alone, EngineOptions(variant="16"))
    Classifier.open(alone, EngineOptions(variant="32")).close()


@pytest.mark.parametrize(
    ("rate", "name"), [(0.7, "16:0.7"), ([0.7, 0.5, 0.5], "16:0.7,0.5,0.5")], ids=["one", "three"]
)
def test_a_keep_rate_is_part_of_the_name(both: Path, rate: object, name: str) -> None:
    spec = json.loads((both / "manifest.json").read_text())["variants"][0]
    reseal(both, variants=({**spec, "keep_rate": rate},))
    assert Bundle(both).manifest.variant_names == ("32", name)


def test_a_reader_of_before_cannot_take_the_first_for_all(both: Path) -> None:
    alone = make_bundle(both.parent / "alone.fgir")
    one, several = (json.loads((each / "manifest.json").read_text()) for each in (alone, both))
    assert (one["schema"], several["schema"]) == ("edge-fgir/bundle/1", "edge-fgir/bundle/2")
    assert "variants" not in one


FORM = {
    "runtime": "onnxruntime",
    "precision": "fp32",
    "folder": "variants/16/onnxruntime",
    "model_file": "variants/16/onnxruntime/model.onnx",
}


def spoil(**changes: Any) -> Callable[[dict[str, Any]], None]:
    """Return what changes values of the variant."""
    return lambda values: values["variants"][0].update(changes)


def second(**changes: Any) -> Callable[[dict[str, Any]], None]:
    """Return what adds a copy of the variant, changed."""
    return lambda values: values["variants"].append({**values["variants"][0], **changes})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (spoil(model_file="variants/16/openvino/no.xml"), r"no\.xml is not listed"),
        (spoil(model_file="openvino/model.xml"), r"model\.xml lies outside of variants/16/"),
        (spoil(folder="openvino"), "openvino lies outside of variants/"),
        (spoil(folder="../elsewhere"), "unsafe path"),
        (spoil(input={"name": "image", "shape": [1, 32, 32, 3]}), "a variant is there twice"),
        (spoil(keep_rate=0.0), "keep_rate"),
        (spoil(keep_rate=1.5), "keep_rate"),
        (spoil(forms=[FORM]), r"variants/16/onnxruntime/model\.onnx is not listed"),
        (spoil(precision="int4"), "precision"),
        (spoil(output={"name": "p", "classes": 7}), r"unknown key variants\.0\.output"),
        (second(), "a variant is there twice"),
        (second(keep_rate=0.5), "share the folder variants/16"),
        (second(keep_rate=0.5, folder="variants/16/openvino"), "share the folder variants/16/open"),
        (lambda values: values.update(schema="edge-fgir/bundle/1"), "variants go with schema edge"),
        (lambda values: values.pop("variants"), "variants go with schema edge-fgir/bundle/2"),
        (lambda values: values.update(variants=[]), "variants"),
        (lambda values: values.update(variants=9 * values["variants"]), "at most 8 items"),
    ],
)
def test_a_manifest_with_a_variant_that_cannot_be_is_refused(
    both: Path, change: Callable[[dict[str, Any]], object], says: str
) -> None:
    edit_manifest(both, change)
    with pytest.raises(InputError, match=says) as caught:
        Bundle(both)
    assert len(str(caught.value).splitlines()) == 1


def test_a_variant_for_another_runtime_is_refused(both: Path) -> None:
    model = both / FORM["model_file"]
    model.parent.mkdir()
    model.write_bytes(b"model")
    edit_manifest(reseal(both), spoil(forms=[FORM]))
    with pytest.raises(InputError, match="variant 16 is for other runtimes than the bundle"):
        Bundle(both)


def test_files_of_a_variant_are_as_sealed_or_refused(both: Path) -> None:
    weights = both / "variants/16/openvino/model.bin"
    data = weights.read_bytes()
    weights.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    Classifier.open(both).close()  # the first one is whole
    for open_it in (
        lambda: Classifier.open(both, target_fps=30),
        lambda: Classifier.open(both, EngineOptions(variant="16")),
        lambda: list(verify(both)),
    ):
        with pytest.raises(InputError, match=r"variants/16/openvino/model\.bin was changed"):
            open_it()
    weights.unlink()
    with pytest.raises(InputError, match=r"variants/16/openvino/model\.bin is missing"):
        Bundle(both)


def test_labels_in_another_order_are_refused(both: Path) -> None:
    (both / "variants/16/labels.txt").write_text("blue\ngreen\nred\n")
    reseal(both)
    with pytest.raises(InputError, match="at 16 knows other labels in openvino"):
        list(verify(both))
    with pytest.raises(InputError, match=r"both\.fgir at 16 knows other classes than .* at 32"):
        Classifier.open(both, target_fps=30)
