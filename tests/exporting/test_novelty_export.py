from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bundles import edit_manifest
from targets import exported, loosened

from edge_fgir import Classifier, InputError
from edge_fgir.data import open_data
from edge_fgir.exporting import ExportOptions, builders, export, read_target, target_names
from edge_fgir.exporting.builders import find_builder
from edge_fgir.runs import Run
from edge_fgir.runtime import Bundle, find_runtime

pytestmark = pytest.mark.export


TELLING = [
    exported(name)
    for name in target_names()
    if find_builder(read_target(name).runtime).tells_features
]


def opened(path: Path) -> Classifier:
    runtime = find_runtime(Bundle(path).manifest.runtime)
    return Classifier.open(path, device=runtime.gate_device)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("target", TELLING)
def test_a_bundle_tells_how_new_a_picture_is(
    tiny_export: Callable, photos: Path, target: str, precision: str
) -> None:
    bundle = Bundle(tiny_export(target, precision))
    assert bundle.manifest.features is not None
    assert bundle.novelty is not None
    assert set(bundle.novelty.rejected) == {"noise", "flat frames"}
    assert bundle.feature_space is not None
    axes = bundle.feature_space.axes
    assert axes.shape[1] == bundle.manifest.features.size
    assert axes @ axes.T == pytest.approx(np.eye(len(axes)), abs=0.01)
    with opened(bundle.path) as model:
        for file in sorted((photos / "test").rglob("*.png"))[:8]:
            result = model(file)
            features = model.observe(model.prepare(file)).features
            assert result.novelty == pytest.approx(bundle.feature_space.novelty(features)[0])
            assert result.to_dict()["novelty"] == pytest.approx(result.novelty, abs=1e-5)
            new = result.novelty > bundle.novelty.threshold
            unsure = result.score < bundle.calibration.unknown_threshold
            assert result.is_unknown == (new or unsure)


def test_features_are_torchs(tiny_export: Callable, tiny_run: Path) -> None:
    import torch

    from edge_fgir.models.inference import normalized

    run = Run.open(tiny_run)
    network, seen = run.load().eval(), []
    network.get_classifier().register_forward_hook(lambda module, inputs, _: seen.append(inputs[0]))
    with opened(tiny_export("openvino", "fp32")) as model:
        image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None]
        with torch.no_grad():
            network(normalized(pixels, run.description.normalization))
        assert model.observe(image).features == pytest.approx(seen[0].numpy(), abs=1e-3)


def test_a_folder_of_strangers_is_measured(
    tiny_run: Path, photos: Path, tmp_path: Path, run_cli: Callable
) -> None:
    options = ExportOptions(precision="fp32", unknown=photos / "test")
    data, out = open_data(str(photos)), tmp_path / "x.fgir"
    bundle = export(tiny_run, loosened("openvino"), data, out, options)
    assert bundle.novelty is not None
    # Test pictures are no strangers: most of them are known.
    assert bundle.novelty.rejected["test/"] < 0.7
    missing = ExportOptions(precision="fp32", unknown=tmp_path / "none")
    with pytest.raises(InputError, match=r"none does not exist"):
        export(tiny_run, loosened("openvino"), data, tmp_path / "y.fgir", missing)


def test_a_space_of_other_features_is_refused(tiny_export: Callable, tmp_path: Path) -> None:
    import shutil

    path = tmp_path / "x.fgir"
    shutil.copytree(tiny_export("openvino", "fp32"), path)
    edit_manifest(path, lambda values: values["features"].update(size=7))
    with pytest.raises(InputError, match=r"novelty\.npy: rows .*expected the space"):
        Classifier.open(path)


def test_a_folder_of_strangers_is_not_passed_over_in_silence(
    tiny_run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ExportOptions(precision="fp32", unknown=photos / "test")
    silent = replace(find_builder("litert"), tells_features=False)
    monkeypatch.setitem(builders._builders, "litert", silent)
    with pytest.raises(InputError, match="go by the score alone"):
        export(tiny_run, loosened("litert"), open_data(str(photos)), tmp_path / "x.fgir", options)
