"""Runs on long-tailed data: samplers, losses, schedules by steps, and what a run remembers."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from interruption import StopBefore
from longtailed import rows_of, write_lists
from PIL import Image
from runs import write_recipe
from safetensors.torch import load_file

from edge_fgir import InputError, results
from edge_fgir.data import open_data
from edge_fgir.data.loaders import Key, Pictures, TrainImages
from edge_fgir.runs import DataSection, OptimizerSection, Run
from edge_fgir.training import Hook, Training, read_recipe, train
from edge_fgir.training.optimizer import make_optimizer, make_scheduler
from edge_fgir.training.teachers import train_fingerprint

pytestmark = pytest.mark.unit

COUNTS = (30, 9, 3)


@pytest.fixture(scope="module")
def girls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("longtail") / "girls"
    lists = {"train": rows_of(COUNTS), "val": rows_of([2, 2, 2], 50_000)}
    return write_lists(root, lists)


def fit(
    girls: Path, out: Path, *overrides: str, hook: Hook | None = None, resume: bool = False
) -> results.Training:
    recipe = write_recipe(out.with_suffix(".yaml"), epochs=2, checkpoint_steps=3)
    plan, hooks = read_recipe(str(recipe), overrides), [hook] if hook else []
    return train(plan, open_data(str(girls)), out, resume=resume, hooks=hooks)


@pytest.mark.slow
def test_an_interrupted_balanced_run_resumes_bit_exactly(girls: Path, tmp_path: Path) -> None:
    changes = ("data.sampler=class_balanced", "loss.classification=ldam")
    seen: list[int] = []

    class Watch(Hook):
        def on_batch(self, training: Training, pictures: Pictures) -> None:
            seen.extend(pictures.labels.tolist())

    fit(girls, tmp_path / "whole", *changes, hook=Watch())
    shares = np.array([Counter(seen)[label] for label in range(3)]) / len(seen)
    assert shares == pytest.approx(1 / 3, abs=0.07)

    with pytest.raises(KeyboardInterrupt):
        fit(girls, tmp_path / "parts", *changes, hook=StopBefore(5))
    fit(girls, tmp_path / "parts", *changes, resume=True)
    whole, parts = (load_file(tmp_path / run / "weights.safetensors") for run in ("whole", "parts"))
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    assert Run.open(tmp_path / "whole").description.train_counts == COUNTS


def test_a_deferred_loss_and_a_normalized_classifier(girls: Path, tmp_path: Path) -> None:
    losses: list[float] = []

    class Watch(Hook):
        def on_epoch(self, training: Training, epoch: int) -> None:
            losses.append(training.log.lines()[-1].loss or 0.0)

    changes = ("loss.classification=class_balanced", "loss.deferred=0.5", "loss.effective_beta=1")
    plain = fit(girls, tmp_path / "plain", hook=Watch())
    later = fit(girls, tmp_path / "later", *changes, "normalized_classifier=true", hook=Watch())
    assert losses[0] == losses[2]
    assert losses[1] != losses[3]
    assert plain.classifier_tau is None
    head = load_file(tmp_path / "later" / "weights.safetensors")["head.bias"]
    assert (later.classifier_tau is None) == bool(head.abs().sum() > 0)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["loss.classification=focal"], "focal needs loss.label_smoothing 0"),
        (["loss.classification=margin"], "loss.classification: Input should be 'ce', 'focal'"),
        (["data.sampler=balanced"], "data.sampler: Input should be 'instance'"),
        (["loss.ldam_margin=0"], "loss.ldam_margin: "),
        (["loss.logit_adjustment=nan"], "loss.logit_adjustment: "),
        (["data.color_jitter=0.6"], "data.color_jitter: "),
        (["optimizer.decay_factor=1"], "optimizer.decay_factor: "),
        (
            ["optimizer.decay_epochs=1", "optimizer.cooldown_epochs=1"],
            "decay_epochs and cooldown_epochs do not go together",
        ),
        (
            ["method=cal", "model.attention_maps=4", "loss.classification=ldam"],
            "loss.classification ldam is not for cal",
        ),
        (["loss.deferred=0.5"], "another loss.classification than ce"),
        (
            ["method=cal", "model.attention_maps=4", "normalized_classifier=true"],
            "normalized_classifier is not for method cal",
        ),
    ],
)
def test_wrong_choices_are_one_line(tmp_path: Path, overrides: list[str], message: str) -> None:
    recipe = write_recipe(tmp_path / "r.yaml", loss={"label_smoothing": 0.1})
    with pytest.raises(InputError) as caught:
        read_recipe(str(recipe), overrides)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_the_rate_falls_by_three_every_twenty_epochs() -> None:
    recipe = read_recipe("dafre-128")
    model = torch.nn.Linear(2, 2)
    optimizer = make_optimizer(model, recipe.optimizer)
    scheduler = make_scheduler(optimizer, recipe.optimizer, recipe.epochs, steps_per_epoch=10)
    rates = []
    for step in range(500):
        scheduler.step_update(step)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([1e-3] * 200 + [1e-3 / 3] * 200 + [1e-3 / 9] * 100)
    assert isinstance(optimizer, torch.optim.SGD)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.0, 0.0]
    assert optimizer.param_groups[0]["momentum"] == 0.9


def test_a_warm_up_comes_before_the_steps() -> None:
    section = OptimizerSection(lr=1.0, warmup_steps=5, warmup_lr=0.5, decay_epochs=1)
    optimizer = make_optimizer(torch.nn.Linear(2, 2), section)
    scheduler = make_scheduler(optimizer, section, 3, steps_per_epoch=10)
    rates = []
    for step in (0, 4, 5, 9, 10, 20):
        scheduler.step_update(step)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.5, 0.9, 1.0, 1.0, 1 / 3, 1 / 9])


@pytest.mark.parametrize("size", [128, 224])
def test_the_papers_recipes_are_the_authors_transforms(size: int) -> None:
    recipe = read_recipe(f"dafre-{size}")
    shown = recipe.data
    assert (shown.view_size, int(shown.resize_ratio * shown.view_size)) == (size, size + 32)
    assert (shown.kernel, shown.color_jitter, shown.trivial_augment) == ("bilinear", 0.1, False)
    assert (shown.mean, shown.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert (recipe.eval.image_size, recipe.eval.crop_fraction) == (size, 1.0)
    assert (recipe.eval.kernel, recipe.eval.antialias) == ("bilinear", True)
    assert (recipe.epochs, recipe.batch_size, recipe.seed) == (50, 64, 0)
    assert (recipe.method, recipe.loss.classification) == ("ce", "ce")
    assert recipe.loss.label_smoothing == recipe.optimizer.clip_norm == 0
    assert recipe.data.sampler == "instance"


def images(girls: Path, **options: object) -> TrainImages:
    data = open_data(str(girls))
    settings = {"size": 24, "resize": 24, "trivial_augment": False, "seed": 0, **options}
    return TrainImages(data, data.split("train"), **settings)


@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
def test_training_pictures_are_resized_by_the_kernel_asked_for(girls: Path, kernel: str) -> None:
    source = images(girls, kernel=kernel)
    data = open_data(str(girls))
    image = Image.fromarray(data.read(data.split("train")[5]))
    wanted = np.asarray(image.resize((24, 24), getattr(Image.Resampling, kernel.upper())))
    found = source[Key(0, 5)][0].permute(1, 2, 0).numpy()
    assert (found == wanted).all() or (found == wanted[:, ::-1]).all()


def test_colour_jitter_changes_colours_alone_and_depends_on_the_draw(girls: Path) -> None:
    plain, jittered = images(girls), images(girls, color_jitter=0.1)
    found = [jittered[Key(draw, 3)][0].float() for draw in (0, 0, 1, 2)]
    assert torch.equal(found[0], found[1])
    original = plain[Key(0, 3)][0].float()
    for one in found:
        mirrored = original.flip(2)
        apart = min((one - original).abs().mean(), (one - mirrored).abs().mean())
        assert 0 < apart < 25


def test_new_choices_are_in_a_caches_fingerprint_only_where_used(girls: Path) -> None:
    def transform(*overrides: str) -> dict:
        recipe = read_recipe("elpv-demo-student", overrides)
        found: dict = train_fingerprint(open_data(str(girls)), recipe)["transform"]
        return found

    assert set(transform()) == {"view_size", "resize_ratio", "trivial_augment", "convert"}
    assert transform("data.sampler=class_balanced") == transform()
    assert transform("data.kernel=bilinear")["kernel"] == "bilinear"
    assert transform("data.color_jitter=0.2")["color_jitter"] == 0.2


def test_a_choice_that_nobody_thought_of_makes_another_teacher_cache(girls: Path) -> None:
    class Later(DataSection):
        blur: float = 0.0

    recipe, data = read_recipe("elpv-demo-student"), open_data(str(girls))
    plain, blurred = (
        train_fingerprint(data, recipe.model_copy(update={"data": Later(blur=blur)}))
        for blur in (0.0, 0.5)
    )
    assert plain != blurred
