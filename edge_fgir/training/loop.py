"""The training loop: recipe and data in, run folder out."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timm.scheduler import CosineLRScheduler
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.utils.tensorboard import SummaryWriter

from edge_fgir._errors import EdgeFgirError, InputError
from edge_fgir._files import write_atomic
from edge_fgir._progress import progress
from edge_fgir.benchmarking import accuracy
from edge_fgir.benchmarking.results import write_result
from edge_fgir.data import DataSet, labels_of, prepared_images
from edge_fgir.data.loaders import TrainImages, steps_per_epoch, train_batches
from edge_fgir.models import CAL
from edge_fgir.models.inference import logits_of, normalized
from edge_fgir.models.trained import EMA, WEIGHTS, TrainedModel, load_trained, read_labels
from edge_fgir.runtime import Preprocess
from edge_fgir.runtime.manifest import Normalization
from edge_fgir.training.checkpoint import STATE, Position, load_state, save_state, save_weights
from edge_fgir.training.methods import TGDA, CALTraining, CrossEntropy, Method, autocast
from edge_fgir.training.pictures import save_views
from edge_fgir.training.recipe import OptimizerSection, Recipe

CONFIG = "config.yaml"
METRICS = "metrics.jsonl"
SUMMARY = "summary.json"
VIEWS = "pictures/views.png"

_VIEW_COLUMNS = 6


def train(recipe: Recipe, data: DataSet, out: Path, *, resume: bool = False) -> dict[str, Any]:
    """Train by ``recipe`` and fill the run folder ``out``.

    Args:
        recipe: Every choice.
        data: The pictures; train is learned from, val is watched, test is not touched.
        out: The run folder.
        resume: Go on where an interrupted run stopped; a finished one is left as it is.

    Returns:
        The summary: steps, seconds, validation accuracy.

    Raises:
        InputError: ``out`` holds another run, or recipe, teacher and data do not go together.
    """
    if (out / SUMMARY).exists() and resume and (out / CONFIG).read_text() == recipe.dump():
        summary: dict[str, Any] = json.loads((out / SUMMARY).read_text())
        return summary
    if out.exists() and any(out.iterdir()) and not resume:
        raise InputError(
            f"{out} is not empty", "a new folder", "add --resume to go on, or choose another --out"
        )
    if steps_per_epoch(len(data.split("train")), recipe.batch_size) == 0:
        raise InputError(
            f"train has {len(data.split('train'))} pictures",
            f"at least one batch of {recipe.batch_size}",
            "lower batch_size",
        )
    return _Training(recipe, data, out).run()


class _Training:
    """One run. Built whole before the first write, so a wrong recipe leaves nothing behind."""

    def __init__(self, recipe: Recipe, data: DataSet, out: Path) -> None:
        self.recipe, self.data, self.out = recipe, data, out
        torch.manual_seed(recipe.seed)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.precision = _resolve_precision(recipe.precision, self.device)
        teacher = self._load_teacher()
        self.trained = self._describe(teacher[0] if teacher else None)
        model = self.trained.build(drop_path=recipe.model.drop_path, weights=recipe.model.weights)
        self.model = model.to(self.device).to(memory_format=torch.channels_last)
        self.method = self._make_method(teacher[1] if teacher else None)
        self.optimizer = make_optimizer(self.model, recipe.optimizer)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        decay = recipe.optimizer.ema_decay
        self.ema = ModelEmaV3(self.model, decay=decay, use_warmup=True) if decay else None
        self.train_samples = data.split("train")
        self.epoch_steps = steps_per_epoch(len(self.train_samples), recipe.batch_size)
        total = self.epoch_steps * recipe.epochs
        self.scheduler = make_scheduler(self.optimizer, recipe.optimizer, total)
        self.position = Position(0, total, 0, 0, 0.0, 0.0)

    def _load_teacher(self) -> tuple[TrainedModel, nn.Module] | None:
        if self.recipe.teacher is None:
            return None
        run = Path(self.recipe.teacher.run)
        description, teacher = load_trained(run)
        if read_labels(run) != self.data.classes:
            raise InputError(
                f"teacher {run} knows other classes than {self.data.name}",
                "a teacher trained on this data",
            )
        return description, teacher.to(self.device).to(memory_format=torch.channels_last)

    def _describe(self, teacher: TrainedModel | None) -> TrainedModel:
        recipe = self.recipe
        # Both see the same pixels, so a student takes its teacher's normalisation.
        own = Normalization(mean=recipe.data.mean, std=recipe.data.std)
        return TrainedModel(
            name=recipe.name,
            architecture=recipe.model.name,
            attention_maps=recipe.model.attention_maps,
            num_classes=len(self.data.classes),
            normalization=teacher.normalization if teacher else own,
            preprocess=Preprocess(
                size=recipe.eval.image_size,
                kernel=recipe.eval.kernel,
                antialias=recipe.eval.antialias,
                crop_fraction=recipe.eval.crop_fraction,
            ),
            data=self.data.info,
        )

    def _make_method(self, teacher: nn.Module | None) -> Method:
        recipe = self.recipe
        if isinstance(self.model, CAL):
            return CALTraining(self.model)
        if teacher is None or recipe.teacher is None:
            return CrossEntropy(recipe.loss, recipe.eval.image_size)
        return TGDA(
            teacher,
            recipe.teacher,
            recipe.loss,
            recipe.eval.image_size,
            with_views=recipe.method == "tgda",
        )

    def run(self) -> dict[str, Any]:
        recipe = self.recipe
        images = TrainImages(
            self.data,
            self.train_samples,
            size=recipe.data.view_size,
            resize=int(recipe.data.resize_ratio * recipe.data.view_size),
            trivial_augment=recipe.data.trivial_augment,
            seed=recipe.seed,
        )
        validation = self.data.split("val")
        val_images = prepared_images(self.data, validation, self.trained.preprocess)
        val_labels = labels_of(validation)
        if (self.out / STATE).exists():
            self._resume()
        write_atomic(self.out / CONFIG, recipe.dump())
        self.trained.save(self.out, self.data.classes)
        writer = SummaryWriter(str(self.out), purge_step=self.position.step)
        metrics: dict[str, float] = {}
        while self.position.epoch < recipe.epochs:
            epoch = self.position.epoch
            self._run_epoch(images, writer)
            if (epoch + 1) % recipe.eval.every_epochs == 0 or epoch + 1 == recipe.epochs:
                metrics = self._validate(val_images, val_labels, epoch, writer)
        writer.close()
        return self._finish(metrics)

    def _run_epoch(self, images: TrainImages, writer: SummaryWriter) -> None:
        recipe, start = self.recipe, self.position
        batches = train_batches(
            images,
            batch=recipe.batch_size,
            seed=recipe.seed,
            epoch=start.epoch,
            first_step=start.step_in_epoch,
            workers=recipe.data.workers,
        )
        began, loss_sum = time.monotonic(), 0.0
        title = f"{recipe.name}: epoch {start.epoch + 1}/{recipe.epochs}"
        left = self.epoch_steps - start.step_in_epoch
        self.model.train()
        with progress(title, left) as meter:
            for done, (pixels, labels) in enumerate(batches, 1):
                loss = self._step(pixels.to(self.device), labels.to(self.device))
                loss_sum += loss
                place = start.step_in_epoch + done
                whole = place == self.epoch_steps
                self.position = replace(
                    start,
                    step=start.step + done,
                    epoch=start.epoch + whole,
                    step_in_epoch=0 if whole else place,
                    seconds=start.seconds + time.monotonic() - began,
                )
                meter.advance(note=f"loss {loss_sum / done:.3f}{self._time_left()}")
                if whole or self.position.step % recipe.checkpoint_steps == 0:
                    self._save()
        writer.add_scalar("train/loss", loss_sum / max(left, 1), self.position.step)
        self._log({"step": self.position.step, "epoch": start.epoch + 1, "loss": loss_sum / left})

    def _time_left(self) -> str:
        place = self.position
        seconds = place.seconds / place.step * (place.total - place.step)
        return f", whole run {int(seconds) // 60}:{int(seconds) % 60:02d} left"

    def _step(self, pixels: Tensor, labels: Tensor) -> float:
        if self.position.step == 0 and isinstance(self.method, TGDA):
            self._picture_views(self.method, pixels)
        images = normalized(pixels, self.trained.normalization)
        with autocast(self.device, self.precision):
            loss = self.method.loss(self.model, images, labels)
        value = loss.detach().item()
        if not math.isfinite(value):
            raise EdgeFgirError(
                f"{self.recipe.name}: the loss is {value} at step {self.position.step}; "
                "lower optimizer.lr or use precision fp32, then run again with --resume"
            )
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        clip_grad_norm_(self.model.parameters(), self.recipe.optimizer.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        step = self.position.step + 1
        self.scheduler.step_update(step)
        if self.ema is not None:
            self.ema.update(self.model, step=step)
        return value

    def _picture_views(self, method: TGDA, pixels: Tensor) -> None:
        with torch.random.fork_rng(devices=[]):
            images = normalized(pixels[:_VIEW_COLUMNS], self.trained.normalization)
            _, augmented, _ = method.look(images)
        if augmented is not None:
            save_views(self.out / VIEWS, images, augmented, self.trained.normalization)

    def _validate(
        self, images: np.ndarray, labels: np.ndarray, epoch: int, writer: SummaryWriter
    ) -> dict[str, float]:
        model = self.ema.module if self.ema is not None else self.model
        logits = logits_of(model, images, self.trained.normalization, f"epoch {epoch + 1} val")
        probabilities = torch.from_numpy(logits).softmax(1).numpy()
        metrics = {
            "val_top1": accuracy.top_k(probabilities, labels, 1),
            "val_macro": accuracy.macro(probabilities, labels),
        }
        for name, value in metrics.items():
            writer.add_scalar(name.replace("_", "/"), value, self.position.step)
        self.position = replace(self.position, best=max(self.position.best, metrics["val_top1"]))
        self._log({"step": self.position.step, "epoch": epoch + 1, **metrics})
        return metrics

    def _parts(self) -> dict[str, dict[str, Tensor]]:
        parts = {"model": self.model.state_dict(), "method": self.method.state()}
        if self.ema is not None:
            parts["ema"] = self.ema.module.state_dict()
        if self.scaler.is_enabled():
            parts["scaler"] = {k: torch.tensor(v) for k, v in self.scaler.state_dict().items()}
        return parts

    def _save(self) -> None:
        save_state(self.out, self.position, self._parts(), self.optimizer, self.recipe.dump())

    def _resume(self) -> None:
        self.position, parts = load_state(
            self.out, self._parts(), self.optimizer, self.recipe.dump()
        )
        self.model.load_state_dict(parts["model"])
        self.method.load_state({k: v.to(self.device) for k, v in parts["method"].items()})
        if self.ema is not None:
            self.ema.module.load_state_dict(parts["ema"])
        if self.scaler.is_enabled():
            self.scaler.load_state_dict({k: v.item() for k, v in parts["scaler"].items()})
        self.scheduler.step_update(self.position.step)
        self._forget_after(self.position.step)

    def _forget_after(self, step: int) -> None:
        """Drop metric lines the interrupted run wrote after its last saved state."""
        path = self.out / METRICS
        if path.exists():
            lines = [ln for ln in path.read_text().splitlines() if json.loads(ln)["step"] <= step]
            write_atomic(path, "".join(f"{line}\n" for line in lines))

    def _log(self, values: dict[str, float]) -> None:
        with (self.out / METRICS).open("a") as file:
            file.write(json.dumps(values) + "\n")

    def _views(self) -> list[str]:
        teacher = self.recipe.teacher
        return list(teacher.views) if teacher and self.recipe.method == "tgda" else []

    def _finish(self, metrics: dict[str, float]) -> dict[str, Any]:
        save_weights(self.out / WEIGHTS, self.model)
        if self.ema is not None:
            save_weights(self.out / EMA, self.ema.module)
        body = {
            "name": self.recipe.name,
            "method": self.recipe.method,
            "architecture": self.recipe.model.name,
            "data": self.trained.data.model_dump(),
            "steps": self.position.step,
            "epochs": self.recipe.epochs,
            "seconds": round(self.position.seconds, 1),
            "device": str(self.device),
            "precision": self.precision,
            "views": self._views(),
            **metrics,
            "history": [json.loads(ln) for ln in (self.out / METRICS).read_text().splitlines()],
        }
        write_result(self.out / SUMMARY, "training", body)
        return body


def make_optimizer(model: nn.Module, section: OptimizerSection) -> torch.optim.Optimizer:
    """Build the optimiser; biases and 1-D tensors are not decayed (timm's rule)."""
    weights = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": weights, "weight_decay": section.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if section.name == "sgd":
        return torch.optim.SGD(groups, lr=section.lr, momentum=0.9)
    return torch.optim.AdamW(groups, lr=section.lr, eps=1e-8, fused=True)


def make_scheduler(
    optimizer: torch.optim.Optimizer, section: OptimizerSection, total: int
) -> CosineLRScheduler:
    """Build the per-step cosine schedule; the warm-up counts inside it (spec TGDA section 1.8)."""
    return CosineLRScheduler(
        optimizer,
        t_initial=total,
        lr_min=section.min_lr,
        warmup_t=section.warmup_steps,
        warmup_lr_init=section.warmup_lr,
        t_in_epochs=False,
    )


def _resolve_precision(wanted: str, device: torch.device) -> str:
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "fp16"
    # Without bfloat16 instructions a CPU emulates it, several times slower than float32.
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if native else "fp32"
