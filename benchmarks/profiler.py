"""How well the profiler predicts latencies that it never measured, on this machine's CPU.

    .venv/bin/python benchmarks/profiler.py --build graphs
    .venv/bin/python benchmarks/profiler.py --measure graphs

The first call exports and quantizes every network (half an hour; what else the machine does is of
no matter), the second one times them (an hour on a machine that does nothing else; no
bfloat16 where the processor emulates it). For each network, runtime and precision the 16 probes
that `edge-fgir profile` would choose for these sizes and 20 settings that it never sees (keep rates
drawn at random in every stage) take turns in one run, so that what is told is the error of the
prediction and not the machine's drift. The line to beat is least squares on [1, pixels, tokens,
tokens squared] from the same probes. A width that was never probed is predicted from four
measurements of it. `--quick` only shows that it works.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from scipy.stats import spearmanr

from edge_fgir._files import write_json
from edge_fgir.benchmarking import environment
from edge_fgir.benchmarking.interleaving import interleave
from edge_fgir.exporting import read_target
from edge_fgir.exporting.timing import noise, timing_graph, write_timing_bundle
from edge_fgir.models import Network
from edge_fgir.models.reduction import Reduction
from edge_fgir.models.setting import Setting
from edge_fgir.profiling.features import Knots
from edge_fgir.profiling.latency_model import LatencyModel, Prediction
from edge_fgir.profiling.probe_bundles import side_by_side
from edge_fgir.profiling.probes import choose_probes
from edge_fgir.profiling.search_space import RATES, SearchSpace
from edge_fgir.profiling.workload import Work, Workload
from edge_fgir.runs import TrainedModel
from edge_fgir.runtime import Bundle, Precision, Preprocess, is_bfloat16, open_engine
from edge_fgir.runtime.manifest import DataInfo, Normalization
from edge_fgir.runtime.runtimes.openvino import has_bfloat16

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "profiler.json"
NETWORKS = ("vitfs_tiny", "vit_tiny_patch16_224")
QUICK = "vitfs_nano"
WIDTHS = {"vitfs_tiny": "vitfs_small"}
"""What is predicted from the network on the left and four measurements of its own."""
FORMS = ("openvino fp32", "openvino bf16", "openvino int8", "arm fp32", "arm int8")
"""Target and precision; "arm" is ONNX Runtime."""
SIZES = tuple(range(96, 321, 16))
HELD_OUT, TRANSFER_PROBES, TRANSFER_HELD_OUT = 20, 4, 6
CLASSES = 200

Call = Callable[[], object]


def forms_here() -> list[str]:
    """Return the forms that this processor computes in."""
    return [form for form in FORMS if has_bfloat16() or not is_bfloat16(form)]


def described(name: str) -> TrainedModel:
    """Return a network with EViT and CLCA as if it had been trained."""
    return TrainedModel(
        name=name,
        network=Network(name=name, reduction=Reduction(method="evit", cla=True, clr_tokens=1)),
        num_classes=CLASSES,
        normalization=Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        preprocess=Preprocess(size=224),
        data=DataInfo(name="none", licence="", hash="0" * 64),
    )


def drawn(count: int, seed: int, but: Sequence[Setting]) -> list[Setting]:
    """Return settings between and beside the probes."""
    dice = random.Random(seed)
    found: list[Setting] = []
    while len(found) < count:
        rates = tuple(dice.choice([*RATES, 0.9, 0.5, 0.1]) for _ in range(3))
        setting = Setting(dice.choice(SIZES), rates, "evit")
        if setting not in found and setting not in but:
            found.append(setting)
    return found


def space_of(name: str, sizes: Sequence[int]) -> list[Setting]:
    """Return all that may be asked for."""
    return [one for one in SearchSpace(described(name), sizes).whole() if one.method == "evit"]


def settings_of(name: str, quick: bool) -> tuple[list[Setting], list[Setting]]:
    """Return probes and held out settings."""
    load = Workload(described(name))
    space = space_of(name, SIZES[:2] if quick else SIZES)
    few = {"count": 4} if quick else {}
    probes = [space[n] for n in choose_probes([load.of(one) for one in space], load, **few)]
    return probes, drawn(2 if quick else HELD_OUT, 0, probes)


def networks(names: Sequence[str], quick: bool) -> Iterator[tuple[str, list[Setting]]]:
    """Yield what is timed: a name and its settings; behind them, the widths that follow."""
    for name in names:
        probes, held_out = settings_of(name, quick)
        yield name, [*probes, *held_out]
    for name in () if quick else [WIDTHS[name] for name in names if name in WIDTHS]:
        yield name, drawn(TRANSFER_PROBES + TRANSFER_HELD_OUT, 1, ())


def bundle_path(folder: Path, form: str, name: str, number: int) -> Path:
    """Return where a network lies."""
    return folder / form.replace(" ", "-") / f"{name}-{number}.fgir"


def build(folder: Path, names: Sequence[str], forms: Sequence[str], quick: bool) -> None:
    """Export and quantize what is not there yet, one target after another."""
    jobs = [
        (name, n, s) for name, settings in networks(names, quick) for n, s in enumerate(settings)
    ]
    for target in dict.fromkeys(form.split()[0] for form in forms):
        own = [f for f in forms if f.startswith(target)]
        tasks = [partial(build_one, folder, own, *job) for job in jobs]
        side_by_side(f"building for {target}", tasks)


def build_one(folder: Path, forms: Sequence[str], name: str, number: int, setting: Setting) -> None:
    """Export a network for one target and write its forms that are missing."""
    missing = [f for f in forms if not bundle_path(folder, f, name, number).exists()]
    if not missing:
        return
    one = described(name).at(setting)
    target = read_target(missing[0].split()[0])
    graph = timing_graph(one, target)
    for form in missing:
        out = bundle_path(folder, form, name, number)
        write_timing_bundle(one, target, cast("Precision", form.split()[1]), graph, out)


def calls_of(folder: Path, form: str, name: str, settings: Sequence[Setting]) -> dict[str, Call]:
    """Return one inference of each setting."""
    calls: dict[str, Call] = {}
    for number, setting in enumerate(settings):
        bundle = Bundle(bundle_path(folder, form, name, number))
        image = noise(setting.image_size)
        engine = open_engine(bundle)
        calls[str(number)] = partial(engine.infer, image)
    return calls


def timed(
    folder: Path, form: str, name: str, settings: Sequence[Setting]
) -> tuple[list[float], float]:
    """Return what `profile` takes settings to last, ms, and how long it measured each, seconds."""
    calls = calls_of(folder, form, name, settings)
    began = time.monotonic()
    found = interleave(calls)
    seconds = (time.monotonic() - began) / len(settings)
    return [1e3 * found[str(number)].seconds for number in range(len(settings))], seconds


def row_of(
    name: str, form: str, ms: Sequence[float], settings: Sequence[Setting], count: int
) -> tuple[dict[str, Any], LatencyModel]:
    """Fit the first ``count`` settings, the probes, and judge the predictions of all others."""
    load = Workload(described(name))
    works = [load.of(setting) for setting in settings]
    sizes = sorted({setting.image_size for setting in settings[:count]})
    knots = Knots.over([load.of(setting) for setting in space_of(name, sizes)])
    model = LatencyModel.fit(works[:count], ms[:count], load.dim, knots)
    predictions = model.predict(works[count:])
    truth = np.array(ms[count:])
    plain = np.abs(baseline(works[:count], ms[:count], works[count:]) / truth - 1)
    return {
        "network": name,
        "form": form,
        "probes": count,
        "held_out": len(truth),
        **judged(predictions, truth),
        "left_out_error_percent": round(100 * model.error, 2),
        "line_to_beat": {
            "median_percent": round(100 * float(np.median(plain)), 2),
            "worst_percent": round(100 * float(plain.max()), 2),
        },
        "measured_ms": [round(value, 4) for value in ms],
        "predicted_ms": [round(one.ms, 4) for one in predictions],
        "settings": [list(one) for one in settings],
    }, model


def judged(predictions: Sequence[Prediction], truth: np.ndarray) -> dict[str, Any]:
    """Return what the issue asks for, and whether it is so."""
    ms = np.array([one.ms for one in predictions])
    wrong = 100 * np.abs(ms / truth - 1)
    inside = [one.low <= value <= one.high for one, value in zip(predictions, truth, strict=True)]
    rank = float(spearmanr(ms, truth).statistic)
    within, covered = 100 * float((wrong <= 5).mean()), 100 * float(np.mean(inside))
    return {
        "median_percent": round(float(np.median(wrong)), 2),
        "worst_percent": round(float(wrong.max()), 2),
        "within_5_percent": round(within, 1),
        "spearman": round(rank, 4),
        "interval_covers_percent": round(covered, 1),
        "ok": bool(within >= 99 and np.median(wrong) <= 1.5 and rank >= 0.995 and covered >= 90),
    }


def baseline(probes: Sequence[Work], ms: Sequence[float], works: Sequence[Work]) -> np.ndarray:
    """Return predictions by least squares on [1, pixels, tokens, tokens squared]."""

    def features(work: Work) -> list[float]:
        tokens = np.array(work.attention, float)
        return [1.0, work.pixels, tokens.sum(), np.square(tokens).sum()]

    weights = 1 / np.asarray(ms)
    rows = np.array([features(work) for work in probes])
    scale = rows.max(axis=0)
    found, *_ = np.linalg.lstsq(rows / scale * weights[:, None], np.ones(len(ms)), rcond=None)
    predicted: np.ndarray = np.array([features(work) for work in works]) / scale @ found
    return predicted


def transfer_row(model: LatencyModel, name: str, form: str, ms: Sequence[float]) -> dict[str, Any]:
    """Judge predictions for a width from four measurements of it."""
    load = Workload(described(name))
    works = [load.of(one) for one in drawn(TRANSFER_PROBES + TRANSFER_HELD_OUT, 1, ())]
    few = choose_probes(works, load, TRANSFER_PROBES)
    rest = [place for place in range(len(works)) if place not in few]
    other = model.transferred([works[n] for n in few], [ms[n] for n in few], load.dim)
    truth = np.array([ms[n] for n in rest])
    wrong = 100 * np.abs([p.ms for p in other.predict([works[n] for n in rest])] / truth - 1)
    return {
        "network": name,
        "form": form,
        "probes": len(few),
        "held_out": len(rest),
        "median_percent": round(float(np.median(wrong)), 2),
        "worst_percent": round(float(wrong.max()), 2),
        "ok": bool(wrong.max() <= 10),
    }


def measure_all(
    folder: Path, names: Sequence[str], forms: Sequence[str], out: Path | None, quick: bool
) -> None:
    """Time forms of networks, judge, print and write; others stay as the result file has them."""
    known = json.loads(out.read_text()) if out is not None and out.exists() else {}
    timed_now = {*names, *(WIDTHS[name] for name in names if name in WIDTHS)}

    def others(part: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = known.get(part, [])
        return [r for r in rows if r["form"] not in forms or r["network"] not in timed_now]

    rows, transfers = others("rows"), others("transfers")
    here = environment().model_dump(mode="json", include={"date", "instructions"})
    for form in forms:
        models: dict[str, LatencyModel] = {}
        for name, settings in networks(names, quick):
            if not bundle_path(folder, form, name, 0).exists():
                print(f"{name} {form}: not built, left out")
                continue
            ms, seconds = timed(folder, form, name, settings)
            if name in WIDTHS.values():
                source = next(key for key, value in WIDTHS.items() if value == name)
                transfers.append({**transfer_row(models[source], name, form, ms), **here})
                show(transfers[-1])
                continue
            count = len(settings_of(name, quick)[0])
            row, models[name] = row_of(name, form, ms, settings, count)
            row |= {"probing_seconds": round(seconds * count, 1), **here}
            rows.append(row)
            show(row)
        if out is not None:  # after each form: the next may take long
            body = {
                "schema": "edge-fgir/benchmark/1",
                "bounds": "within 5 % >= 99 %, median <= 1.5 %, Spearman >= 0.995, "
                "interval covers >= 90 %; another width within 10 %",
                "rows": rows,
                "transfers": transfers,
                "environment": environment().model_dump(mode="json"),
            }
            write_json(out, body)


def judge_again(out: Path) -> None:
    """Fit what was measured once more: after a change of the model, without measuring."""
    body = json.loads(out.read_text())
    for row in body["rows"]:
        settings = [
            Setting(size, tuple(rate) if isinstance(rate, list) else rate, method)
            for size, rate, method in row["settings"]
        ]
        name, form, ms, count = (row[key] for key in ("network", "form", "measured_ms", "probes"))
        row |= row_of(name, form, ms, settings, count)[0]
        show(row)
    write_json(out, body)


def show(row: dict[str, Any]) -> None:
    """Print one line."""
    mark = "ok" if row["ok"] else "MISSED"
    beaten = row.get("line_to_beat")
    more = ""
    if beaten:
        more = (
            f", within 5 %: {row['within_5_percent']:5.1f} %, Spearman {row['spearman']:.4f}, "
            f"covered {row['interval_covers_percent']:5.1f} %, {row['probing_seconds']:.0f} s; "
            f"least squares {beaten['median_percent']:.2f} / {beaten['worst_percent']:.2f} %"
        )
    print(
        f"{row['network']:22} {row['form']:14} {row['probes']} probes: median "
        f"{row['median_percent']:.2f} %, worst {row['worst_percent']:.2f} %{more}  {mark}",
        flush=True,
    )


def main() -> None:
    """Build, or measure, print and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--build", type=Path, metavar="FOLDER", help="make the networks")
    parser.add_argument("--measure", type=Path, metavar="FOLDER", help="time them")
    parser.add_argument("--judge", action="store_true", help="fit the result file's times again")
    parser.add_argument("--quick", action="store_true", help="see that it works; tells no speed")
    parser.add_argument("--out", type=Path, help=f"result file; a whole run: {RESULT}")
    parser.add_argument(
        "--forms",
        nargs="+",
        choices=FORMS,
        default=forms_here(),
        help="what is built or timed; the others stay as the result file has them",
    )
    parser.add_argument(
        "--networks", nargs="+", choices=NETWORKS, default=NETWORKS, help="likewise"
    )
    arguments = parser.parse_args()
    quick, forms = arguments.quick, arguments.forms
    names = (QUICK,) if quick else arguments.networks
    out = arguments.out or (None if quick else RESULT)
    if arguments.judge:
        judge_again(arguments.out or RESULT)
    elif not (arguments.build or arguments.measure):
        if not quick:
            parser.error("--build FOLDER or --measure FOLDER")
        with tempfile.TemporaryDirectory() as name:
            build(Path(name), names, forms, quick)
            measure_all(Path(name), names, forms, arguments.out, quick)
    if arguments.build:
        build(arguments.build, names, forms, quick)
    if arguments.measure:
        measure_all(arguments.measure, names, forms, out, quick)


if __name__ == "__main__":
    main()
