from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from runs import RECIPE, write_recipe
from torch import nn

from edge_fgir._errors import InputError
from edge_fgir.data import DataSet, open_data
from edge_fgir.data.loaders import TrainImages
from edge_fgir.models import Network
from edge_fgir.models.inference import normalized
from edge_fgir.runs import Run, TrainedModel
from edge_fgir.runtime import Preprocess
from edge_fgir.runtime.manifest import Normalization
from edge_fgir.training.checkpoint import save_weights
from edge_fgir.training.ranking import (
    EPSILON,
    rank_teachers,
    ratio_1_2,
    secondary_soft_probability_spread,
)

pytestmark = pytest.mark.unit

# Ratios by hand: 4 / 2, 3 / 2.
LOGITS = torch.tensor([[1.0, 4.0, 2.0, -3.0], [3.0, -5.0, 2.0, 0.5]])


def test_ratio_by_hand():
    assert ratio_1_2(LOGITS) == ((2 + 1.5) / 2, 0)


positive = st.floats(0.01, 100)


@given(st.lists(st.lists(positive, min_size=5, max_size=5), min_size=1, max_size=8), positive)
def test_ratio_is_the_same_at_every_scale(rows, scale):
    logits = torch.tensor(rows, dtype=torch.float64)
    assert ratio_1_2(scale * logits)[0] == pytest.approx(ratio_1_2(logits)[0], rel=1e-9)


def test_ratio_changes_with_a_shift():
    assert ratio_1_2(LOGITS + 1)[0] == pytest.approx((5 / 3 + 4 / 3) / 2)
    assert ratio_1_2(LOGITS.softmax(1))[0] != pytest.approx(ratio_1_2(LOGITS)[0], rel=0.1)


@pytest.mark.parametrize("second", [0.0, -2.0, EPSILON, EPSILON / 2])
def test_a_second_logit_that_is_not_positive_is_skipped(second):
    row = torch.tensor([[9.0, second, -5.0, -5.0]], dtype=torch.float64)
    value, skipped = ratio_1_2(torch.cat([LOGITS.double(), row, LOGITS.double()]))
    assert value == pytest.approx(1.75)
    assert skipped == pytest.approx(20)
    assert ratio_1_2(row) == (None, 100)


def test_the_smallest_second_logit_that_counts():
    value, skipped = ratio_1_2(torch.tensor([[1.0, 2 * EPSILON]], dtype=torch.float64))
    assert (value, skipped) == (pytest.approx(0.5 / EPSILON), 0)


def test_ssp_by_hand():
    # Probabilities 0.5, 0.2, 0.15, 0.1, 0.05 in any order: std of (0.2, 0.15, 0.1) is 0.05.
    first = torch.tensor([0.15, 0.5, 0.05, 0.2, 0.1]).log()
    # 0.4, 0.3, 0.1, 0.1, 0.1: (0.3, 0.1, 0.1) lie 4, -2 and -2 thirtieths off their mean.
    second = torch.tensor([0.1, 0.1, 0.3, 0.4, 0.1]).log() + 7
    wanted = (0.05 + math.sqrt((16 + 4 + 4) / 900 / 2)) / 2
    found = secondary_soft_probability_spread(torch.stack([first, second]))
    assert found == pytest.approx(wanted, rel=1e-5)


def test_ssp_needs_four_classes():
    assert secondary_soft_probability_spread(LOGITS[:, :3]) is None
    assert secondary_soft_probability_spread(LOGITS) is not None


@pytest.fixture
def data(photos: Path) -> DataSet:
    return open_data(str(photos))


MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path, data: DataSet) -> MakeRun:
    """Return a function that writes a run folder with random weights."""

    def make(name: str, architecture: str, *, size: int = 32, shift: float = 0.0) -> Path:
        trained = TrainedModel(
            name=name,
            network=Network(name=architecture),
            num_classes=len(data.classes),
            normalization=Normalization(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.2)),
            preprocess=Preprocess(size=size, kernel="bilinear", antialias=True, crop_fraction=1.0),
            data=data.info,
        )
        torch.manual_seed(0)
        model = trained.build()
        with torch.no_grad():
            head = [part for part in model.modules() if isinstance(part, nn.Linear)][-1]
            head.bias += shift  # type: ignore[misc]
        run = tmp_path / name
        Run(run).write(trained, data.classes)
        save_weights(run / "weights.safetensors", model)
        write_recipe(
            run / "config.yaml",
            name=name,
            model={"name": architecture},
            data={**RECIPE["data"], "trivial_augment": True},
            eval={"image_size": size},
        )
        return run

    return make


def ratios_one_by_one(run: Path, data: DataSet, size: int) -> list[float]:
    """z(1) / z(2) of every training picture, by the definition and without batches."""
    opened = Run.open(run)
    trained, model = opened.description, opened.load()
    pictures = TrainImages(
        data, data.split("train"), size=32, resize=38, trivial_augment=True, seed=0
    )
    ratios = []
    for index in range(len(pictures)):
        pixels, *_ = pictures[(0, index)]
        images = normalized(pixels[None], trained.normalization)
        if size != 32:
            images = nn.functional.interpolate(images, (size, size), mode="bilinear")
        with torch.inference_mode():
            z = sorted(model(images)[0].tolist())
        ratios.append(z[-1] / z[-2])
    return ratios


@pytest.mark.parametrize("size", [32, 48])
def test_a_timm_teacher_is_measured_on_every_augmented_training_picture(make_run, data, size):
    run = make_run("timm", "resnet10t", size=size, shift=5.0)
    (found,) = rank_teachers([run], data).teachers
    wanted = ratios_one_by_one(run, data, size)
    # 72 pictures are 32 + 32 + 8: the mean over pictures is not the mean over batches.
    assert found.r12 == pytest.approx(sum(wanted) / 72, rel=1e-4)
    assert (found.images, found.skipped, found.ssp) == (72, 0, None)
    assert (found.name, found.architecture, found.method) == ("timm", "resnet10t", "ce")


@pytest.mark.parametrize("change", [{"kernel": "bilinear"}, {"color_jitter": 0.4}])
def test_pictures_are_augmented_as_in_the_teachers_own_training(make_run, data, change):
    run = make_run("timm", "resnet10t", shift=5.0)
    (plain,) = rank_teachers([run], data, 8).teachers
    write_recipe(
        run / "config.yaml",
        model={"name": "resnet10t"},
        data={**RECIPE["data"], "trivial_augment": True, **change},
    )
    assert rank_teachers([run], data, 8).teachers[0].r12 != pytest.approx(plain.r12, rel=1e-6)


def test_a_transformer_of_fixed_size_is_measured(make_run, data):
    run = make_run("vit", "vit_tiny_patch16_224", size=48, shift=5.0)
    assert rank_teachers([run], data, 4).teachers[0].r12 > 1


def test_teachers_are_ranked_lowest_ratio_first(make_run, data):
    # A shift of all logits brings the ratio nearer to one; below zero there is none.
    runs = [make_run(f"{shift}", "resnet10t", shift=shift) for shift in (-50.0, 5.0, 50.0)]
    found = rank_teachers(runs, data).teachers
    assert [teacher.rank for teacher in found] == [1, 2, 3]
    assert [one.name for one in found] == ["50.0", "5.0", "-50.0"]
    assert [one.r12 is None for one in found] == [False, False, True]
    assert [one.skipped for one in found] == [0, 0, 100]
    # The same network: the accuracy is not the ratio's business.
    assert len({one.tac for one in found}) == 1


def test_a_sample_of_the_pictures_is_the_same_every_time(make_run, data):
    run = make_run("timm", "resnet10t", shift=5.0)
    first, again, more, all_ = (
        rank_teachers([run], data, n).teachers[0] for n in (10, 10, 1000, None)
    )
    assert (first.images, more.images) == (10, 72)
    assert first == again
    assert first.r12 != all_.r12
    assert more == all_


def test_trained_runs_are_measured(teacher_run, tiny_run, data):
    found = rank_teachers([teacher_run, tiny_run, teacher_run], data).teachers
    assert sorted(one.method for one in found) == ["cal", "ce"]
    for one in found:
        assert one.architecture == "lrnet14"
        assert one.r12 is None or one.r12 >= 1
        assert 0 <= one.tac <= 100


def test_wrong_runs_are_refused_before_any_work(make_run, make_folder, data, tmp_path, monkeypatch):
    monkeypatch.setattr("edge_fgir.training.ranking._measure", lambda *_: pytest.fail("worked"))
    good = make_run("good", "resnet10t")
    other = open_data(str(make_folder(tmp_path / "other", ("a", "b"))))
    with pytest.raises(
        InputError, match="good knows other classes than data other; expected the data"
    ):
        rank_teachers([good], other)
    with pytest.raises(InputError, match="is not a run folder"):
        rank_teachers([good, tmp_path], data)
    unfinished = make_run("unfinished", "resnet10t")
    (unfinished / "weights.safetensors").unlink()
    with pytest.raises(InputError, match=r"unfinished has no weights.safetensors"):
        rank_teachers([good, unfinished], data)
    bare = make_run("bare", "resnet10t")
    (bare / "config.yaml").unlink()
    with pytest.raises(InputError, match=r"bare has no config.yaml; expected a run folder as"):
        rank_teachers([good, bare], data)
