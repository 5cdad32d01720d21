"""How often the rule of evidence errs, over many small validation splits whose truth is known.

    .venv/bin/python benchmarks/decisions.py train --data ../shared/data --work runs/decisions
    .venv/bin/python benchmarks/decisions.py collect --data ../shared/data --work runs/decisions
    .venv/bin/python benchmarks/decisions.py judge --work runs/decisions --out decisions.json

`train` fits the networks of `SUBJECTS` by the recipes in `benchmarks/decisions/` and goes on where
it was stopped. `collect` asks each network, its INT8 schemes and forms that are spoiled on purpose
about the same test pictures, one view of each, and the calibration pictures, and keeps the logits.
`judge`, from the logits alone and within minutes, draws validation splits from the test pictures:
a form that is within the bound on all of them shall not be refused, one that is a point or more
beyond it shall not ship, and the same scheme shall be chosen. Beside it stands the rule of before:
a counted drop beyond the bound, or less than 95 % agreement.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edge_fgir._files import write_json
from edge_fgir.benchmarking import Protocol, WarmUp, environment, measure
from edge_fgir.data import draw_by_class, labels_of, open_data, prepared_images
from edge_fgir.evaluation import Views, compare_models, top_k
from edge_fgir.exporting import read_target
from edge_fgir.exporting.builders import Backend, make_backend
from edge_fgir.exporting.calibration import CalibrationSet
from edge_fgir.exporting.gates import ParityGates
from edge_fgir.exporting.graph import INPUT, is_transformer, session_of, to_onnx
from edge_fgir.exporting.search import Search, Trial
from edge_fgir.exporting.target import QdqScheme, Quantization, Scheme
from edge_fgir.exporting.views import view_of
from edge_fgir.models import folded
from edge_fgir.models.reduction import Reduction
from edge_fgir.runs import Run
from edge_fgir.runtime import Pixels
from edge_fgir.training import read_recipe, train

HERE = Path(__file__).resolve().parent
PICTURES, CALIBRATION = 2000, 300
SPLITS = (100, 200, 400, 1000)
BOUND, BEYOND = 0.2, 1.0
"""Points: what `openvino` allows, and how much more a form must lose that shall not ship."""
LEAST_AGREEMENT = 95.0
BITS, CLIPPED = (7, 5, 4), (0.6, 0.4)
TORCH, PROTOCOL = "torch", Protocol(runs=60, seconds=1.0, warm_up=WarmUp(most_s=5.0))
Weights = np.ndarray


@dataclass(frozen=True)
class Subject:
    """A network that is spoiled.

    Attributes:
        title: For people.
        recipe: In `benchmarks/decisions/`.
        data: Folder in the data folder.
        noises: Of its weights, as shares of each output channel's deviation.
        keep_rate: Of EViT, with the same weights; None: all tokens.
    """

    title: str
    recipe: str
    data: str
    noises: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3)
    keep_rate: float | None = None


SUBJECTS = {
    "lite0": Subject(
        "EfficientNet-Lite0 128 px, 100 birds", "lite0", "cub_100", (0.03, 0.06, 0.1, 0.15)
    ),
    "lrn14": Subject("LRN14 96 px, 100 birds", "lrn14", "cub_100"),
    "vitfs": Subject("ViTFS-N 96 px, 81 groceries", "vitfs", "grocery_store"),
    "vitfs_evit": Subject(
        "ViTFS-N 96 px, EViT 0.7, 81 groceries", "vitfs", "grocery_store", keep_rate=0.7
    ),
}


def main() -> None:
    """Do one of the three steps."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=["train", "collect", "judge"])
    parser.add_argument("--data", type=Path, help="folder of the data folders")
    parser.add_argument("--work", type=Path, required=True, help="folder for runs and logits")
    parser.add_argument("--subjects", nargs="+", choices=SUBJECTS, default=list(SUBJECTS))
    parser.add_argument("--resamplings", type=int, default=200)
    parser.add_argument("--out", type=Path, help="result file")
    options = parser.parse_args()
    rows = []
    for name in options.subjects:
        subject, logits = SUBJECTS[name], options.work / "logits" / f"{name}.npz"
        run = options.work / "runs" / subject.recipe
        if options.step == "train":
            data = open_data(str(options.data / subject.data))
            train(
                read_recipe(str(HERE / "decisions" / f"{subject.recipe}.yaml")),
                data,
                run,
                resume=True,
            )
        elif options.step == "collect":
            collect(subject, run, options.data, logits)
        elif logits.exists():
            rows.append(judged(subject, Logits(dict(np.load(logits))), options.resamplings))
            show(rows[-1])
    if options.step == "judge" and options.out:
        write_json(options.out, {"networks": rows, "environment": _environment()})


def _environment() -> dict[str, Any]:
    body: dict[str, Any] = environment().model_dump(mode="json")
    return body


# -- collect


def collect(subject: Subject, path: Path, data_folder: Path, out: Path) -> None:
    """Ask a network and all its forms; what is known stays."""
    data, run, target = open_data(str(data_folder / subject.data)), Run.open(path), "openvino"
    described = run.description
    if subject.keep_rate is not None:
        reduced = described.network.model_copy(
            update={"reduction": Reduction(keep_rate=subject.keep_rate)}
        )
        described = described.model_copy(update={"network": reduced})
    form = folded(described.build(weights=str(run.weights)).eval(), crop_form="matmul")
    opset = read_target(target).opset
    graph = to_onnx(form, described.normalization, described.preprocess.size, opset)
    test = data.split("test")
    chosen = np.sort(np.random.default_rng(0).permutation(len(test))[:PICTURES])
    drawn = draw_by_class(data.split("train"), CALIBRATION)

    def sets(**changes: object) -> dict[str, Pixels]:
        preprocess = described.preprocess.model_copy(update=changes)
        images = prepared_images(data, test, preprocess)
        return {
            "calibration": prepared_images(data, drawn, preprocess),
            "test": images[chosen],
            "views": view_of(images, 0)[chosen],
        }

    plain = make_backend(graph, read_target(target), "fp32")
    usual = sets()
    known: dict[str, Any] = (
        dict(np.load(out)) if out.exists() else {"labels": labels_of(test)[chosen]}
    )

    def ask(name: str, backend: Backend, asked: dict[str, Pixels], correct: int = 0) -> None:
        answers = {key: backend.run(images) for key, images in asked.items()}
        left = (
            known[f"{TORCH}/calibration"] - answers["calibration"] if correct else np.zeros((1, 1))
        )
        known.update(
            {f"{name}/{key}": value + left[:correct].mean(0) for key, value in answers.items()}
            if correct
            else {f"{name}/{key}": value for key, value in answers.items()}
        )
        kind = hashlib.sha256(repr(backend.operations()).encode()).hexdigest()
        known[f"{name}/operations"] = np.array(kind)
        out.parent.mkdir(parents=True, exist_ok=True)
        np.savez(out, **known)
        print(name, flush=True)

    ask(TORCH, plain, usual)
    calls = {TORCH: plain.call(usual["test"][:1])}
    for name, make, correct in _quantized(graph, usual["calibration"]):
        backend = make()
        ask(name, backend, usual, correct)
        calls[name] = backend.call(usual["test"][:1])
    for name, spoiled in _spoiled(graph, subject, usual["calibration"][:32]):
        ask(name, make_backend(spoiled, read_target(target), "fp32"), usual)
    ask("wrong resize: bilinear, no antialiasing", plain, sets(kernel="bilinear", antialias=False))
    ask("wrong resize: no centre crop", plain, sets(crop_fraction=1.0))
    swapped = {key: np.ascontiguousarray(images[..., ::-1]) for key, images in usual.items()}
    ask("red and blue swapped", plain, swapped)
    times = measure({name: call for name, call in calls.items() if call is not None}, PROTOCOL)
    known.update({f"{name}/ms": np.array(time.p50_ms) for name, time in times.items()})
    np.savez(out, **known)


def _quantized(
    graph: onnx.ModelProto, images: Pixels
) -> Iterator[tuple[str, Callable[[], Backend], int]]:
    """Yield the schemes of `openvino`, the first of them with one picture too, and one of `arm`."""
    for name in ("openvino", "arm"):
        target = read_target(name)
        plain = make_backend(graph, target, "fp32")
        quantization = target.quantization
        schemes = quantization.transformer if is_transformer(graph) else quantization.cnn
        most = len(schemes) if name == "openvino" else 1
        for title, scheme in list(schemes.items())[:most]:
            yield f"{name}: {title}", partial(plain.quantized, scheme, images), len(images)
        if name == "openvino":
            first = next(iter(schemes.values()))
            yield "1 calibration picture", partial(plain.quantized, first, images[:1]), 1


def _spoiled(
    graph: onnx.ModelProto, subject: Subject, images: Pixels
) -> Iterator[tuple[str, onnx.ModelProto]]:
    for noise in subject.noises:
        yield f"weight noise {noise}", _with_weights(graph, _noisy(noise))
    for bits in BITS:
        yield f"{bits}-bit weights", _with_weights(graph, _rounded(bits))
    for share in CLIPPED:
        yield f"sums clipped at {share}", _clipped(graph, images, share)
    yield "a lost layer", _without_layer(graph)


def _with_weights(graph: onnx.ModelProto, change: Callable[[Weights], Weights]) -> onnx.ModelProto:
    form = copy.deepcopy(graph)
    for tensor in form.graph.initializer:
        weights = numpy_helper.to_array(tensor)
        if weights.dtype == np.float32 and weights.ndim >= 2 and weights.size >= 256:
            changed = change(weights).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))
    return form


def _noisy(level: float) -> Callable[[Weights], Weights]:
    rng = np.random.default_rng(1)

    def noisy(weights: Weights) -> Weights:
        deviation = weights.std(axis=tuple(range(1, weights.ndim)), keepdims=True)
        changed: Weights = weights + rng.normal(size=weights.shape) * level * deviation
        return changed

    return noisy


def _rounded(bits: int) -> Callable[[Weights], Weights]:
    def rounded(weights: Weights) -> Weights:
        most = np.abs(weights).max(axis=tuple(range(1, weights.ndim)), keepdims=True)
        step = most / (2 ** (bits - 1) - 1) + 1e-12
        changed: Weights = np.round(weights / step) * step
        return changed

    return rounded


def _clipped(graph: onnx.ModelProto, images: Pixels, share: float) -> onnx.ModelProto:
    """Clip what convolutions and products sum up, but for the last, at a share of its largest."""
    form, probe = copy.deepcopy(graph), copy.deepcopy(graph)
    summing = ("Conv", "Gemm", "MatMul")
    names = [node.output[0] for node in graph.graph.node if node.op_type in summing][:-1]
    probe.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    session = session_of(probe)
    most = np.zeros(len(names))
    for image in images:
        sums = session.run(names, {INPUT: image[None]})
        most = np.maximum(most, [np.abs(each).max() for each in sums])
    nodes = list(form.graph.node)
    del form.graph.node[:]
    for node in nodes:
        form.graph.node.append(node)
        if node.output[0] not in names:
            continue
        name = node.output[0]
        limit = np.float32(share * most[names.index(name)])
        form.graph.node[-1].output[0] = f"{name}_sum"
        ends = [f"{name}_least", f"{name}_most"]
        for end, value in zip(ends, (-limit, limit), strict=True):
            form.graph.initializer.append(numpy_helper.from_array(np.array(value), end))
        form.graph.node.append(helper.make_node("Clip", [f"{name}_sum", *ends], [name]))
    return form


def _without_layer(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Leave the branch of the middle residual sum out."""
    form = copy.deepcopy(graph)
    order = {name: place for place, node in enumerate(form.graph.node) for name in node.output}
    sums = [
        node
        for node in form.graph.node
        if node.op_type == "Add" and all(name in order for name in node.input)
    ]
    lost = sums[len(sums) // 2]
    kept = min(lost.input, key=lambda name: order[name])
    for node in form.graph.node:
        for place, name in enumerate(node.input):
            if name == lost.output[0]:
                node.input[place] = kept
    return form


# -- judge


@dataclass(frozen=True)
class Logits:
    """What was collected of a network."""

    known: dict[str, Any]

    @property
    def forms(self) -> list[str]:
        """All but torch."""
        names = [key.rsplit("/", 1)[0] for key in self.known if key.endswith("/views")]
        return [name for name in names if name != TORCH]

    @property
    def schemes(self) -> list[str]:
        """Those of the target itself."""
        return [name for name in self.forms if name.startswith("openvino:")]

    def of(self, form: str, pictures: str) -> np.ndarray:
        """Return logits (N, K)."""
        array: np.ndarray = self.known[f"{form}/{pictures}"]
        return array

    @property
    def labels(self) -> np.ndarray:
        """(N,)."""
        array: np.ndarray = self.known["labels"]
        return array

    def all_of(self, form: str) -> np.ndarray:
        """Return those of test pictures, views and calibration pictures, one after another."""
        return np.concatenate([self.of(form, each) for each in ("test", "views", "calibration")])


@dataclass(frozen=True)
class Recorded:
    """A backend that knows its answers: the pixels are the number of the picture."""

    logits: np.ndarray
    kind: Hashable
    schemes: dict[str, np.ndarray]
    kinds: dict[str, Hashable]
    model_file: str = ""

    def quantized(self, scheme: Any, images: Pixels, float_layers: Sequence[str] = ()) -> Recorded:
        """Return a scheme's."""
        name = scheme.ops[0]
        return Recorded(self.schemes[name], self.kinds[name], {}, {})

    def run(self, images: Pixels) -> np.ndarray:
        """Look them up."""
        answers: np.ndarray = self.logits[numbers(images)]
        return answers

    def operations(self) -> Hashable:
        """Return what was collected."""
        return self.kind

    def sensitive_layers(self, images: Pixels, wanted: np.ndarray) -> list[str]:
        """Return none."""
        return []

    def call(self, image: Pixels) -> None:
        """Nothing is timed here."""


@dataclass(frozen=True)
class Replayed(Search):
    """A search whose latencies were measured when the logits were collected."""

    times: dict[str, float] | None = None

    def _shown(self, trial: Trial) -> Trial:
        """Show the one view that was collected of each picture."""
        pixels = self.view(self.validation, 0)
        return trial.shown(pixels, self.float32.run(pixels), self.parity)

    def _timed(self, trials: list[Trial]) -> list[Trial]:
        times = self.times or {}
        return [replace(trial, p50_ms=times.get(trial.name)) for trial in trials]


def pixels_of(places: np.ndarray) -> Pixels:
    """Write numbers of pictures as pixels (N, 1, 1, 3)."""
    return np.stack([places >> 16, places >> 8, places], axis=1).astype(np.uint8)[:, None, None]


def numbers(images: Pixels) -> np.ndarray:
    """Read them again."""
    high, middle, low = images[:, 0, 0].astype(int).T
    places: np.ndarray = (high << 16) + (middle << 8) + low
    return places


def judged(subject: Subject, logits: Logits, resamplings: int) -> dict[str, Any]:
    """Return what the rule says of a network's forms on many splits, and the rule of before."""
    torch, labels = logits.of(TORCH, "test"), logits.labels
    right = torch.argmax(axis=1) == labels
    forms = {name: (logits.of(name, "test"), logits.of(name, "views")) for name in logits.forms}
    forms["permuted classes"] = (np.roll(torch, 1, 1), np.roll(logits.of(TORCH, "views"), 1, 1))
    truth = {
        name: 100 * float(right.mean() - (test.argmax(axis=1) == labels).mean())
        for name, (test, _) in forms.items()
    }
    rows: dict[str, dict[str, Any]] = {
        name: {
            "true_drop": round(truth[name], 2),
            "agreement": _percent(torch.argmax(axis=1) == test.argmax(axis=1)),
            "by_split": {},
        }
        for name, (test, _) in forms.items()
    }
    chosen: dict[int, Counter[str]] = {}
    for count in SPLITS:
        rng = np.random.default_rng(count)
        splits = [rng.permutation(len(labels))[:count] for _ in range(resamplings)]
        for name, (test, views) in forms.items():
            rows[name]["by_split"][str(count)] = _of_form(logits, splits, test, views, truth[name])
        if f"{TORCH}/ms" in logits.known:
            chosen[count] = Counter(_choice(logits, split) for split in splits)
    return {
        "network": subject.title,
        "pictures": len(labels),
        "torch_top1": _percent(right),
        "bound": BOUND,
        "resamplings": resamplings,
        "forms": rows,
        "chosen": {str(count): dict(names.most_common()) for count, names in chosen.items()},
        "summary": {str(count): _summary(rows, str(count), chosen.get(count)) for count in SPLITS},
    }


def _gates(logits: Logits, split: np.ndarray) -> ParityGates:
    gates = read_target("openvino").gates.model_copy(update={"max_top1_drop": BOUND})
    return ParityGates(logits.of(TORCH, "test")[split], logits.labels[split], gates)


def _of_form(
    logits: Logits, splits: list[np.ndarray], test: np.ndarray, views: np.ndarray, truth: float
) -> dict[str, float]:
    """Return shares of the splits, percent."""
    states, covered, before, widths = [], [], [], []
    for split in splits:
        seen = Views(logits.of(TORCH, "views")[split], views[split], np.arange(len(split)))
        torch, form, labels = logits.of(TORCH, "test")[split], test[split], logits.labels[split]
        verdict = compare_models(torch, form, labels, BOUND, views=seen)
        low, high = verdict.interval
        states.append(verdict.state)
        covered.append(low <= truth <= high)
        widths.append((high - low) / 2)
        agreement = 100 * (torch.argmax(axis=1) == form.argmax(axis=1)).mean()
        counted = top_k(torch, labels, 1) - top_k(form, labels, 1)
        before.append(agreement < LEAST_AGREEMENT or counted > BOUND)
    return {
        "refused": _percent([state == "refused" for state in states]),
        "certified": _percent([state == "certified" for state in states]),
        "interval_holds_truth": _percent(covered),
        "half_interval": round(float(np.mean(widths)), 2),
        "refused_before": _percent(before),
    }


def _choice(logits: Logits, split: np.ndarray) -> str:
    """Return which of the target's schemes the export's own search takes."""
    count, names = len(logits.labels), logits.schemes
    schemes: dict[str, Scheme] = {name: QdqScheme(tool="qdq", ops=(name,)) for name in names}
    calibration = np.arange(len(logits.of(TORCH, "calibration"))) + 2 * count
    float32: Any = Recorded(
        logits.all_of(TORCH),
        TORCH,
        {name: logits.all_of(name) for name in names},
        {name: str(logits.known[f"{name}/operations"]) for name in names},
    )
    drawn = CalibrationSet(pixels_of(calibration), "")
    search = Replayed(
        float32=float32,
        base=float32,
        fallback=float32,
        fallback_precision="fp32",
        parity=_gates(logits, split),
        validation=pixels_of(split),
        calibration=drawn,
        wanted=float32.run(drawn.few),
        view=lambda images, number: pixels_of(numbers(images) + count),
        times={
            "fp32": float(logits.known[f"{TORCH}/ms"]),
            **{name: float(logits.known[f"{name}/ms"]) for name in names},
        },
    )
    quantization = Quantization(cnn=schemes, transformer=schemes, most_float_layers=0)
    choice = search.run(quantization, transformer=False, float_too=True)
    return choice.trial.name


def _summary(rows: dict[str, Any], count: str, chosen: Counter[str] | None) -> dict[str, Any]:
    def mean(names: Sequence[str], figure: str) -> float | None:
        shares = [rows[name]["by_split"][count][figure] for name in names]
        return round(float(np.mean(shares)), 2) if shares else None

    int8 = [name for name in rows if name.startswith(("openvino:", "arm:"))]
    within = [name for name in rows if rows[name]["true_drop"] <= BOUND]
    beyond = [name for name in rows if rows[name]["true_drop"] >= BOUND + BEYOND]
    shipped = mean(beyond, "refused")
    return {
        "int8_within_refused": mean([name for name in int8 if name in within], "refused"),
        "int8_within_refused_before": mean([n for n in int8 if n in within], "refused_before"),
        "any_within_refused": mean(within, "refused"),
        "beyond_shipped": None if shipped is None else round(100 - shipped, 2),
        "beyond_certified": mean(beyond, "certified"),
        "same_scheme": _percent([name == chosen.most_common(1)[0][0] for name in chosen.elements()])
        if chosen
        else None,
    }


def _percent(flags: Any) -> float:
    return round(100 * float(np.mean(flags)), 2)


def show(row: dict[str, Any]) -> None:
    """Print a network's figures."""
    print(f"\n{row['network']}, torch {row['torch_top1']} % of {row['pictures']} pictures")
    for name, form in row["forms"].items():
        cells = [
            f"{count}: {split['refused']:6.2f} {split['certified']:6.2f} "
            f"{split['interval_holds_truth']:6.2f} {split['refused_before']:6.2f}"
            for count, split in form["by_split"].items()
        ]
        print(f"{name:40s} {form['true_drop']:+7.2f} {form['agreement']:6.2f}  {'  '.join(cells)}")
    for count, figures in row["summary"].items():
        print(count, figures, row["chosen"].get(count, "not chosen: no latencies were collected"))


if __name__ == "__main__":
    main()
