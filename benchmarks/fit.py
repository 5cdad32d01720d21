"""``fit`` against what its user would do instead, within the same latency, on whole test splits.

    .venv/bin/python benchmarks/fit.py --shared ../shared/data --work runs/fit
    .venv/bin/python benchmarks/fit.py --shared ../shared/data --work runs/fit --only elpv:3
    .venv/bin/python benchmarks/fit.py --table

Each row is a data set and a budget in milliseconds from frame to decision (OpenVINO, this CPU). Its
parts are found again when the script is started again: the fit (`--minutes`, 60 by default) by its
work folder, every baseline by its run folder. Baselines, at the largest input size that the budget
allows by the fit's own measurements:

- ``plain``: EfficientNet-Lite0 from ImageNet weights, fine-tuned in the usual way (AdamW, all
  layers, BatchNorm of batches), and NNCF's INT8 as it comes;
- ``head``: a head on frozen features of EfficientNet-Lite0, in torch's float32, which favours it;
- ``lrnet14``: LRNet-14 by the data set's own recipes, teacher and all, in torch's float32.

Differences are of the same pictures; their intervals are bootstrapped over them. All is run on a
machine that does nothing else: a row takes the fit's minutes, ten for `plain` and `head`, and one
to two hours for `lrnet14`. `--baselines` names those to run; a row lists those that were left out.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import edge_fgir
from edge_fgir._files import write_json
from edge_fgir.benchmarking import environment
from edge_fgir.data import DataSet, open_data, prepared_images, typical_images
from edge_fgir.evaluation import BundlePredictor, answers
from edge_fgir.exporting import read_target, to_onnx
from edge_fgir.models import folded
from edge_fgir.results import Budget, Fit, read_result
from edge_fgir.runs import Run
from edge_fgir.runtime import Classifier
from edge_fgir.training import read_recipe, train

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "fit.json"
SETS = ("cub_100-30", "cub_100", "grocery_store", "elpv")
BUDGETS = (1.5, 3.0, 6.0)
LITE0 = "tf_efficientnet_lite0"
EPOCHS = 12
"""Of the usual fine-tuning."""
MOST_BEHIND, LEAST_AHEAD = 0.5, 2.0
"""Points that a row may be behind its best baseline, and that all rows are ahead on average."""
_RESAMPLES = 2000

Answered = npt.NDArray[np.integer]


def data_of(name: str, shared: Path) -> DataSet:
    """Return a data set; ``-30`` are its first 30 classes."""
    if name == "elpv":
        return open_data(name)
    folder, _, count = name.partition("-")
    data = open_data(str(shared / folder))
    if not count:
        return data
    classes = int(count)
    splits = {
        split: tuple(sample for sample in samples if sample.label < classes)
        for split, samples in data.splits.items()
    }
    return replace(data, name=name, classes=data.classes[:classes], splits=splits)


def fitted(data: DataSet, ms: float, minutes: float, out: Path) -> Fit:
    """Return what ``fit`` finds, or found in an earlier call."""
    result = out.with_suffix(".fit.json")
    if result.exists():
        return read_result(result, Fit)
    return edge_fgir.fit(
        data,
        out,
        budget=Budget(latency_ms=ms),
        target="openvino",
        minutes=minutes,
        resume=True,
        tell=print,
    )


def size_of(fit: Fit, architecture: str) -> int | None:
    """Return the largest input side of an architecture within the fit's budget."""
    fitting = [each for each in fit.candidates if each.architecture == architecture and each.fits]
    return fitting[0].setting.image_size if fitting else None


def plain(data: DataSet, size: int, folder: Path) -> Answered:
    """Fine-tune EfficientNet-Lite0 in the usual way, and quantize it as NNCF does by itself."""
    return in_plain_int8(plain_run(data, size, folder / f"plain-{size}", EPOCHS), data)


def plain_run(data: DataSet, size: int, out: Path, epochs: int) -> Run:
    """Fine-tune EfficientNet-Lite0 in the usual way."""
    recipe = read_recipe(
        "student-pretrained",
        [
            "name=plain",
            "method=ce",
            "teacher=null",
            "length=null",
            f"epochs={epochs}",
            f"eval.every_epochs={epochs}",
            "frozen_norms=false",
            "interpolation=false",
            f"data.view_size={size}",
            f"eval.image_size={size}",
            "data.mean=[0.5, 0.5, 0.5]",
            "data.std=[0.5, 0.5, 0.5]",
            "optimizer.warmup_steps=50",
        ],
    )
    train(recipe, data, out, resume=True)
    return Run.open(out)


def in_plain_int8(run: Run, data: DataSet) -> Answered:
    """Return what a run answers to the test split when NNCF quantizes it with its defaults."""
    import nncf
    import openvino as ov

    described, target = run.description, read_target("openvino")
    graph = to_onnx(
        folded(run.load(), crop_form=target.crop),
        described.normalization,
        described.preprocess.size,
        target.opset,
    )
    path = run.path / "float.onnx"
    path.write_bytes(graph.SerializeToString())
    images = typical_images(data, described.preprocess, 300)
    calibration = nncf.Dataset([image[None] for image in images])
    network = nncf.quantize(ov.Core().read_model(path), calibration, subset_size=300)
    compiled = ov.Core().compile_model(network, "CPU")
    tests = prepared_images(data, data.split("test"), described.preprocess)
    said = [int(compiled(image[None])[0].argmax()) for image in tests]
    return np.array(said)


def head(data: DataSet, size: int, folder: Path) -> Answered:
    """Train a head on frozen features."""
    recipe = read_recipe("probe", [f"data.view_size={size}", f"eval.image_size={size}"])
    train(recipe, data, folder / f"head-{size}", resume=True)
    return of_run(Run.open(folder / f"head-{size}"), data)


def lrnet14(data: DataSet, size: int, folder: Path) -> Answered:
    """Train LRNet-14 by the data set's own recipes."""
    own = data.name.partition("-")[0]
    teacher = folder / "teacher"
    train(read_recipe(f"{own}-teacher"), data, teacher, resume=True)
    changes = [f"teacher.run={teacher}", f"eval.image_size={size}"]
    run = folder / f"lrnet14-{size}"
    train(read_recipe(f"{own}-lrnet14-cpu", changes), data, run, resume=True)
    return of_run(Run.open(run), data)


def of_run(run: Run, data: DataSet) -> Answered:
    """Return what a run answers to the test split."""
    said: Answered = answers(run.predictor(data), data, "test").probabilities.argmax(axis=1)
    return said


BASELINES: dict[str, tuple[str, Callable[[DataSet, int, Path], Answered]]] = {
    "plain": (LITE0, plain),
    "head": (LITE0, head),
    "lrnet14": ("lrnet14d", lrnet14),
}


def accuracy(said: Answered, labels: Answered, *, macro: bool) -> float:
    """Return top-1 or the mean over the classes, percent."""
    right = said == labels
    if not macro:
        return float(100 * right.mean())
    return float(100 * np.mean([right[labels == each].mean() for each in np.unique(labels)]))


def lead(first: Answered, second: Answered, labels: Answered, *, macro: bool) -> dict[str, Any]:
    """Return by how many points the first is ahead, with a bootstrapped 95 % interval."""
    random = np.random.default_rng(0)
    drawn = random.integers(0, len(labels), (_RESAMPLES, len(labels)))
    differences = [
        accuracy(first[each], labels[each], macro=macro)
        - accuracy(second[each], labels[each], macro=macro)
        for each in drawn
    ]
    ahead = accuracy(first, labels, macro=macro) - accuracy(second, labels, macro=macro)
    low, high = np.percentile(differences, [2.5, 97.5])
    return {"ahead": round(ahead, 2), "interval": [round(float(low), 2), round(float(high), 2)]}


def row_of(
    name: str, ms: float, work: Path, shared: Path, minutes: float, baselines: Sequence[str]
) -> dict[str, Any]:
    """Return one row; its trainings are done where they have not been."""
    data, macro = data_of(name, shared), name == "elpv"
    fit = fitted(data, ms, minutes, work / name / f"{ms:g}.fgir")
    with Classifier.open(fit.bundle) as model:
        given = answers(BundlePredictor(model), data, "test")
    said, labels = given.probabilities.argmax(axis=1), given.labels
    rows = {}
    for baseline in baselines:
        architecture, make = BASELINES[baseline]
        size = size_of(fit, architecture)
        if size is None:
            continue  # it does not fit at any size
        theirs = make(data, size, work / name)
        rows[baseline] = {
            "image_size": size,
            "accuracy": round(accuracy(theirs, labels, macro=macro), 2),
            **lead(said, theirs, labels, macro=macro),
        }
    least = min((row["ahead"] for row in rows.values()), default=None)
    measured = fit.chosen.measured.p50_ms
    return {
        "data": name,
        "latency_ms": ms,
        "judged_by": "macro" if macro else "top1",
        "images": len(labels),
        "fit": {
            "name": fit.chosen.name,
            "precision": fit.chosen.precision,
            "accuracy": round(accuracy(said, labels, macro=macro), 2),
            "p50_ms": round(measured, 3),
            "minutes": round(fit.seconds / 60, 1),
        },
        "baselines": rows,
        "left_out": [baseline for baseline in BASELINES if baseline not in rows],
        "ahead_of_the_best": least,
        "ok": measured <= ms and (least is None or least >= -MOST_BEHIND),
        "environment": environment().model_dump(mode="json"),
    }


def rows_to_run(only: Sequence[str]) -> Iterator[tuple[str, float]]:
    """Yield data sets and budgets; ``only`` are texts such as ``elpv`` or ``elpv:3``."""
    for name, ms in product(SETS, BUDGETS):
        if not only or any(each in (name, f"{name}:{ms:g}") for each in only):
            yield name, ms


def known_rows() -> dict[str, Any]:
    """Return the rows of earlier calls by ``data:ms``."""
    return json.loads(RESULT.read_text())["rows"] if RESULT.exists() else {}


def write_rows(rows: dict[str, Any]) -> None:
    """Write the result, with the verdict over all rows that there are."""
    leads = [
        row["ahead_of_the_best"] for row in rows.values() if row["ahead_of_the_best"] is not None
    ]
    mean = float(np.mean(leads)) if leads else None
    write_json(
        RESULT,
        {
            "benchmark": "fit",
            "mean_ahead": None if mean is None else round(mean, 2),
            "ok": mean is not None
            and mean >= LEAST_AHEAD
            and all(row["ok"] for row in rows.values()),
            "rows": rows,
            "environment": environment().model_dump(mode="json"),
        },
    )


def print_table(rows: dict[str, Any]) -> None:
    """Print a line for each row."""
    print(f"{'data':16}{'budget':>8}{'p50':>8}{'fit':>8}  baselines (accuracy, lead, 95 %)")
    for row in rows.values():
        beside = ", ".join(
            f"{name} {each['accuracy']:.1f} ({each['ahead']:+.1f}; {each['interval'][0]:+.1f} to "
            f"{each['interval'][1]:+.1f})"
            for name, each in row["baselines"].items()
        )
        found = row["fit"]
        print(
            f"{row['data']:16}{row['latency_ms']:8g}{found['p50_ms']:8.2f}"
            f"{found['accuracy']:8.2f}  {beside}  {'ok' if row['ok'] else 'NOT OK'}"
        )


def main() -> None:
    """Run the rows that are asked for, and print all that are known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--work", type=Path, default=Path("runs/fit"))
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--only", nargs="*", default=[], metavar="DATA[:MS]")
    parser.add_argument("--baselines", nargs="+", choices=BASELINES, default=list(BASELINES))
    parser.add_argument("--table", action="store_true", help="print what is known; run nothing")
    arguments = parser.parse_args()
    rows = known_rows()
    if not arguments.table:
        for name, ms in rows_to_run(arguments.only):
            row = row_of(
                name,
                ms,
                arguments.work,
                arguments.shared,
                arguments.minutes,
                arguments.baselines,
            )
            rows = {**known_rows(), f"{name}:{ms:g}": row}
            write_rows(rows)
    print_table(rows)


if __name__ == "__main__":
    main()
