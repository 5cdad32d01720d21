"""Weights between the start and the end of a fine-tuning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from runs import write_recipe

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from edge_fgir import InputError  # noqa: E402
from edge_fgir.data import open_data  # noqa: E402
from edge_fgir.runs import LossSection, Run  # noqa: E402
from edge_fgir.training import interpolation, read_recipe, train  # noqa: E402
from edge_fgir.training.classification import make_criterion  # noqa: E402
from edge_fgir.training.interpolation import Interpolation, calibrated_loss  # noqa: E402


def filled(model: Any, value: float) -> Any:
    for tensor in model.state_dict().values():
        tensor.fill_(value)
    return model


@pytest.mark.unit
@pytest.mark.parametrize(("wanted", "share"), [(2.0, 0.25), (2.9, 0.5), (4.0, 0.75), (9.0, 1.0)])
def test_the_weights_with_the_least_loss_are_kept(wanted: float, share: float) -> None:
    model = filled(torch.nn.BatchNorm1d(2), 1)
    line = Interpolation(model)
    filled(model, 5)
    kept = line.settle(model, lambda each: float((each.weight.detach() - wanted).square().sum()))
    assert kept == share
    assert model.weight.tolist() == model.running_mean.tolist() == [1 + 4 * share] * 2
    assert model.num_batches_tracked == 5  # a count has nothing in between


@pytest.mark.unit
def test_how_sure_a_network_is_does_not_choose() -> None:
    """Smoothed labels cost confidence: that alone must not draw the weights back to the start."""
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 4
    criterion = make_criterion(LossSection(label_smoothing=0.0), [50] * 4)
    noise = torch.randn(200, 4, generator=random)
    good, bad = (2 * torch.eye(4)[labels] + size * noise for size in (1.0, 1.2))
    assert criterion(0.5 * good, labels) > criterion(bad, labels)
    losses = [calibrated_loss(logits, labels, criterion) for logits in (good, 0.5 * good, bad)]
    assert losses[0] == pytest.approx(losses[1])
    assert losses[1] < losses[2]


@pytest.mark.unit
def test_statistics_that_learn_have_nothing_in_between(tmp_path: Path) -> None:
    path = write_recipe(tmp_path / "r.yaml", interpolation=True)
    with pytest.raises(InputError, match="interpolation needs frozen_norms"):
        read_recipe(str(path))


@pytest.mark.slow
@pytest.mark.parametrize("averaged", [0.0, 0.5])
def test_what_a_run_leaves_lies_between_its_start_and_its_end(
    averaged: float,
    photos: Path,
    tiny_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(interpolation, "_SHARES", (0.25,))
    start = Run.open(tiny_run).weights
    changes = {
        "epochs": 1,
        "frozen_norms": True,
        "model": {"name": "lrnet14", "weights": str(start)},
        "optimizer": {"lr": 0.001, "warmup_steps": 0, "ema_decay": averaged},
    }
    left = []
    for kept, share in ((False, None), (True, 0.25)):
        path = write_recipe(tmp_path / f"{kept}.yaml", **changes, interpolation=kept)
        out = tmp_path / str(kept)
        summary = train(read_recipe(str(path)), open_data(str(photos)), out)
        assert summary.interpolated == share
        left.append(load_file(Run.open(out).weights))
    first, (end, between) = load_file(start), left
    for name, value in between.items():
        if value.is_floating_point():
            assert torch.allclose(value, torch.lerp(first[name], end[name], 0.25))
    assert any(not torch.equal(between[name], end[name]) for name in end)
