from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edge_fgir import InputError
from edge_fgir.exporting.features import FEATURES, feature_size, with_features
from edge_fgir.exporting.graph import INPUT, LOGITS, session_of, to_onnx
from edge_fgir.exporting.novelty import KEPT_BY_EACH, fit_novelty, fit_space, made_up
from edge_fgir.exporting.pictures import pictures_in
from edge_fgir.models import Network
from edge_fgir.models.folding import folded
from edge_fgir.models.inference import normalized
from edge_fgir.runtime.manifest import Normalization
from edge_fgir.runtime.preprocess import Preprocess

NORMALIZATION = Normalization(mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))


@pytest.mark.export
@pytest.mark.parametrize("name", ["lrnet14", "vitfs_nano", "tf_efficientnet_lite0"])
def test_features_are_what_torch_hands_to_the_classifier(name: str) -> None:
    torch.manual_seed(0)
    model = Network(name=name).build(5, 64).eval()
    graph = with_features(to_onnx(folded(model), NORMALIZATION, 64, 18))
    image = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    seen: list[torch.Tensor] = []
    model.get_classifier().register_forward_hook(lambda module, inputs, out: seen.append(inputs[0]))
    with torch.no_grad():
        logits = model(normalized(torch.from_numpy(image).permute(0, 3, 1, 2), NORMALIZATION))
    answers = session_of(graph).run([LOGITS, FEATURES], {INPUT: image})
    assert feature_size(graph) == seen[0].shape[1]
    assert answers[0] == pytest.approx(logits.numpy(), abs=1e-3)
    if name != "vitfs_nano":  # whose last norm is folded into the classifier
        assert answers[1] == pytest.approx(seen[0].numpy(), abs=1e-3)


@pytest.mark.export
def test_a_graph_that_tells_more_already_stays_as_it_is() -> None:
    network = Network(name="vit_tiny_patch16_224", options={"depth": 2}, glsim={})
    graph = to_onnx(network.build(3, 64).eval(), NORMALIZATION, 64, 18)
    assert with_features(graph) is graph
    assert feature_size(graph) is None


def cloud(axes: np.ndarray, count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    inside = rng.normal(size=(count, len(axes))) @ axes
    noise = 0.05 * rng.normal(size=(count, axes.shape[1]))
    return (0.2 + inside + noise).astype(np.float32)


@pytest.mark.unit
def test_other_directions_are_rejected_and_known_ones_kept() -> None:
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(256, 40)))[0].T
    others = np.linalg.qr(np.random.default_rng(1).normal(size=(256, 40)))[0].T
    space = fit_space(cloud(axes, 300, 1))
    validation, sure = cloud(axes, 400, 2), np.ones(400, bool)
    strangers = {"others": (cloud(others, 200, 3), np.ones(200, bool))}
    novelty = fit_novelty(space, validation, sure, sure, strangers)
    assert novelty.kept == pytest.approx(KEPT_BY_EACH, abs=0.01)
    assert novelty.rejected["others"] > 0.99
    fresh = space.novelty(cloud(axes, 1000, 4))
    assert (fresh <= novelty.threshold).mean() > 0.93


@pytest.mark.unit
def test_what_the_score_refuses_counts_as_rejected() -> None:
    axes = np.eye(4, 16, dtype=np.float32)
    space = fit_space(cloud(axes, 100, 1))
    validation = cloud(axes, 100, 2)
    confident = np.arange(100) >= 10
    novelty = fit_novelty(
        space, validation, np.ones(100, bool), confident, {"same": (validation, confident)}
    )
    assert novelty.kept <= 0.9
    assert novelty.rejected["same"] == pytest.approx(1 - novelty.kept)


@pytest.mark.unit
def test_made_up_frames_are_pixels_of_the_models_size() -> None:
    for frames in made_up(32).values():
        assert frames.shape[1:] == (32, 32, 3)
        assert frames.dtype == np.uint8
    flat = made_up(32)["flat frames"].astype(float)
    assert np.abs(np.diff(flat.mean(axis=2), axis=1)).max() < 10


@pytest.mark.unit
def test_a_folder_of_unknown_pictures_is_read_whatever_its_depth(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    Image.new("RGB", (40, 30), (9, 99, 199)).save(tmp_path / "deep" / "a.png")
    found = pictures_in(tmp_path, Preprocess(size=16))
    assert found.shape == (1, 16, 16, 3)
    assert (found[0, 8, 8] == (9, 99, 199)).all()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no pictures"):
        pictures_in(tmp_path / "empty", Preprocess(size=16))
