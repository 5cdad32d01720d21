"""A head on frozen features: what it reaches, what it leaves alone, and what goes on from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from runs import write_recipe

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402

from edge_fgir import InputError  # noqa: E402
from edge_fgir.data import open_data  # noqa: E402
from edge_fgir.evaluation import evaluate  # noqa: E402
from edge_fgir.runs import LossSection, Run  # noqa: E402
from edge_fgir.training import read_recipe, train  # noqa: E402
from edge_fgir.training.classification import make_criterion  # noqa: E402
from edge_fgir.training.linear_probe import cross_validated, fit_head  # noqa: E402


def blobs(random, count, classes=3, features=8):
    labels = torch.arange(count) % classes
    centres = torch.from_numpy(random.normal(0, 2, (classes, features))).float()
    noise = torch.from_numpy(random.normal(0, 1, (count, features))).float()
    return (centres[labels] + noise) * 7 + 100, labels


def test_the_head_separates_what_can_be_separated() -> None:
    random = np.random.default_rng(0)
    features, labels = blobs(random, 120)
    criterion = make_criterion(LossSection(label_smoothing=0.0), [40, 40, 40])
    head = fit_head(features, labels, features, labels, criterion, 3)
    right = (features @ head.weight.T + head.bias).argmax(1) == labels
    assert right.float().mean() > 0.95


def test_a_picture_is_judged_by_a_head_that_has_not_seen_it() -> None:
    """Labels at random: who has seen them knows them, who has not is right in one of three."""
    random = np.random.default_rng(1)
    features = torch.from_numpy(random.normal(0, 1, (120, 200))).float()
    labels = torch.arange(120) % 3
    criterion = make_criterion(LossSection(label_smoothing=0.0), [40, 40, 40])
    mirrored = torch.cat([features, features])
    crossed = cross_validated(mirrored, labels, criterion, 3, 1e-3)
    head = fit_head(mirrored, labels.repeat(2), features, labels, criterion, 3)
    seen, unseen = ((each.argmax(1) == labels).float().mean() for each in (head(features), crossed))
    assert seen > 0.95
    assert unseen < 0.5
    easy, which = blobs(random, 120)
    crossed = cross_validated(torch.cat([easy, easy]), which, criterion, 3, 0.1)
    assert (crossed.argmax(1) == which).float().mean() > 0.9


def test_noise_is_held_back_by_the_validation_split() -> None:
    random = np.random.default_rng(1)
    features = torch.from_numpy(random.normal(0, 1, (60, 200))).float()
    labels = torch.from_numpy(random.integers(0, 3, 60))
    others = torch.from_numpy(random.normal(0, 1, (300, 200))).float()
    truth = torch.from_numpy(random.integers(0, 3, 300))
    criterion = make_criterion(LossSection(label_smoothing=0.0), [20, 20, 20])
    head = fit_head(features, labels, others, truth, criterion, 3)
    loss = float(criterion(others @ head.weight.T + head.bias, truth))
    assert loss < 1.3  # log 3 = 1.10; a head without decay is above 3


@pytest.fixture(scope="module")
def probe(photos: Path, tiny_run: Path, tmp_path_factory) -> Path:
    """Return a folder with a network whose head is gone, and the run that gave it another."""
    folder = tmp_path_factory.mktemp("probe")
    learned = load_file(Run.open(tiny_run).weights)
    head = {name for name, value in learned.items() if len(value.shape) and len(value) == 3}
    start = {name: value for name, value in learned.items() if name not in head}
    save_file(start, folder / "start.safetensors")
    model = {"name": "lrnet14", "weights": str(folder / "start.safetensors")}
    path = write_recipe(folder / "recipe.yaml", method="probe", epochs=0, model=model)
    train(read_recipe(str(path)), open_data(str(photos)), folder / "run")
    return folder


def test_a_probe_is_a_run_like_any_other(probe: Path, photos: Path) -> None:
    run = Run.open(probe / "run")
    data = open_data(str(photos))
    found = evaluate(run.predictor(data), data, "val")
    assert found.top1 > 50
    summary = train(run.recipe, data, run.path, resume=True)
    assert summary.val_top1 == pytest.approx(found.top1)
    assert (summary.method, summary.epochs, summary.steps) == ("probe", 0, 0)
    assert np.load(run.crossed).shape == (len(data.split("train")), 3)


def test_the_features_stay_as_they_were(probe: Path) -> None:
    before = load_file(probe / "start.safetensors")
    after = load_file(probe / "run" / "weights.safetensors")
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert after.keys() - before.keys() == {"head.weight", "head.bias"}


def test_fine_tuning_starts_from_the_head(probe: Path, photos: Path, tmp_path: Path) -> None:
    model = {"name": "lrnet14", "weights": str(probe / "run" / "weights.safetensors")}
    optimizer = {"lr": 1e-6, "warmup_steps": 0, "warmup_lr": 0.0, "min_lr": 0.0}
    path = write_recipe(tmp_path / "r.yaml", epochs=1, model=model, optimizer=optimizer)
    data = open_data(str(photos))
    train(read_recipe(str(path)), data, tmp_path / "run")
    name = next(
        n for n in load_file(probe / "run" / "weights.safetensors") if "head" in n or "fc" in n
    )
    start, tuned = (
        load_file(folder / "weights.safetensors")[name]
        for folder in (probe / "run", tmp_path / "run")
    )
    assert torch.allclose(start, tuned, atol=1e-3)


def test_networks_without_a_linear_classifier_are_refused(photos: Path, tmp_path: Path) -> None:
    model = {"name": "lrnet14", "weights": "x.safetensors", "attention_maps": 4}
    path = write_recipe(tmp_path / "r.yaml", method="probe", epochs=0, model=model)
    with pytest.raises(InputError, match="do not go together"):
        read_recipe(str(path))
