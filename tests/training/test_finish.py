"""A hook may end a training early and well; a pretrained network may keep its statistics."""

from __future__ import annotations

from pathlib import Path

import pytest
from runs import write_recipe

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from edge_fgir.data import open_data  # noqa: E402
from edge_fgir.models import CAL, Network, freeze_norms  # noqa: E402
from edge_fgir.runs import Run  # noqa: E402
from edge_fgir.training import Finish, Hook, read_recipe, train  # noqa: E402


class After(Hook):
    def __init__(self, epochs: int) -> None:
        self._epochs = epochs

    def on_epoch(self, training: object, epoch: int) -> None:
        if epoch == self._epochs:
            raise Finish


def test_a_training_that_a_hook_finishes_is_validated_and_kept(photos: Path, tmp_path) -> None:
    recipe = read_recipe(str(write_recipe(tmp_path / "r.yaml", eval={"image_size": 32})))
    data = open_data(str(photos))
    summary = train(recipe, data, tmp_path / "run", hooks=[After(2)])
    assert (summary.epochs, summary.steps) == (8, 18)
    assert summary.val_top1 is not None
    assert Run.open(tmp_path / "run").weights.is_file()
    assert train(recipe, data, tmp_path / "run", resume=True) == summary


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_statistics_are_those_of_the_start(
    frozen: bool, photos: Path, tiny_run: Path, tmp_path: Path
) -> None:
    start = Run.open(tiny_run).weights
    model = {"name": "lrnet14", "weights": str(start)}
    path = write_recipe(tmp_path / "r.yaml", epochs=1, model=model, frozen_norms=frozen)
    data = open_data(str(photos))
    train(read_recipe(str(path)), data, tmp_path / "run")
    before, after = load_file(start), load_file(tmp_path / "run" / "weights.safetensors")
    means = [name for name in before if name.endswith("running_mean")]
    assert means
    assert all(torch.equal(before[name], after[name]) == frozen for name in means)
    assert not torch.equal(before["head.weight"], after["head.weight"])
    run = Run.open(tmp_path / "run")
    assert run.description.frozen_norms is frozen
    larger = run.at(run.trained_as.setting(image_size=48)).load(lambda p: _pictures(data, p))
    kept = larger.state_dict()
    assert all(torch.equal(after[name], kept[name]) == frozen for name in means)


def _pictures(data, preprocess):
    from edge_fgir.data import typical_images

    return typical_images(data, preprocess, 12)


@pytest.mark.unit
def test_what_stands_around_a_backbone_goes_on_measuring() -> None:
    model = Network(name="lrnet14", attention_maps=4).build(3, 64).train()
    assert isinstance(model, CAL)
    freeze_norms(model)
    norms = {
        name: module.training
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.BatchNorm2d)
    }
    assert {measuring for name, measuring in norms.items() if "backbone" in name} == {False}
    assert norms["attention.1"]
