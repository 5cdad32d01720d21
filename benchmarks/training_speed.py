"""How fast training is: cached against live teacher, what each measure gives, the loader, timm.

    .venv/bin/python benchmarks/training_speed.py --timm-train PATH/train.py

on a machine that does nothing else. Where there is an NVIDIA GPU, that is measured: the GPU's
recipe, and the groups cache and measures. `--timm-train` is the train.py of the repository
huggingface/pytorch-image-models (the wheel has none); without it that comparison is skipped.
`--rows` chooses groups of rows, `--quick` only shows that they work. The result file is written by
a whole run, or where `--out` says.

What is compared takes turns in this one run: an epoch of a few steps of one, then of the next,
every other round backwards. A turn drops its first steps (batches that the loader made during the
others' turns) and its last (it ends in a checkpoint). Each value is the median over the rounds of
the ratio of the turns' median step times, with the smallest and the largest ratio behind it. Steps
are the training loop's own: `Training.run_epoch` runs, and its batches tell the time.

Teachers have random weights: speed does not depend on them.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import mean, median
from subprocess import CalledProcessError
from typing import Any, NamedTuple

import torch
from timm_training import TimmTraining

from edge_fgir._files import write_json
from edge_fgir.benchmarking import environment
from edge_fgir.data import DataSet, open_data
from edge_fgir.data.loaders import _CACHE_BYTES, Pictures, Schedule, TrainImages, train_batches
from edge_fgir.models import Network
from edge_fgir.runs import Recipe, Run, TrainedModel
from edge_fgir.runtime import Preprocess
from edge_fgir.runtime.manifest import Normalization
from edge_fgir.training import read_recipe
from edge_fgir.training.checkpoint import save_weights
from edge_fgir.training.loop import Training
from edge_fgir.training.precision import resolve_precision

ROOT = Path(__file__).resolve().parents[1]
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
ON_GPU = DEVICE.type == "cuda"
RESULTS = ROOT / "benchmarks" / "results"
RESULT = RESULTS / ("training_speed-gpu.json" if ON_GPU else "training_speed.json")
RECIPE = "cub_100-lrnet14-gpu" if ON_GPU else "cub_100-lrnet14-cpu"
LITE0 = "tf_efficientnet_lite0"
PLAIN = ("method=ce", "teacher=null")
WAITED_MOST = 5.0
"""Percent of a step that data may be waited for."""


class Step(NamedTuple):
    """Seconds of one step, and how many of them its batch was waited for."""

    seconds: float
    waited: float


Turn = Callable[[], list[Step]]
Turns = list[list[Step]]
"""The steps of each round."""


@dataclass(frozen=True)
class Bench:
    """What every group of rows works with.

    Attributes:
        data: The whole data set.
        work: A temporary folder.
        rounds: Turns of each.
        settle: First steps of a turn that are dropped.
        quick: One step of two small pictures each.
        timm_train: timm's train.py.
    """

    data: DataSet
    work: Path
    rounds: int
    settle: int
    quick: bool
    timm_train: Path | None

    def epoch(self, steps: int) -> int:
        """Return the steps of a turn of which ``steps`` are measured."""
        return self.settle + (1 if self.quick else steps) + 1

    def recipe(self, *changes: str) -> Recipe:
        """Return the recipe with changes, for more epochs than any benchmark takes."""
        small = ("batch_size=2", "data.view_size=64", "eval.image_size=32") if self.quick else ()
        return read_recipe(RECIPE, ["epochs=1000", *changes, *small])

    def part(self, pictures: int) -> DataSet:
        """Keep so many training pictures, evenly spread over the classes."""
        train = self.data.split("train")
        chosen = [train[i * len(train) // pictures] for i in range(pictures)]
        return replace(
            self.data, splits={"train": chosen, "val": self.data.split("val")}, shard_sizes={}
        )

    def interleaved(self, turns: Mapping[str, Turn]) -> dict[str, Turns]:
        """Warm each up with one turn, then let them take turns."""
        for turn in turns.values():
            turn()
        found: dict[str, Turns] = {name: [] for name in turns}
        for number in range(self.rounds):
            print(f"  round {number + 1} of {self.rounds}", file=sys.stderr, flush=True)
            for name in list(turns)[:: -1 if number % 2 else 1]:
                found[name].append(turns[name]()[self.settle :])
        return found


class Clocked(Iterator[Pictures]):
    """Batches that note when each was asked for and when it came.

    The next is asked for when the GPU is done with the last.
    """

    def __init__(self, batches: Iterator[Pictures]) -> None:
        self._batches = batches
        self.asked: list[float] = []
        self.came: list[float] = []

    def __next__(self) -> Pictures:
        if ON_GPU:
            torch.cuda.synchronize()
        self.asked.append(time.perf_counter())
        batch = next(self._batches)
        self.came.append(time.perf_counter())
        return batch

    def steps(self) -> list[Step]:
        """Return the steps from one batch to the next; the last has no end."""
        ends = self.asked[1:]
        return [
            Step(end - asked, came - asked)
            for asked, came, end in zip(self.asked, self.came, ends, strict=False)
        ]


class TimedTraining:
    """A real training, advanced by the loop's own code, an epoch a turn.

    Args:
        bench: What all share.
        recipe: What is trained.
        steps: Measured steps a turn.
        name: Of the run folder.
        in_memory: Keep the resized pictures in memory, as far as the whole train split would be.
    """

    def __init__(
        self, bench: Bench, recipe: Recipe, steps: int, name: str, *, in_memory: bool = True
    ) -> None:
        data = bench.part(recipe.batch_size * bench.epoch(steps))
        out = bench.work / "runs" / name
        out.mkdir(parents=True)
        with redirect_stderr(io.StringIO()):
            self.training = Training(recipe, data, out)
        images = self.training.images
        if not (in_memory and _fits_memory(images, len(bench.data.split("train")))):
            images._cache = None
        self._batches = batches_of(images, self.training.schedule, recipe)
        self.starts: list[float] = []

    def turn(self) -> list[Step]:
        """Run the next epoch; ``starts`` takes the seconds before its first batch."""
        clocked, began = Clocked(self._batches), time.perf_counter()
        with redirect_stderr(io.StringIO()):
            self.training.run_epoch(clocked)
        self.starts.append(clocked.asked[0] - began)
        return clocked.steps()


def _fits_memory(images: TrainImages, pictures: int) -> bool:
    return 3 * images._resize**2 * pictures <= _CACHE_BYTES


def batches_of(images: TrainImages, schedule: Schedule, recipe: Recipe) -> Iterator[Pictures]:
    """Return a whole run's batches."""
    last = schedule.steps_per_epoch * recipe.epochs
    return train_batches(images, schedule, first=0, last=last, workers=recipe.data.workers)


def random_teacher(bench: Bench, architecture: str, size: int) -> Path:
    """Write the run folder of a CAL teacher with random weights, once."""
    run = bench.work / f"{architecture}-{size}"
    if not run.exists():
        torch.manual_seed(0)
        trained = TrainedModel(
            name=run.name,
            network=Network(name=architecture, attention_maps=32),
            num_classes=len(bench.data.classes),
            normalization=Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
            preprocess=Preprocess(size=size),
            data=bench.data.info,
        )
        Run(run).write(trained, bench.data.classes)
        save_weights(Run(run).last_weights, trained.build())
    return run


def seconds(turns: Turns) -> float:
    """Return the median seconds of a step."""
    return median(step.seconds for turn in turns for step in turn)


def waited_percent(turns: Turns) -> float:
    """Return the share of all steps' time that data was waited for."""
    steps = [step for turn in turns for step in turn]
    return 100 * sum(step.waited for step in steps) / sum(step.seconds for step in steps)


def ratios(slower: Turns, faster: Turns) -> list[float]:
    """Return the ratio of the median step times of each round."""
    return [seconds([a]) / seconds([b]) for a, b in zip(slower, faster, strict=True)]


def described(found: Mapping[str, Turns]) -> dict[str, Any]:
    """Return step times, waiting and number of steps of everything compared."""
    return {
        name: {
            "step_ms": round(1e3 * seconds(turns), 2),
            "waited_percent": round(waited_percent(turns), 2),
            "steps": sum(len(turn) for turn in turns),
        }
        for name, turns in found.items()
    }


def row(
    what: str, values: Sequence[float], unit: str, bound: str, ok: bool, **details: Any
) -> dict[str, Any]:
    """Return one line of the table; ``values`` are those of the rounds."""
    return {
        "what": what,
        "value": median(values),
        "unit": unit,
        "bound": bound,
        "ok": ok,
        "details": {"spread": [min(values), max(values)], **details},
    }


def skipped(what: str, bound: str, reason: str) -> dict[str, Any]:
    """Return a line that was not measured."""
    body = {"what": what, "value": None, "unit": "", "bound": bound, "ok": None}
    return {**body, "details": {"skipped": reason}}


@dataclass(frozen=True)
class Setting:
    """A teacher and a student.

    Attributes:
        what: For the table.
        teacher: timm name.
        view_size: The teacher's pictures, pixels.
        steps: Measured steps a turn.
        changes: To the recipe.
    """

    what: str
    teacher: str
    view_size: int
    steps: int
    changes: tuple[str, ...] = ()


PAPER = Setting(
    "paper: ResNet-101 448 px, LRN14 128 px, batch 8",
    "resnet101",
    448,
    3,
    (
        "eval.image_size=128",
        "batch_size=8",
        "data.resize_ratio=1.34",
        "data.trivial_augment=true",
    ),
)
CPU_SETTINGS = (
    Setting("CPU recipe: Lite0 160 px, LRN14 64 px, batch 16", LITE0, 160, 12),
    Setting("Lite0 224 px, LRN14 128 px, batch 16", LITE0, 224, 6, ("eval.image_size=128",)),
    PAPER,
)
GPU_SETTINGS = (
    Setting("GPU recipe: Lite0 224 px, LRN14 128 px, batch 64", LITE0, 224, 20),
    Setting(
        "Lite0 224 px, ViTFS-T 224 px, batch 64",
        LITE0,
        224,
        20,
        ("model.name=vitfs_tiny", "eval.image_size=224"),
    ),
    replace(PAPER, steps=30),
)
SETTINGS = GPU_SETTINGS if ON_GPU else CPU_SETTINGS


def cache_rows(bench: Bench) -> Iterator[dict[str, Any]]:
    """Compare the TGDA step with a warm cache with the step that runs the teacher twice."""
    for number, setting in enumerate(SETTINGS):
        teacher = random_teacher(bench, setting.teacher, setting.view_size)
        runs = {}
        for name, variants in (("live", 0), ("cached", 2)):
            recipe = bench.recipe(
                *setting.changes,
                f"data.view_size={setting.view_size}",
                f"teacher.run={teacher}",
                f"teacher.cache_variants={variants}",
                # Settings may share a teacher; each asks it itself.
                f"teacher.cache_folder={bench.work / 'answers' / str(number)}",
            )
            runs[name] = TimedTraining(bench, recipe, setting.steps, f"cache-{number}-{name}")
        # Both draws of the augmentation are asked about before anything is measured.
        runs["cached"].turn()
        found = bench.interleaved({name: run.turn for name, run in runs.items()})
        values = ratios(found["live"], found["cached"])
        training, starts = runs["cached"].training, runs["cached"].starts
        yield row(
            f"warm cache, times faster ({setting.what})",
            values,
            "x",
            ">= 3",
            median(values) >= 3,
            **described(found),
            precision=training.precision,
            teacher="random weights",
            pictures_in_memory=training.images._cache is not None,
            fill_ms_per_picture=round(1e3 * mean(starts[:2]) / len(training.images), 2),
            epoch_start_ms=round(1e3 * median(starts[2:]), 2),
        )


def _contiguous(run: TimedTraining) -> None:
    training = run.training
    # One operand in channels_last is enough for a convolution to answer in it.
    training.model.register_forward_pre_hook(lambda _, images: (images[0].contiguous(),))
    for model in (training.model, training.ema):
        if model is not None:
            model.to(memory_format=torch.contiguous_format)


def _unfused(run: TimedTraining, *, foreach: bool) -> None:
    optimizer = run.training.optimizer
    # The scaler of float16 leaves it to a fused optimiser to skip a step.
    optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]
    for group in optimizer.param_groups:
        group.update(fused=False, foreach=foreach)


@dataclass(frozen=True)
class Measure:
    """One departure from the recipe.

    Attributes:
        what: For the table.
        changes: To the recipe.
        alter: What no recipe can say.
    """

    what: str
    changes: tuple[str, ...] = ()
    alter: Callable[[TimedTraining], None] = lambda run: None


MEASURES = {
    "joint": Measure("joint_forward on", ("teacher.joint_forward=true",)),
    "fp32": Measure("float32", ("precision=fp32",)),
    "bf16": Measure("bfloat16", ("precision=bf16",)),
    "contiguous": Measure("channels_last off", alter=_contiguous),
    "foreach": Measure("AdamW foreach", alter=lambda run: _unfused(run, foreach=True)),
    "loop": Measure("AdamW tensor by tensor", alter=lambda run: _unfused(run, foreach=False)),
    "no-ema": Measure("no averaged weights", ("optimizer.ema_decay=0",)),
    "compile": Measure("torch.compile on", ("compile=true",)),
}


def measure_rows(bench: Bench) -> Iterator[dict[str, Any]]:
    """Depart from the recipe, cached teacher, in one thing at a time."""
    teacher = random_teacher(bench, LITE0, read_recipe(RECIPE).data.view_size)
    common = (f"teacher.run={teacher}", "teacher.cache_variants=2")
    runs = {"recipe": TimedTraining(bench, bench.recipe(*common), 12, "measure-recipe")}
    usual = runs["recipe"].training.precision
    failed: dict[str, str] = {}
    first: dict[str, list[Step]] = {}
    for name, measure in MEASURES.items():
        if name == usual:
            continue
        run = TimedTraining(bench, bench.recipe(*common, *measure.changes), 12, f"measure-{name}")
        measure.alter(run)
        try:
            first[name] = run.turn()
        except (RuntimeError, CalledProcessError) as error:  # of Dynamo, Inductor or Triton
            failed[name] = str(error).strip().splitlines()[0]
            continue
        runs[name] = run
    found = bench.interleaved({name: run.turn for name, run in runs.items()})
    times = described(found)
    for name, measure in MEASURES.items():
        what = f"{measure.what}: step time / {DEVICE.type.upper()} recipe's ({usual})"
        if name in failed:
            yield skipped(what, "reported", failed[name])
        elif name in found:
            values = ratios(found[name], found["recipe"])
            both = {"recipe": times["recipe"], name: times[name]}
            # What the first epoch took longer: compiling, where something is compiled.
            extra = sum(step.seconds - seconds(found[name]) for step in first[name])
            yield row(what, values, "x", "reported", True, **both, start_up_seconds=round(extra, 1))


@dataclass(frozen=True)
class Loading:
    """How pictures reach LRNet-14 at 128 px."""

    view_size: int
    trivial_augment: bool

    def __str__(self) -> str:
        return f"{self.view_size} px views{', TrivialAugment' if self.trivial_augment else ''}"

    def changes(self) -> tuple[str, ...]:
        """Return the changes to the CPU recipe."""
        return (
            "eval.image_size=128",
            "data.workers=1",
            f"data.view_size={self.view_size}",
            f"data.trivial_augment={str(self.trivial_augment).lower()}",
        )


LOADINGS = (Loading(128, False), Loading(128, True), Loading(160, False), Loading(160, True))


def loading_rows(bench: Bench) -> Iterator[dict[str, Any]]:
    """Tell how long LRNet-14 at 128 px waits for one worker, and what that worker can do alone."""
    steps = 8
    turns: dict[str, Turn] = {}
    for loading in LOADINGS:
        plain = bench.recipe(*PLAIN, *loading.changes())
        ce = TimedTraining(bench, plain, steps, f"loading-ce-{loading}")
        turns[f"CE, {loading}"] = ce.turn
        turns[f"alone, {loading}"] = _loader_alone(ce.training.images, ce.training.schedule, plain)
        teacher = random_teacher(bench, LITE0, loading.view_size)
        cached = (f"teacher.run={teacher}", "teacher.cache_variants=2")
        tgda = TimedTraining(
            bench, bench.recipe(*loading.changes(), *cached), steps, f"tgda-{loading}"
        )
        tgda.turn()
        turns[f"cached TGDA, {loading}"] = tgda.turn
    found = bench.interleaved(turns)
    times, batch = described(found), plain.batch_size
    for name, rounds in found.items():
        if name.startswith("alone"):
            continue
        values = [waited_percent([turn]) for turn in rounds]
        ok = median(values) < WAITED_MOST
        what = f"waited for data, LRN14 128 px, 1 worker ({name})"
        yield row(what, values, "%", f"< {WAITED_MOST:g}", ok, **{name: times[name]})
    for loading in LOADINGS:
        alone, ce_name = f"alone, {loading}", f"CE, {loading}"
        rates = [batch / mean(step.seconds for step in turn) for turn in found[alone]]
        needed = batch / seconds(found[ce_name])
        yield row(
            f"loader alone, 1 worker ({loading})",
            rates,
            "img/s",
            f"> {needed:.0f}",
            median(rates) > needed,
            ce_images_per_second=round(needed, 1),
        )


def _loader_alone(images: TrainImages, schedule: Schedule, recipe: Recipe) -> Turn:
    batches = batches_of(images, schedule, recipe)

    def turn() -> list[Step]:
        clocked = Clocked(batches)
        for _ in range(schedule.steps_per_epoch):
            next(clocked)
        return clocked.steps()

    return turn


TIMM_MODEL = "resnet18"
TIMM_SIZE = 128
TIMM_STEPS = 12
TIMM_DIFFERS = (
    "timm decodes every picture in every epoch (ours-decoding does too), ours keeps resized ones "
    "in memory; timm cuts 76 % of the picture and resizes it, ours resizes and cuts 76 %; both "
    "flip, neither jitters; timm's AdamW is its default, ours is fused; both clip gradients"
)


def timm_rows(bench: Bench) -> Iterator[dict[str, Any]]:
    """Compare plain cross-entropy training with timm's own script."""
    precisions = sorted({"fp32", resolve_precision("auto", torch.device("cpu"))})
    for precision in precisions:
        what = f"images/s over timm's train.py ({TIMM_MODEL} {TIMM_SIZE} px, {precision})"
        if bench.timm_train is None:
            yield skipped(what, ">= 1", "no --timm-train")
            continue
        recipe = bench.recipe(
            *PLAIN,
            "batch_size=32",
            f"precision={precision}",
            f"model.name={TIMM_MODEL}",
            f"data.view_size={TIMM_SIZE}",
            f"eval.image_size={TIMM_SIZE}",
            "optimizer.ema_decay=0",
        )
        ours = TimedTraining(bench, recipe, TIMM_STEPS, f"timm-{precision}")
        decoding = TimedTraining(
            bench, recipe, TIMM_STEPS, f"timm-{precision}-decoding", in_memory=False
        )
        theirs = TimmTraining(bench.timm_train, ours.training.data, recipe, bench.work / precision)
        found = bench.interleaved(
            {
                "ours": ours.turn,
                "ours-decoding": decoding.turn,
                "timm": partial(_steps, theirs),
            }
        )
        values = ratios(found["timm"], found["ours"])
        rates = {name: recipe.batch_size / seconds(turns) for name, turns in found.items()}
        yield row(
            what,
            values,
            "x",
            ">= 1",
            median(values) >= 1,
            **described(found),
            images_per_second={name: round(rate, 1) for name, rate in rates.items()},
            decoding_ratio=median(ratios(found["timm"], found["ours-decoding"])),
            differs=TIMM_DIFFERS,
        )


def _steps(training: TimmTraining) -> list[Step]:
    return [Step(*step) for step in training.turn()]


GROUPS: dict[str, Callable[[Bench], Iterator[dict[str, Any]]]] = {
    "cache": cache_rows,
    "measures": measure_rows,
}
if not ON_GPU:
    GROUPS |= {"loading": loading_rows, "timm": timm_rows}


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default=str(ROOT.parent / "shared" / "data" / "cub_100"))
    parser.add_argument("--rows", nargs="+", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--timm-train", type=Path, help="timm's train.py")
    parser.add_argument("--quick", action="store_true", help="see that it works; tells no speed")
    parser.add_argument("--out", type=Path, help=f"result file; a whole run: {RESULT}")
    arguments = parser.parse_args()
    if arguments.timm_train and not arguments.timm_train.is_file():
        parser.error(f"{arguments.timm_train} does not exist")

    rows = []
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(
            data=open_data(arguments.data),
            work=Path(work),
            rounds=1 if arguments.quick else arguments.rounds,
            settle=0 if arguments.quick else 2 * read_recipe(RECIPE).data.workers + 1,
            quick=arguments.quick,
            timm_train=arguments.timm_train and arguments.timm_train.resolve(),
        )
        for group in arguments.rows:
            print(f"{group} ...", file=sys.stderr, flush=True)
            for found in GROUPS[group](bench):
                show(found)
                rows.append(found)
    whole = not arguments.quick and set(arguments.rows) == set(GROUPS)
    out = arguments.out or (RESULT if whole else None)
    if out:
        surroundings = {
            **environment().model_dump(mode="json"),
            "torch_threads": torch.get_num_threads(),
        }
        if ON_GPU:
            surroundings["gpu"] = torch.cuda.get_device_name()
        body = {"schema": "edge-fgir/benchmark/1", "rounds": bench.rounds, "rows": rows}
        write_json(out, {**body, "environment": surroundings})


def show(found: dict[str, Any]) -> None:
    """Print one line of the table."""
    if found["value"] is None:
        print(f"{found['what']:82} skipped: {found['details']['skipped']}", flush=True)
        return
    low, high = found["details"]["spread"]
    mark = "ok" if found["ok"] else "MISSED"
    measured = f"{found['value']:8.4g} {found['unit']:5} ({low:.4g} to {high:.4g})"
    print(f"{found['what']:82} {measured:34} {found['bound']:>8} {mark}", flush=True)


if __name__ == "__main__":
    main()
