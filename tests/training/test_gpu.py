"""What only a GPU shows: its number format, asynchronous steps, kernels of its own."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from interruption import StopBefore
from runs import write_recipe
from torch import Tensor

from edge_fgir import EdgeFgirError, results
from edge_fgir.data import open_data
from edge_fgir.data.loaders import Pictures
from edge_fgir.models import Network
from edge_fgir.runs import Run, View
from edge_fgir.training import Hook, Training, read_recipe, train
from edge_fgir.training.methods import CrossEntropy
from edge_fgir.training.views import ViewSpec, make_views

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
    # PyTorch asks in its own old way about TF32, and warns about that.
    pytest.mark.filterwarnings("default"),
]

VIEWS: tuple[View, ...] = ("crop", "drop", "mix")


@pytest.fixture(autouse=True)
def exact_float32() -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def fit(
    photos: Path, out: Path, *hooks: Hook, resume: bool = False, **changes: Any
) -> results.Training:
    """Train the tiny recipe in the GPU's own number format."""
    recipe = write_recipe(
        out.parent / "recipe.yaml", **{"precision": "auto", "epochs": 3, **changes}
    )
    plan = read_recipe(str(recipe))
    return train(plan, open_data(str(photos)), out, resume=resume, hooks=hooks)


@pytest.mark.parametrize("variants", [0, 2], ids=["live", "cached"])
@pytest.mark.parametrize("joint", [False, True])
def test_tgda_trains_in_half_precision(
    photos: Path, teacher_run: Path, tmp_path: Path, variants: int, joint: bool
) -> None:
    teacher = {"run": str(teacher_run), "cache_variants": variants, "joint_forward": joint}
    summary = fit(photos, tmp_path / "run", method="tgda", epochs=8, teacher=teacher)
    assert summary.device.startswith("cuda")
    assert summary.precision == "fp16"
    losses = [line.loss for line in summary.history if line.loss is not None]
    assert losses[-1] < losses[0]
    assert (summary.val_top1 or 0) > 60
    opened = Run.open(tmp_path / "run")
    _, model = opened.description, opened.load()
    assert all(weight.isfinite().all() for weight in model.state_dict().values())


def test_a_stopped_run_goes_on_with_its_loss_scale(
    photos: Path, teacher_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {
        "method": "tgda",
        "checkpoint_steps": 5,
        "teacher": {"run": str(teacher_run)},
        "optimizer": {"lr": 1e-3, "warmup_steps": 2, "ema_decay": 0.9},
    }
    whole = fit(photos, tmp_path / "whole", **changes)
    scales = []

    class NoteScale(Hook):
        def on_batch(self, training: Training, pictures: Pictures) -> None:
            scales.append(training.scaler.get_scale())

    with monkeypatch.context() as patch:
        # Not the scale that every new run begins with.
        patch.setattr(torch.amp, "GradScaler", partial(torch.amp.GradScaler, init_scale=512.0))
        with pytest.raises(KeyboardInterrupt):
            fit(photos, tmp_path / "parts", StopBefore(13), **changes)
    parts = fit(photos, tmp_path / "parts", NoteScale(), resume=True, **changes)
    assert scales[0] == 512
    assert parts.steps == whole.steps
    # Kernels of a GPU add in no fixed order, and another scale rounds otherwise.
    last = [
        [line.loss for line in run.history if line.loss is not None][-1] for run in (whole, parts)
    ]
    assert last[1] == pytest.approx(last[0], rel=0.1)


@pytest.mark.parametrize("name", ["lrnet14", "vitfs_nano", "resnet18", "tf_efficientnet_lite0"])
def test_logits_are_those_of_the_cpu(name: str) -> None:
    torch.manual_seed(0)
    model = Network(name=name).build(10, 64).eval()
    images = torch.randn(4, 3, 64, 64)
    with torch.inference_mode():
        here = model(images)
        there = model.cuda()(images.cuda()).cpu()
    assert (here - there).abs().max() <= 1e-3 * here.abs().max()


def test_views_are_those_of_the_cpu() -> None:
    torch.manual_seed(0)
    images = torch.rand(6, 3, 64, 64)
    spec = ViewSpec(torch.rand(6, len(VIEWS), 7, 7), torch.full((6, len(VIEWS)), 0.5))
    here = make_views(images, spec, VIEWS)
    there = make_views(images.cuda(), ViewSpec(*(part.cuda() for part in spec)), VIEWS).cpu()
    # A threshold that rounding crosses moves a box or the border of a hole by a pixel.
    assert ((here - there).abs() < 1e-4).float().mean() > 0.99


def test_a_compiled_run_learns(photos: Path, tmp_path: Path) -> None:
    summary = fit(photos, tmp_path / "run", compile=True, epochs=8)
    assert (summary.val_top1 or 0) > 80


def test_a_loss_that_is_no_number_is_found_among_the_steps_not_yet_looked_at(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = CrossEntropy.loss, [0]

    def spoiled(self: CrossEntropy, *arguments: Any) -> Tensor:
        calls[0] += 1
        loss = original(self, *arguments)
        return loss * float("nan") if calls[0] == 12 else loss

    monkeypatch.setattr(CrossEntropy, "loss", spoiled)
    with pytest.raises(EdgeFgirError, match=r"the loss is nan at step 12; .*--resume"):
        fit(photos, tmp_path / "run", checkpoint_steps=9)
