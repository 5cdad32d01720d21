"""Adapters (ILA) against a new head alone and against training all of the same network.

    .venv/bin/python benchmarks/ila.py --data ../shared/data/grocery_store --classes 20 \
        --base runs/cub_100-vitfs_nano --work runs/ila

starts every cell from the weights of the run `--base`, trains it by `--recipe`, evaluates it on the
test split, and the adapters' INT8 bundles beside torch. Learning rates are chosen on val: each cell
is first trained for `--pilot` epochs with each of its `LEARNING_RATES`. Finished runs are reused.

Seconds a step and memory are measured on `NETWORKS` (random weights: they do not depend on them),
all cells taking turns in this process, memory in a process of its own for each. `tensor_mb` is the
peak of what the step's tensors hold, as a GPU's allocator would count it; `process_mb` what the
process grew by. `--quick` only shows that it works. Without `--data` the trainings that the result
file holds are kept, and only steps are measured.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from tgda import EVALUATION, first_classes, run
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_
from torch.profiler import ProfilerActivity, profile

from edge_fgir._errors import GateError
from edge_fgir._files import write_json
from edge_fgir.benchmarking import environment
from edge_fgir.data import DataSet, labels_of, open_data, prepared_images
from edge_fgir.evaluation import drop_interval
from edge_fgir.exporting import ExportOptions, export, read_target
from edge_fgir.models import Network, count_params, summarize
from edge_fgir.models.ila import AdaptedViT, Adapters, Variant, residual_ranges
from edge_fgir.models.inference import logits_of
from edge_fgir.runs import OptimizerSection, Run
from edge_fgir.runtime import Classifier
from edge_fgir.training import read_recipe, train
from edge_fgir.training.optimizer import make_optimizer
from edge_fgir.training.precision import autocast, resolve_precision

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "ila.json"
RECIPE = "grocery_store-vitfs_nano-ila-cpu"
CPU = torch.device("cpu")

FULL = "full"
CELLS: tuple[Variant | str, ...] = ("none", "ila", "ila+", "ila++", FULL)
"""What is compared: variants of adapters (none: the head alone), and all of the network trained."""
LEARNING_RATES = {
    **dict.fromkeys(("none", "ila", "ila+", "ila++"), (2e-3, 5e-3, 2e-2)),
    FULL: (5e-4, 1e-3, 2e-3),
}
TARGETS = ("openvino", "arm")
MOST_DROP = 1.0
"""Points of top-1 that INT8 may cost."""
_GATE = 3.0
"""Points that the export may lose on the few pictures of val; the bound is judged on test."""
LEAST_SPEED_UP, MOST_MEMORY = 1.5, 0.6
"""Of an ILA step, beside a step of all of the network."""


@dataclass(frozen=True)
class Case:
    """What steps are measured on."""

    name: str
    size: int
    batch: int

    def __str__(self) -> str:
        return f"{self.name} {self.size} px, batch {self.batch}"


NETWORKS = (Case("vitfs_nano", 128, 16), Case("vit_small_patch16_224", 224, 8))
QUICK = (Case("vitfs_nano", 96, 2),)
_CLASSES = 81
_ROUNDS = 7


def changes_of(cell: str, weights: Path) -> list[str]:
    """Return a cell's changes to the recipe."""
    adapters = "model.adapters=null" if cell == FULL else f"model.adapters.variant={cell}"
    return [f"model.weights={weights}", adapters]


def trained_cell(
    cell: str, data: DataSet, base: Path, options: argparse.Namespace
) -> dict[str, Any]:
    """Choose a cell's learning rate on val, train it, and evaluate it on test."""
    changes = [*changes_of(cell, Run(base).weights), *options.set]
    pilots = {}
    for rate in LEARNING_RATES[cell]:
        out = options.work / f"pilot-{cell}-{rate:g}"
        rated = [*changes, f"optimizer.lr={rate}", f"epochs={options.pilot}"]
        pilot = train(read_recipe(options.recipe, rated), data, out, resume=True)
        pilots[rate] = pilot.val_top1 or 0.0
    best = max(pilots, key=pilots.__getitem__)
    out = options.work / f"{cell}-0"
    run(options.recipe, [*changes, f"optimizer.lr={best}"], data, out)
    trained = Run.open(out).description
    network = trained.build(meta=True)
    summary = json.loads(Run(out).summary.read_text())
    counted = summarize(network, cell, trained.preprocess.size, trained.num_classes)
    return {
        "cell": cell,
        **json.loads((out / EVALUATION).read_text()),
        "val_top1": summary["val_top1"],
        "learning_rate": best,
        "pilots_val_top1": {f"{rate:g}": top1 for rate, top1 in pilots.items()},
        "epochs": summary["epochs"],
        "seconds": summary["seconds"],
        "trainable_params": counted.trainable_params,
        "params": counted.params,
        "gmacs": round(counted.gmacs, 4),
        "stored_bytes": Run(out).weights.stat().st_size,
    }


def bundles_of(cell: str, data: DataSet, work: Path) -> Iterator[dict[str, Any]]:
    """Export a trained cell as INT8 and evaluate the bundles on test beside torch."""
    out = work / f"{cell}-0"
    opened = Run.open(out)
    trained, model = opened.description, opened.load()
    samples = data.split("test")
    labels = labels_of(samples)
    images = prepared_images(data, samples, trained.preprocess)
    right = logits_of(model, images, trained.normalization, "torch").argmax(axis=1)
    for name in TARGETS:
        target = read_target(name).allowing(_GATE)
        before = _percent(right == labels)
        row: dict[str, Any] = {"cell": cell, "target": name, "torch_top1": before}
        with tempfile.TemporaryDirectory() as folder:
            try:
                bundle = export(
                    out, target, data, Path(folder) / "x.fgir", ExportOptions(precision="int8")
                )
            except GateError as error:
                yield {**row, "refused": str(error), "ok": False}
                continue
            with Classifier.open(bundle.path) as classifier:
                answers = np.concatenate([classifier.infer(image[None]) for image in images])
            scheme, size = bundle.report("quantization")["chosen"], bundle.model_size
        found = answers.argmax(axis=1)
        drop = before - _percent(found == labels)
        yield {
            **row,
            "int8_top1": _percent(found == labels),
            "drop": round(drop, 2),
            "drop_interval": [round(v, 2) for v in drop_interval(right == labels, found == labels)],
            "agreement": _percent(found == right),
            "scheme": scheme,
            "model_bytes": size,
            "ok": bool(drop <= MOST_DROP),
        }


def _percent(hits: np.ndarray) -> float:
    return round(100 * float(hits.mean()), 2)


def stream_of(cell: str, data: DataSet, work: Path) -> dict[str, Any]:
    """Measure how large a trained cell's residual stream is on val."""
    opened = Run.open(work / f"{cell}-0")
    trained, model = opened.description, opened.load()
    assert isinstance(model, AdaptedViT)
    images = prepared_images(data, data.split("val"), trained.preprocess)
    ranges = residual_ranges(model, images, trained.normalization)
    rows = [
        {"block": r.block, "prefix": round(r.prefix, 2), "patches": round(r.patches, 2)}
        for r in ranges
    ]
    return {"cell": cell, "blocks": rows}


class Step:
    """One optimiser step of a cell on random pictures, as the training loop takes it."""

    def __init__(self, network: Case, cell: str) -> None:
        torch.manual_seed(0)
        adapters = None if cell == FULL else Adapters.checked(variant=cell)
        self.model = (
            Network(name=network.name, adapters=adapters)
            .build(_CLASSES, network.size)
            .to(memory_format=torch.channels_last)
        )
        self.model.train()
        self.optimizer = make_optimizer(self.model, OptimizerSection(lr=1e-5))
        shape = (network.batch, 3, network.size, network.size)
        self._images = torch.randn(shape).contiguous(memory_format=torch.channels_last)
        self._labels = torch.arange(network.batch) % _CLASSES
        self._precision = resolve_precision("auto", CPU)

    def tensors(self) -> Iterator[Tensor]:
        """Yield weights, buffers and moments."""
        yield from self.model.state_dict().values()
        for moments in self.optimizer.state.values():
            yield from (value for value in moments.values() if isinstance(value, Tensor))

    def __call__(self) -> None:
        """Take it."""
        with autocast(CPU, self._precision):
            loss = cross_entropy(self.model(self._images).float(), self._labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()


def take_turns(calls: Mapping[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each call in each round; every other round runs backwards."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds):
        for name in list(calls)[:: -1 if number % 2 else 1]:
            calls[name]()  # pays for what the others left in the caches
            began = time.perf_counter()
            calls[name]()
            times[name].append(time.perf_counter() - began)
    return times


def memory_of(network: Case, cell: str) -> tuple[float, float]:
    """Return the MiB at their peaks that a cell's step holds in tensors, and the process grows by.

    Call it in a process of its own.
    """
    torch.set_num_threads(1)
    warm_up = nn.Linear(8, 8)
    warm_up(torch.zeros(1, 8)).sum().backward()
    before = _status("VmRSS")
    step = Step(network, cell)
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM from here on
    for _ in range(3):
        step()
    grown = _status("VmHWM") - before
    step.optimizer.zero_grad(set_to_none=True)
    held = sum(tensor.numel() * tensor.element_size() for tensor in step.tensors())
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        step()
        step()  # with the gradients of the one before, as always
    changes = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]
    changes.sort(key=lambda event: event.start_ns())
    peak = held + max(accumulate(event.nbytes() for event in changes))
    return peak / 2**20, grown


def _status(field: str) -> float:
    found = re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def steps_of(network: Case, rounds: int) -> Iterator[dict[str, Any]]:
    """Measure the step of every cell on one network."""
    steps = {cell: Step(network, cell) for cell in CELLS}
    trained = {cell: count_params(step.model, trainable=True) for cell, step in steps.items()}
    times = take_turns(dict(steps), rounds)
    del steps
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        memory = {cell: pool.apply(memory_of, (network, cell)) for cell in CELLS}
    for cell in CELLS:
        ratios = [full / own for full, own in zip(times[FULL], times[cell], strict=True)]
        row: dict[str, Any] = {
            "network": str(network),
            "cell": cell,
            "trainable_params": trained[cell],
            "step_ms": round(1e3 * median(times[cell]), 2),
            "times_faster": round(median(ratios), 3),
            "times_faster_spread": [round(min(ratios), 3), round(max(ratios), 3)],
            "tensor_mb": round(memory[cell][0], 1),
            "tensor_share": round(memory[cell][0] / memory[FULL][0], 3),
            "process_mb": round(memory[cell][1], 1),
            "process_share": round(memory[cell][1] / memory[FULL][1], 3),
        }
        if cell.startswith("ila"):
            row["ok"] = row["times_faster"] >= LEAST_SPEED_UP and row["tensor_share"] <= MOST_MEMORY
        yield row


def show(body: dict[str, Any]) -> None:
    """Print the tables."""
    for row in body["cells"]:
        print(
            f"{row['cell']:6} top-1 {row['top1']:6.2f} %  {row['trainable_params']:8,} trained of "
            f"{row['params']:,}  {row['stored_bytes'] / 1e3:7.0f} kB  lr {row['learning_rate']:g}  "
            f"{row['seconds']:.0f} s"
        )
    for row in body["int8"]:
        answer = row.get("refused") or (
            f"INT8 {row['int8_top1']:.2f} % ({row['scheme']}), drop {row['drop']:+.2f} "
            f"{row['drop_interval']}"
        )
        mark = "ok" if row["ok"] else "MISSED"
        print(
            f"{row['cell']:6} {row['target']:9} torch {row['torch_top1']:.2f} %, {answer}  {mark}"
        )
    for row in body["steps"]:
        mark = {True: "ok", False: "MISSED"}.get(row.get("ok"), "")
        print(
            f"{row['network']:38} {row['cell']:6} {row['step_ms']:9.1f} ms "
            f"{row['times_faster']:6.2f} x  tensors {row['tensor_mb']:7.1f} MB "
            f"{row['tensor_share']:5.2f}  process {row['process_mb']:7.1f} MB "
            f"{row['process_share']:5.2f}  {mark}",
            flush=True,
        )


def main() -> None:
    """Train, measure, print and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="folder with train and test")
    parser.add_argument("--classes", type=int, default=0, help="only the first N classes")
    parser.add_argument("--base", type=Path, help="run whose weights all cells start from")
    parser.add_argument("--work", type=Path, help="folder for the run folders")
    parser.add_argument("--recipe", default=RECIPE)
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS))
    parser.add_argument("--pilot", type=int, default=3, help="epochs for choosing the rate")
    parser.add_argument("--set", action="append", default=[], help="change to the recipe")
    parser.add_argument("--quick", action="store_true", help="see that it works; tells no speed")
    parser.add_argument("--out", type=Path, help=f"result file; a whole run: {RESULT}")
    options = parser.parse_args()
    if options.data and not (options.base and options.work):
        parser.error("--data needs --base and --work")
    out = options.out or (None if options.quick else RESULT)
    body: dict[str, Any] = {"cells": [], "int8": [], "stream": []}
    if out and out.exists():
        body |= json.loads(out.read_text())
    if options.data:
        data = first_classes(open_data(options.data), options.classes)
        base = Run.open(options.base).description
        counts: dict[str, int] = {s: len(samples) for s, samples in data.splits.items()}
        variants = [cell for cell in options.cells if cell not in (FULL, "none")]
        body |= {
            "data": {"name": data.name, "classes": len(data.classes), **counts},
            "base": f"{base.network.name} {base.preprocess.size} px, trained from scratch as "
            f"{base.name} on {base.data.name}: another kind of pictures",
            "cells": [trained_cell(cell, data, options.base, options) for cell in options.cells],
            "int8": [row for cell in variants for row in bundles_of(cell, data, options.work)],
            "stream": [stream_of(cell, data, options.work) for cell in variants],
        }
    networks, rounds = (QUICK, 1) if options.quick else (NETWORKS, _ROUNDS)
    body["steps"] = [row for network in networks for row in steps_of(network, rounds)]
    body["precision"] = resolve_precision("auto", CPU)
    show(body)
    if out:
        write_json(
            out,
            {
                **body,
                "schema": "edge-fgir/benchmark/1",
                "environment": environment().model_dump(mode="json"),
            },
        )


if __name__ == "__main__":
    main()
