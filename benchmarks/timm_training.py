"""timm's own training script, run beside ours over the same pictures."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from edge_fgir.data import DataSet
from edge_fgir.runs import Recipe

_ON_CPU = """
import runpy, sys, torch
from timm import utils
torch.cuda.synchronize = lambda *device: None
init = utils.init_distributed_device
utils.init_distributed_device = lambda args: setattr(args, "device", "cpu") or init(args)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Starts the script on the CPU; not every version of it has an option for that, and some wait for a
GPU before they validate."""


class TimmTraining:
    """timm's script in a process of its own, one epoch a turn, over the same pictures.

    Args:
        script: train.py.
        data: The pictures; they are linked into a folder.
        recipe: Ours; everything that has an equivalent is taken from it.
        work: A folder for its files.
    """

    _LINE = re.compile(r"Train: .*Time: [\d.]+s, +([\d.]+)/s .*Data: ([\d.]+)")

    def __init__(self, script: Path, data: DataSet, recipe: Recipe, work: Path) -> None:
        self._recipe = recipe
        pictures = {"train": data.split("train"), "val": data.split("val")[: recipe.batch_size]}
        for split, samples in pictures.items():
            for sample in samples:
                link = work / split / data.classes[sample.label] / sample.path.name
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(sample.path.resolve())
        options = {
            "data-dir": work,
            "val-split": "val",
            "model": recipe.model.name,
            "num-classes": len(data.classes),
            "img-size": recipe.data.view_size,
            "batch-size": recipe.batch_size,
            "workers": recipe.data.workers,
            "opt": recipe.optimizer.name,
            "lr": recipe.optimizer.lr,
            "weight-decay": recipe.optimizer.weight_decay,
            "clip-grad": recipe.optimizer.clip_norm,
            "smoothing": recipe.loss.label_smoothing,
            "epochs": 1,
            "warmup-epochs": 0,
            "color-jitter": 0,
            "train-interpolation": "bicubic",
            "log-interval": 1,
        }
        self._command = [sys.executable, "-c", _ON_CPU, str(script), "--channels-last"]
        for name, value in options.items():
            self._command += [f"--{name}", str(value)]
        share = str(round(1 / recipe.data.resize_ratio**2, 3))
        self._command += ["--scale", share, share, "--ratio", "1", "1"]
        if recipe.precision == "bf16":
            self._command += ["--amp", "--amp-dtype", "bfloat16"]

    def turn(self) -> list[tuple[float, float]]:
        """Train an epoch with the script.

        Returns:
            What it says of each step but the last: its seconds, and how many of them it waited for
            data.
        """
        hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
        with tempfile.TemporaryDirectory() as output:
            command = [*self._command, "--output", output]
            done = subprocess.run(command, capture_output=True, text=True, env=hidden)
        lines = self._LINE.findall(done.stderr + done.stdout)
        if done.returncode or not lines:
            raise RuntimeError(f"timm's train.py failed:\n{done.stderr[-3000:]}")
        batch = self._recipe.batch_size
        return [(batch / float(rate), float(waited)) for rate, waited in lines[:-1]]
