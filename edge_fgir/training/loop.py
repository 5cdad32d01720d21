"""The training loop: recipe and data in, run folder out."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from edge_fgir import results
from edge_fgir._errors import EdgeFgirError, InputError
from edge_fgir._files import claimed, read_utf8, write_atomic
from edge_fgir._progress import progress
from edge_fgir.benchmarking import environment
from edge_fgir.data import DataSet
from edge_fgir.data.loaders import Pictures, mixed_seed, train_batches
from edge_fgir.models import as_wrapper, freeze_norms, normalized
from edge_fgir.models.ila import check_base, learned_state, load_learned
from edge_fgir.results import read_result
from edge_fgir.runs import FREE, DataRecord, Recipe, Run
from edge_fgir.training.checkpoint import (
    Position,
    check_recipe,
    damaged_state,
    load_state,
    save_state,
    save_weights,
)
from edge_fgir.training.classification import make_criterion
from edge_fgir.training.classifier import linear_classifier, normalize_classifier
from edge_fgir.training.hooks import Finish, Hook
from edge_fgir.training.interpolation import Interpolation, calibrated_loss
from edge_fgir.training.linear_probe import train_linear_probe
from edge_fgir.training.log import Log
from edge_fgir.training.methods import Batch
from edge_fgir.training.optimizer import make_optimizer, make_scheduler
from edge_fgir.training.pictures import save_views
from edge_fgir.training.precision import autocast, resolve_precision
from edge_fgir.training.processes import Processes, Step
from edge_fgir.training.setup import (
    check_batch,
    check_compile,
    describe,
    make_method,
    make_schedule,
)
from edge_fgir.training.soft_targets import SoftTargetSource
from edge_fgir.training.teacher_cache import CachedTeacher
from edge_fgir.training.teachers import Teacher, train_fingerprint
from edge_fgir.training.validator import Validator

_VIEW_COLUMNS = 6
_LOWER = 10
"""A learning rate that loses the numbers is divided by this for another try."""
_LOOK_EVERY = 20
"""On a GPU, looking at the loss waits for the step: it is looked at this often."""


def train(
    recipe: Recipe,
    data: DataSet,
    out: Path,
    *,
    resume: bool = False,
    accept_data_change: bool = False,
    hooks: Sequence[Hook] = (),
) -> results.Training:
    """Train by ``recipe`` and fill the run folder ``out``.

    Under ``accelerate launch`` every process calls this; ``out`` must be one shared folder.

    Args:
        recipe: Every choice.
        data: The pictures; train is learned from, val is watched, test is not touched.
        out: The run folder.
        resume: Go on where an interrupted run stopped; a finished one is left as it is.
        accept_data_change: Go on from the last whole epoch although there are other pictures of the
            same classes.
        hooks: Called as the training goes on.

    Returns:
        The ``training`` result, which is also the run's ``summary.json``.

    Raises:
        InputError: ``out`` holds another run, or one of other data, or another process is training
            it; or recipe, teacher and data do not go together.
    """
    folder, record = Run(out), DataRecord.of(data)
    if resume:
        _check_data(folder, data, accept_data_change)
    if recipe.data.with_val:
        data = data.with_val_in_train()
    if resume and (folder.summary.exists() or folder.state.exists()):
        recipe = recipe.resolved_as(read_utf8(folder.config, "the recipe of the run"))
    recipe = recipe.resolved(
        len(data.split("train")), gpu=torch.cuda.is_available(), cpus=os.cpu_count() or 1
    )
    if folder.summary.exists() and resume:
        check_recipe(folder, recipe, read_utf8(folder.config, "the recipe of the run"), FREE)
        return read_result(folder.summary, results.Training)
    if out.exists() and not resume and any(each != folder.lock for each in out.iterdir()):
        raise InputError(
            f"{out} is not empty", "a new folder", "add --resume to go on, or choose another --out"
        )
    if recipe.method == "probe":
        return train_linear_probe(recipe, data, record, folder)
    if len(data.split("train")) < recipe.batch_size:
        raise InputError(
            f"train has {len(data.split('train'))} pictures",
            f"at least one batch of {recipe.batch_size}",
            "lower batch_size",
        )
    training = Training(recipe, data, out, hooks, record)
    with claimed(folder.lock, f"run {out}") if training.processes.first else nullcontext():
        return training.run()


def _check_data(folder: Run, data: DataSet, accept_change: bool) -> None:
    """Refuse data that a run has not been trained on so far.

    Raises:
        InputError: It has other classes; or other pictures, and the run is finished or they are not
            accepted.
    """
    finished = folder.summary.exists()
    if not finished and not folder.state.exists():
        return  # nothing has been learned yet
    change = folder.data_change(data)
    if not change or (accept_change and not finished):
        return
    raise InputError(
        f"run {folder.path} was {'trained' if finished else 'begun'} on other pictures than data "
        f"{data.name} has now ({change})",
        "the same pictures",
        f"train them with another --out, from here with --set model.weights={folder.weights}"
        if finished
        else "to go on with those of now from the last whole epoch, add --accept-data-change",
    )


class Training:
    """One run. Built whole before the first write, so a wrong recipe leaves nothing behind."""

    def __init__(
        self,
        recipe: Recipe,
        data: DataSet,
        out: Path,
        hooks: Sequence[Hook] = (),
        record: DataRecord | None = None,
    ) -> None:
        self.recipe, self.data, self.folder, self.hooks = recipe, data, Run(out), hooks
        self.record = record or DataRecord.of(data)
        self.processes = Processes()
        self.device = self.processes.device
        self.schedule = make_schedule(recipe, data, self.processes)
        torch.manual_seed(recipe.seed)
        self.precision = resolve_precision(recipe.precision, self.device)
        self.teacher = Teacher.find(recipe, data, self.device, self.precision)
        self.trained = describe(recipe, data, self.teacher)
        sides = recipe.data.view_size, recipe.eval.image_size
        self.trained.check_side(
            sides[1],
            f"eval.image_size {sides[1]} for {recipe.model.name}",
            "a side that the network takes",
        )
        if recipe.method == "cal":
            self.trained.check_side(
                sides[0],
                f"data.view_size {sides[0]} for {recipe.model.name}",
                f"its eval.image_size {sides[1]}",
            )
        check_batch(recipe, self.trained)
        if recipe.compile:
            check_compile(self.device)
        model = recipe.model.build(len(data.classes), recipe.eval.image_size)
        if recipe.normalized_classifier:
            wish = f"normalized_classifier for {recipe.model.name}"
            linear_classifier(model, wish, "leave it out")
        base = as_wrapper(model).base
        self.trained = self.trained.model_copy(update={"base": base})
        if self.folder.state.exists():
            self._keep_preprocessing()
        self.model = self.processes.place(model)
        self.optimizer = make_optimizer(self.model, recipe.optimizer)
        self.interpolation = Interpolation(self.model) if recipe.interpolation else None
        self.interpolated: float | None = None
        self.classifier_tau: float | None = None
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        decay = recipe.optimizer.ema_decay
        self.ema = ModelEmaV3(self.model, decay=decay, use_warmup=True) if decay else None
        steps = self.schedule.steps_per_epoch
        total = steps * recipe.epochs
        self.scheduler = make_scheduler(self.optimizer, recipe.optimizer, recipe.epochs, steps)
        self.position = Position(0, total, 0, 0, 0.0, 0.0)
        self.waited = 0.0
        self.log = Log(self.folder)
        # Students that share a teacher's answers share the draws of the augmentation as well.
        asked = recipe.teacher
        seed = asked.cache_seed if asked and asked.cache_variants else recipe.seed
        self.images = recipe.data.augmented(data, data.split("train"), seed)
        self.target_source: SoftTargetSource | None = None
        if self.teacher is not None:
            facts = train_fingerprint(data, recipe)
            self.target_source = self.teacher.target_source(self.images, facts, recipe.data.workers)
        self.method = make_method(recipe, self.model, self.target_source, data.counts("train"))
        step = Step(self.model, self.method, quantization_aware=recipe.quantization_aware)
        self.step = self.processes.join(step)
        if recipe.compile:
            self.model.compile()

    def run(self) -> results.Training:
        """Train to the end and return the summary."""
        recipe = self.recipe
        validator = Validator(self.trained, self.data, self.processes)
        if self.folder.state.exists():
            self._resume()
        self.processes.wait()
        if self.processes.first:
            write_atomic(self.folder.config, recipe.dump())
            self.folder.write(self.trained, self.data.classes, self.record)
        for hook in self.hooks:
            hook.on_start(self)
        batches = train_batches(
            self.images,
            self.schedule,
            first=self.position.step,
            last=self.position.total,
            workers=recipe.data.workers,
        )
        with suppress(Finish):
            if self.position.epoch and not self.position.step_in_epoch:
                # The run may have been killed before this, right after the epoch.
                self._end_epoch(validator, validated=self.log.has_validation(self.position.step))
            while self.position.epoch < recipe.epochs:
                self.run_epoch(batches)
                self._end_epoch(validator)
        if self.interpolation is not None:
            self._interpolate(self.interpolation, validator)
        if recipe.normalized_classifier:
            self._normalize_classifier(validator)
        return self._finish(self._validate(validator, self.position.epoch))

    def _end_epoch(self, validator: Validator, *, validated: bool = False) -> None:
        """Call the hooks, and validate where that is due and has not been done."""
        epoch, every = self.position.epoch, self.recipe.eval.every_epochs
        for hook in self.hooks:
            hook.on_epoch(self, epoch)
        if epoch % every == 0 and epoch < self.recipe.epochs and not validated:
            self._validate(validator, epoch)

    def run_epoch(self, batches: Iterator[Pictures]) -> None:
        """Learn the rest of the current epoch from ``batches`` and save the state."""
        recipe, start, length = self.recipe, self.position, self.schedule.steps_per_epoch
        title = f"{recipe.name}: epoch {start.epoch + 1}/{recipe.epochs}"
        if isinstance(self.target_source, CachedTeacher):
            variant = self.schedule.variant(start.epoch)
            self.target_source.start(variant, f"{title}: asking the teacher")
        began, loss_sum = time.monotonic(), start.epoch_loss
        left = length - start.step_in_epoch
        pending: list[Tensor] = []
        self.model.train()
        if recipe.frozen_norms:
            freeze_norms(self.model)
        with progress(title, left) as meter:
            for done, pictures in enumerate(self._timed(islice(batches, left)), 1):
                for hook in self.hooks:
                    hook.on_batch(self, pictures)
                pending.append(self._learn(pictures))
                place = start.step_in_epoch + done
                whole = place == length
                self.position = replace(
                    start,
                    step=start.step + done,
                    epoch=start.epoch + whole,
                    step_in_epoch=0 if whole else place,
                    seconds=start.seconds + time.monotonic() - began,
                    waited=self.waited,
                )
                due = whole or self.position.step % recipe.checkpoint_steps == 0
                if due or self.device.type == "cpu" or len(pending) == _LOOK_EVERY:
                    loss_sum += self._look_at(pending)
                    meter.advance(len(pending), f"loss {loss_sum / place:.3f}{self._time_left()}")
                    pending.clear()
                if whole:
                    self._log({"epoch": start.epoch + 1, "loss": loss_sum / length})
                if due:
                    self.position = replace(self.position, epoch_loss=0.0 if whole else loss_sum)
                    self._save()

    def _timed(self, batches: Iterator[Pictures]) -> Iterator[Pictures]:
        """Pass batches on and count the seconds that they were waited for."""
        began = time.monotonic()
        for batch in batches:
            self.waited += time.monotonic() - began
            yield batch
            began = time.monotonic()

    def _time_left(self) -> str:
        now = self.position
        seconds = now.seconds / now.step * (now.total - now.step)
        return f", whole run {int(seconds) // 60}:{int(seconds) % 60:02d} left"

    def _learn(self, pictures: Pictures) -> Tensor:
        """Take one optimiser step and return its loss."""
        pixels = pictures.pixels.to(self.device, non_blocking=True)
        labels = pictures.labels.to(self.device, non_blocking=True)
        images = normalized(pixels, self.trained.normalization)
        done = self.position.step / self.position.total
        batch = Batch(images, labels, pictures.indices, done)
        # All randomness of a step follows from its number: a resumed run needs no generator state.
        torch.manual_seed(mixed_seed(self.recipe.seed, self.position.step, self.processes.rank))
        if self.position.step == 0 and self.processes.first:
            self._picture_views(batch)
        with autocast(self.device, self.precision):
            loss: Tensor = self.step(batch)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        if self.recipe.optimizer.clip_norm:
            clip_grad_norm_(self.model.parameters(), self.recipe.optimizer.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        step = self.position.step + 1
        self.scheduler.step_update(step)
        if self.ema is not None:
            self.ema.update(self.model, step=step)
        return loss.detach()

    def _look_at(self, losses: list[Tensor]) -> float:
        """Return the sum of the last steps' losses.

        Raises:
            EdgeFgirError: One is not a number. It is looked for before every checkpoint, so that
                the last one is good.
        """
        values: list[float] = self.processes.mean(torch.stack(losses).float()).tolist()
        for step, value in enumerate(values, self.position.step - len(values) + 1):
            if not math.isfinite(value):
                raise EdgeFgirError(
                    f"{self.recipe.name}: the loss is {value} at step {step}; {self._cure()}"
                )
        return sum(values)

    def _picture_views(self, batch: Batch) -> None:
        if self.target_source is None:
            return
        with torch.random.fork_rng():
            images = batch.images[:_VIEW_COLUMNS]
            targets = self.target_source.look(images, batch.indices[:_VIEW_COLUMNS])
        if targets.views is not None:
            save_views(self.folder.views, images, targets.views, self.trained.normalization)

    @property
    def _learned(self) -> nn.Module:
        """The network that is evaluated and exported."""
        return self.ema.module if self.ema is not None else self.model

    def _interpolate(self, interpolation: Interpolation, validator: Validator) -> None:
        criterion = make_criterion(
            self.recipe.loss.model_copy(update={"label_smoothing": 0.0}), self.data.counts("train")
        )

        def loss(model: nn.Module) -> float:
            logits, labels = validator.answers(model, "between the first weights and the last")
            return calibrated_loss(logits, labels, criterion)

        self.interpolated = interpolation.settle(self._learned, loss)

    def _normalize_classifier(self, validator: Validator) -> None:
        answers = validator.answers(self._learned, "before its classifier is normalised")
        classifier: Any = self._learned
        self.classifier_tau = normalize_classifier(classifier.get_classifier(), *answers)

    def _validate(self, validator: Validator, epoch: int) -> dict[str, float]:
        """Return what the network reaches after so many epochs."""
        metrics = validator.metrics(self._learned, f"epoch {epoch} val")
        self.position = replace(self.position, best=max(self.position.best, metrics["val_top1"]))
        self._log({"epoch": epoch, **metrics})
        return metrics

    def _parts(self) -> dict[str, dict[str, Tensor]]:
        parts = {"model": learned_state(self.model), "method": self.method.state()}
        if self.ema is not None:
            parts["ema"] = learned_state(self.ema.module)
        if self.scaler.is_enabled():
            parts["scaler"] = {k: torch.tensor(v) for k, v in self.scaler.state_dict().items()}
        return parts

    def _save(self) -> None:
        self._check_weights()
        if self.processes.first:
            try:
                save_state(
                    self.folder, self.position, self._parts(), self.optimizer, self.recipe.dump()
                )
            except OSError as error:
                kept = "; the one before it is kept" if self.folder.state.exists() else ""
                raise EdgeFgirError(
                    f"{self.recipe.name}: the state of step {self.position.step} could not be "
                    f"written ({error.filename}: {error.strerror}){kept}; make room, then run "
                    "again with --resume"
                ) from error
        self.processes.wait()

    def _check_weights(self) -> None:
        """Raise EdgeFgirError if a weight is not a number: a good loss can have a bad gradient."""
        values = self.model.state_dict().values()
        good = torch.stack([value.isfinite().all() for value in values]).all()
        if self.processes.mean(good.float()) < 1:
            raise EdgeFgirError(
                f"{self.recipe.name}: weights are not finite at step {self.position.step}; "
                f"{self._cure()}"
            )

    def _cure(self) -> str:
        """Say what to do about lost numbers."""
        rate = self.recipe.optimizer.lr / _LOWER
        half = "" if self.precision == "fp32" else " or --set precision=fp32"
        saved = "the last good state is kept: " if self.folder.state.exists() else ""
        return f"{saved}run again with --resume and --set optimizer.lr={rate:.2g}{half}"

    def _keep_preprocessing(self) -> None:
        """Judge a run that goes on by the pictures it began with, whatever is the default now."""
        preprocess = self.trained.preprocess
        begun = Run.open(self.folder.path).description.preprocess
        kept = preprocess.model_copy(update={"shrink": begun.shrink})
        self.trained = self.trained.model_copy(update={"preprocess": kept})

    def _resume(self) -> None:
        self.position, parts = load_state(self.folder, self._parts(), self.optimizer, self.recipe)
        self.waited = self.position.waited
        before = Run.open(self.folder.path).description
        if before.base is not None:
            check_base(self.trained.base, before.base, before.name)
        try:
            load_learned(self.model, parts["model"])
            self.method.load_state({k: v.to(self.device) for k, v in parts["method"].items()})
            if self.ema is not None:
                load_learned(self.ema.module, parts["ema"])
        except (RuntimeError, KeyError, TypeError) as error:
            raise damaged_state(self.folder, str(error).splitlines()[0]) from error
        if self.scaler.is_enabled() and parts["scaler"]:  # not of a run that had none until now
            self.scaler.load_state_dict({k: v.item() for k, v in parts["scaler"].items()})
        if self.processes.first:
            self.log.forget_after(self.position.step)
        if self._other_data():
            self.position = self._at_whole_epoch()
        now, steps = self.position, self.schedule.steps_per_epoch
        if now.step != now.epoch * steps + now.step_in_epoch or now.step > now.total:
            raise damaged_state(self.folder, f"step {now.step} in epoch {now.epoch + 1}")
        self.scheduler.step_update(self.position.step)
        if self.processes.first:
            for draft in self.folder.path.glob(f".{self.folder.state.name}.*"):
                draft.unlink()  # of a run that was killed while it saved

    def _other_data(self) -> bool:
        """Say whether the state is of other pictures, which have been accepted."""
        if self.position.total != self.schedule.steps_per_epoch * self.recipe.epochs:
            return True
        known = self.folder.data_record
        return known.exists() and DataRecord.read(known).hash != self.record.hash

    def _at_whole_epoch(self) -> Position:
        """Return the start of the epoch where the run stopped, in steps of the pictures of now."""
        steps, epoch = self.schedule.steps_per_epoch, self.position.epoch
        return replace(
            self.position,
            step=epoch * steps,
            total=steps * self.recipe.epochs,
            step_in_epoch=0,
            epoch_loss=0.0,
        )

    def _log(self, values: dict[str, float]) -> None:
        if self.processes.first:
            self.log.write({"step": self.position.step, **values})

    def _finish(self, metrics: dict[str, Any]) -> results.Training:
        source = self.target_source
        result = results.Training(
            name=self.recipe.name,
            method=self.recipe.method,
            architecture=self.recipe.model.name,
            data=self.trained.data,
            steps=self.position.step,
            epochs=self.recipe.epochs,
            seconds=round(self.position.seconds, 1),
            waited_for_data=round(self.waited / max(self.position.seconds, 1e-9), 4),
            device=str(self.device),
            processes=self.processes.count,
            precision=self.precision,
            views=tuple(source.views) if source else (),
            **metrics,
            interpolated=self.interpolated,
            classifier_tau=self.classifier_tau,
            teacher_cache=source.cache.size if isinstance(source, CachedTeacher) else None,
            history=self.log.lines() if self.processes.first else (),
            environment=environment(),
        )
        if self.processes.first:
            save_weights(self.folder.last_weights, self.model)
            if self.ema is not None:
                save_weights(self.folder.averaged_weights, self.ema.module)
            result.write(self.folder.summary)
        self.log.close()
        self.processes.wait()
        for hook in self.hooks:
            hook.on_end(self)
        return result
