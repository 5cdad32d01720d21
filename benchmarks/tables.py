"""The tables of ``docs/benchmarks.md``: what each is drawn from, and who chose what."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student

from edge_fgir.evaluation import drop_interval

Body = dict[str, Any]
Rows = list[list[str]]

_FEWEST_SEEDS = 3
"""Two say next to nothing of how seeds scatter."""

_INT8_INSTRUCTIONS = ("amx_int8", "avx512_vnni", "avx_vnni", "avx2")
"""From the best on."""

_UNSEEN = "nothing was chosen by them"
_NONE = "none are used"


@dataclass(frozen=True)
class Table:
    """One table of the page."""

    results: tuple[str, ...]
    """Names of files in ``benchmarks/results``, without their ending."""
    made_by: str
    """The script or command that made them."""
    rows: Callable[..., Rows]
    """From the files' contents to lines of cells, the header first."""
    data: str
    seeds: str = "one"
    test_pictures: str = _UNSEEN
    """Whether a choice saw them."""


def _percent(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _interval(bounds: Sequence[float], digits: int = 1) -> str:
    low, high = bounds
    return f"{low:+.{digits}f} to {high:+.{digits}f}"


def _kept(row: Body) -> str:
    return "-" if "ok" not in row else "yes" if row["ok"] else "missed"


def promises(*bodies: Body) -> Rows:
    """Return what was promised of the runtime or of training, and what was measured."""
    rows = [row for body in bodies for row in body["rows"]]
    lines = [["what", "measured", "bound", "kept"]]
    for row in rows:
        number = f"{row['value']:,.3g}" if row["value"] < 100 else f"{row['value']:,.0f}"
        bound = row["bound"].replace("<", "&lt;")
        kept = "-" if bound == "reported" else _kept(row)
        lines.append([row["what"], f"{number} {row['unit']}", bound, kept])
    return lines


def frames(body: Body) -> Rows:
    """Return what bringing a frame to a model's input takes, each way."""
    names = list(body["speed"][0]["ways"])
    lines = [["frame", "to", "block", *names]]
    for row in body["speed"]:
        block = " x ".join(str(side) for side in row["block"]) if row["block"] else "none"
        taken = [row["ways"][name] for name in names]
        times = [f"{each['min_ms']:.2f} ({each['median_ms']:.2f})" for each in taken]
        lines.append([row["frame"], f"{row['side']} px", block, *times])
    return lines


def grey_levels(body: Body) -> Rows:
    """Return by how much blocks and the kernel alone differ on photographs."""
    lines = [["photographs", "times the input's side", "kernel", "mean", "worst photo", "99 %"]]
    for row in body["grey_levels"]:
        figures = [f"{row[key]:.2f}" for key in ("mean", "worst_photo", "p99")]
        lines.append([row["data"], f"{row['ratio']}", row["kernel"], *figures])
    return lines


def cells_of_tgda(body: Body) -> Rows:
    """Return a line a cell: how its seeds did, and what they gained over labels alone."""
    header = ["network, method", "seeds", "epochs", "top-1 %", "deviation", "ECE %"]
    lines = [[*header, "MMACs", "beyond labels alone, 95 % interval"]]
    runs: dict[str, list[Body]] = {}
    for run in body["runs"]:
        runs.setdefault(run["cell"], []).append(run)
    for cell in body["cells"]:
        name, own = cell["cell"], runs[cell["cell"]]
        base = "resnet18-ce" if name.startswith("resnet18") else "ce"
        compared = name not in (base, "teacher") and base in runs
        gain = welch(_tops(own), _tops(runs[base])) if compared else "-"
        method = name.removeprefix("resnet18-")
        network, method = own[0]["architecture"], _METHODS.get(method, method)
        ece = statistics.mean(run["ece"] for run in own)
        figures = [_percent(cell["top1"]), _percent(cell["sd"], 2), _percent(ece)]
        count, epochs = str(cell["seeds"]), str(own[0]["epochs"])
        cost = f"{1000 * cell['gmacs']:.0f}"
        lines.append([f"{network}, {method}", count, epochs, *figures, cost, gain])
    return lines


def students_beside_resnet(body: Body) -> Rows:
    """Return a line a network and method, each beside its labels alone and a ResNet-18 alike."""
    header = ["network, method", "temperature", "seeds", "epochs", "val %", "test %", "deviation"]
    lines = [[*header, "ECE %", "MMACs", "beyond labels alone", "beyond resnet18 alike"]]
    runs: dict[str, list[Body]] = {}
    for run in body["runs"]:
        runs.setdefault(run["cell"], []).append(run)
    for cell in sorted(body["cells"], key=lambda cell: str(cell["cell"]).removeprefix(_RIVAL)):
        name, own = cell["cell"], runs[cell["cell"]]
        rival = name.startswith(_RIVAL)
        alone, alike = f"{_RIVAL if rival else ''}ce", f"{_RIVAL}{name}"
        method, _, temperature = name.removeprefix(_RIVAL).partition("-T")
        beyond = [
            welch(_tops(own), _tops(runs[other])) if other in runs and other != name else "-"
            for other in (alone, alike)
        ]
        figures = [
            _percent(statistics.mean(run["val_top1"] for run in own)),
            _percent(cell["top1"]),
            _percent(cell["sd"], 2),
            _percent(statistics.mean(run["ece"] for run in own)),
            f"{1000 * cell['gmacs']:.0f}",
        ]
        title = f"{own[0]['architecture']}, {_METHODS[method]}"
        counts = [temperature or "-", str(cell["seeds"]), str(own[0]["epochs"])]
        lines.append([title, *counts, *figures, *(beyond if name != "teacher" else ["-", "-"])])
    return lines


_RIVAL = "resnet18-"

_METHODS = {
    "ce": "labels alone (CE)",
    "kd": "soft labels (KD)",
    "tgda": "TGDA",
    "tgda-live": "TGDA, teacher in every step",
    "tgda-crop": "TGDA, crop alone",
    "tgda-drop": "TGDA, drop alone",
    "tgda-mix": "TGDA with mixed pictures, teacher in every step",
    "tgda-train": "TGDA, teacher in training mode",
    "tgda-eval": "TGDA, teacher's mean map",
    "ce-3x": "labels alone, three times as long",
    "kd-3x": "soft labels, three times as long",
    "teacher": "the teacher (CAL)",
}


def _tops(runs: Iterable[Body]) -> list[float]:
    return [run["top1"] for run in runs]


def welch(one: Sequence[float], other: Sequence[float]) -> str:
    """Return the difference of two means and its 95 % interval, of few and unpaired seeds."""
    difference = statistics.mean(one) - statistics.mean(other)
    if min(len(one), len(other)) < 2:
        return f"{difference:+.1f}, one seed"
    a, b = (statistics.variance(values) / len(values) for values in (one, other))
    freedom = (a + b) ** 2 / (a**2 / (len(one) - 1) + b**2 / (len(other) - 1))
    half = student.ppf(0.975, freedom) * (a + b) ** 0.5
    return f"{difference:+.1f} ({_interval([difference - half, difference + half])})"


def from_scratch(body: Body) -> Rows:
    """Return a line a network and change, on a device's pixels: a plain network beside LRNet-14, a
    changed one beside the plain one, and each beside a ResNet-18 that was changed alike.
    """
    header = ["network", "changes", "seeds", "epochs", "MMACs", "val %", "test %", "deviation"]
    lines = [[*header, "ECE %", "beyond lrnet14 or the plain network", "beyond resnet18"]]
    cells: dict[str, list[Body]] = {}
    for row in body["rows"]:
        if (row["pixels"], row["statistics"]) == ("one step", "as trained"):
            cells.setdefault(row["cell"], []).append(row)
    for cell, rows in cells.items():
        network, *changes = cell.split(" + ")
        rival = " + ".join(["resnet18", *changes])
        beyond = [
            paired(rows, cells[other]) if other in cells and other != cell else "-"
            for other in (network if changes else "lrnet14", rival)
        ]
        test = [row["test"] for row in rows]
        figures = [
            _percent(statistics.mean(row["val"] for row in rows)),
            _percent(statistics.mean(test)),
            _percent(statistics.stdev(test) if len(test) > 1 else None, 2),
            _percent(statistics.mean(row["test_ece"] for row in rows)),
        ]
        counts = [str(len(rows)), str(rows[0]["epochs"]), f"{1000 * rows[0]['gmacs']:.0f}"]
        lines.append([network, ", ".join(changes) or "-", *counts, *figures, *beyond])
    return lines


def pixels_and_statistics(body: Body) -> Rows:
    """Return what becomes of the same runs on other pixels and with other statistics."""
    lines = [
        ["learned from", "tested on", "BatchNorm statistics", "test %", "beyond the first line"]
    ]
    first: list[Body] = []
    for cell in ("lrnet14, two steps", "lrnet14"):
        rows = [row for row in body["rows"] if row["cell"] == cell]
        ways = list(dict.fromkeys((row["pixels"], row["statistics"]) for row in rows))
        of = {
            way: [row for row in rows if (row["pixels"], row["statistics"]) == way] for way in ways
        }
        for way in ways:
            test = statistics.mean(row["test"] for row in of[way])
            gain = paired(of[way], first) if first else "-"
            first = first or of[way]
            learned = "two steps" if cell.endswith("two steps") else "antialiased views"
            lines.append([learned, *way, _percent(test), gain])
    return lines


def paired(one: Sequence[Body], other: Sequence[Body]) -> str:
    """Return the mean difference of test figures of the same seed, and its 95 % interval.

    Over seeds where there are three; of fewer over the pictures, which both were asked about.
    """
    rivals = {row["seed"]: row for row in other}
    pairs = [(row, rivals[row["seed"]]) for row in one if row["seed"] in rivals]
    gains = [row["test"] - rival["test"] for row, rival in pairs]
    if not gains:
        return "-"
    middle = statistics.mean(gains)
    shown = f"{round(middle, 1) + 0.0:+.1f}"  # no minus before a zero
    if len(gains) < _FEWEST_SEEDS:
        if not all("right" in row for both in pairs for row in both):
            return shown
        after, before = (
            np.array(list("".join(row["right"] for row in rows))) == "1"
            for rows in zip(*pairs, strict=True)
        )
        low, high = drop_interval(before, after)
        return f"{shown} ({_interval([-high, -low])})"
    half = student.ppf(0.975, len(gains) - 1) * statistics.stdev(gains) / len(gains) ** 0.5
    return f"{shown} ({_interval([middle - half, middle + half])})"


def teacher(body: Body) -> Rows:
    """Return the teacher of 100 birds at each side it was asked at."""
    lines = [["px", "top-1 %", "top-5 %", "macro %", "ECE %"]]
    for side, one in body["test"].items():
        figures = [_percent(one[name]) for name in ("top1", "top5", "macro", "ece")]
        lines.append([side, *figures])
    floor = body["floor"]
    return [*lines, [floor["what"], _percent(floor["top1"]), "-", "-", "-"]]


def keep_rates(*sets: Body) -> Rows:
    """Return the accuracy of each keep rate with and without CLCA, a column a data set."""
    names = [body["data"][0]["name"] for body in sets]
    lines = [["keep rate", "CLCA", "MMACs", *(f"{name}: top-1 %" for name in names)]]
    for groups in zip(*(body["groups"] for body in sets), strict=True):
        settings = groups[0]["changes"]["model.reduction"]
        rate = f"{settings.get('keep_rate', 1):g}"
        tops = [_percent(group["top1"]) for group in groups]
        cost = f"{1000 * groups[0]['gmacs']:.1f}"
        lines.append([rate, "yes" if "cla" in settings else "no", cost, *tops])
    return lines


def token_speed(body: Body) -> Rows:
    """Return how much of the saved operations becomes saved time."""
    lines = [["network", "runtime", "setting", "GMACs", "ms", "fewer operations", "faster"]]
    for row in body["rows"]:
        if row["setting"].endswith((", blind", ", short")):
            continue  # controls of the benchmark: no network that anybody deploys
        less, faster = f"{row['mac_ratio']:.2f} x", f"{row['speed_up']:.2f} x"
        names = [row[name] for name in ("network", "runtime", "setting")]
        lines.append([*names, f"{row['gmacs']:.2f}", f"{row['p50_ms']:.1f}", less, faster])
    return lines


def second_look_cost(body: Body) -> Rows:
    """Return what choosing where to look takes."""
    lines = [["network", "runtime", "setting", "ms", "times one look", "choosing, % of the time"]]
    for row in body["selection"]:
        chosen = _percent(row.get("selection_percent"), 2)
        names = [row[name] for name in ("network", "runtime", "setting")]
        lines.append([*names, f"{row['p50_ms']:.1f}", f"{row['over_one_look']:.2f}", chosen])
    return lines


def second_look_accuracy(body: Body) -> Rows:
    """Return the accuracy of one look and two, in each form."""
    header = ["looks", "form", "top-1 %", "lost to INT8 (95 % interval)", "same label %"]
    lines = [[*header, "same box %", "overlap of boxes %"]]
    for row in body["accuracy"]:
        low_high = row.get("drop_interval")
        lost = f"{row['drop']:+.2f} ({_interval(low_high)})" if low_high else "-"
        boxes = row.get("regions", {})
        overlap = 100 * boxes["mean_iou"] if boxes else None
        figures = [_percent(row.get("agreement")), _percent(boxes.get("identical"), 0)]
        looks = "two (GLSim)" if row["setting"] == "GLSim" else "one"
        line = [looks, row["form"], _percent(row["top1"]), lost, *figures, _percent(overlap, 0)]
        lines.append(line)
    return lines


_TRAINED = {"none": "head alone", "ila": "ILA", "ila+": "ILA+", "ila++": "ILA++", "full": "all"}


def adapters(body: Body) -> Rows:
    """Return what each way of learning a second set of classes gives and stores."""
    lines = [["trained", "weights", "stored kB", "MMACs", "val top-1 %", "test top-1 %"]]
    for row in body["cells"]:
        stored, cost = f"{row['stored_bytes'] / 1000:,.0f}", f"{1000 * row['gmacs']:.1f}"
        tops = [_percent(row["val_top1"]), _percent(row["top1"])]
        weights = f"{row['trainable_params']:,}"
        lines.append([_TRAINED[row["cell"]], weights, stored, cost, *tops])
    return lines


def adapter_steps(body: Body) -> Rows:
    """Return what a step of training takes."""
    header = ["network", "trained", "step ms", "times faster than all (spread)"]
    lines = [[*header, "tensors, share of all", "process, share of all"]]
    for row in body["steps"]:
        low, high = row["times_faster_spread"]
        faster = f"{row['times_faster']:.2f} ({low:.2f} to {high:.2f})"
        shares = [f"{row['tensor_share']:.2f}", f"{row['process_share']:.2f}"]
        line = [row["network"], _TRAINED[row["cell"]], f"{row['step_ms']:.0f}", faster, *shares]
        lines.append(line)
    return lines


def adapter_int8(body: Body) -> Rows:
    """Return what INT8 costs networks with adapters."""
    lines = [["adapters", "target", "PyTorch %", "INT8 %", "lost (95 % interval)", "same label %"]]
    for row in body["int8"]:
        lost = f"{row['drop']:+.2f} ({_interval(row['drop_interval'])})"
        tops = [_percent(row["torch_top1"]), _percent(row["int8_top1"])]
        name = _TRAINED[row["cell"]]
        lines.append([name, row["target"], *tops, lost, _percent(row["agreement"])])
    return lines


_LONG_TAIL = ("top1", "macro", "macro_f1", "many", "medium", "few")


def long_tail(body: Body) -> Rows:
    """Return a line a treatment of rare classes."""
    lines = [["treatment", "top-1 %", "macro %", "macro F1 %", "many %", "medium %", "few %"]]
    for row in body["cells"]:
        lines.append([row["cell"], *(_percent(row[name]) for name in _LONG_TAIL)])
    return lines


def elastic(body: Body) -> Rows:
    """Return what one run for all settings loses against a run for each, over seeds."""
    header = ["px", "keep rate", "seeds", "alone %", "elastic %", "gained (95 % interval)"]
    lines = [[*header, "lost at most 1"]]
    settings: dict[tuple[int, float], list[Body]] = {}
    for row in body["rows"]:
        settings.setdefault((row["image_size"], row["keep_rate"]), []).append(row)
    for (size, rate), rows in settings.items():
        alone, shared = (
            [{"seed": row["seed"], "test": _share(row[which]), "right": row[which]} for row in rows]
            for which in ("alone", "elastic")
        )
        means = [statistics.mean(one["test"] for one in runs) for runs in (alone, shared)]
        kept = "yes" if means[1] >= means[0] - 1 else "missed"
        setting = [str(size), f"{rate:g}", str(len(rows))]
        lines.append([*setting, *map(_percent, means), paired(shared, alone), kept])
    return lines


def _share(right: str) -> float:
    return 100 * right.count("1") / len(right)


def clca(body: Body) -> Rows:
    """Return CLCA beside its base at each keep rate, over seeds."""
    header = ["data", "keep rate", "arm", "learning rate", "seeds", "MMACs", "val %", "test %"]
    lines = [[*header, "deviation", "beyond base (95 % interval)"]]
    for data in body["sets"].values():
        cells: dict[tuple[float, str], list[Body]] = {}
        for row in sorted(data["rows"], key=lambda row: -row["keep_rate"]):
            cells.setdefault((row["keep_rate"], row["arm"]), []).append(row)
        for (keep, arm), rows in cells.items():
            test = [row["test"] for row in rows]
            base = cells.get((keep, "base"), [])
            beyond = paired(rows, base) if base and arm != "base" else "-"
            facts = [data["name"], f"{keep:g}", arm, f"{rows[0]['lr']:g}", str(len(rows))]
            figures = [
                f"{rows[0]['mmacs']:.0f}",
                _percent(statistics.mean(row["val"] for row in rows)),
                _percent(statistics.mean(test)),
                _percent(statistics.stdev(test) if len(test) > 1 else None, 2),
            ]
            lines.append([*facts, *figures, beyond])
    return lines


def second_look(body: Body) -> Rows:
    """Return GLSim beside its base, over seeds."""
    header = ["arm", "learning rate", "seeds", "epochs", "MMACs", "val %", "test %", "deviation"]
    lines = [[*header, "beyond base (95 % interval)"]]
    arms: dict[str, list[Body]] = {}
    for row in body["rows"]:
        arms.setdefault(row["arm"], []).append(row)
    for arm, rows in arms.items():
        test = [row["test"] for row in rows]
        facts = [arm, f"{rows[0]['lr']:g}", str(len(rows)), str(rows[0]["epochs"])]
        figures = [
            f"{rows[0]['mmacs']:.0f}",
            _percent(statistics.mean(row["val"] for row in rows)),
            _percent(statistics.mean(test)),
            _percent(statistics.stdev(test) if len(test) > 1 else None, 2),
        ]
        beyond = "-" if arm == "base" else paired(rows, arms["base"])
        lines.append([*facts, *figures, beyond])
    return lines


def int8_accuracy(body: Body) -> Rows:
    """Return what INT8 costs on test pictures."""
    header = ["network", "data", "target", "scheme", "PyTorch %", "lost (95 % interval)"]
    lines = [[*header, "same label %", "bound kept"]]
    rows = [row for row in body["accuracy"] if row["precision"] == "int8"]
    for row in sorted(rows, key=lambda row: (row["network"], row["data"], row["target"])):
        lost = f"{row['top1_drop']:+.2f} ({_interval(row['drop_interval'], digits=2)})"
        data = f"{row['data']}, {row['test_images']:,} pictures"
        names = [row["network"], data, row["target"], row["scheme"]]
        figures = [_percent(row["torch_top1"]), lost, _percent(row["agreement"])]
        lines.append([*names, *figures, _kept(row)])
    return lines


def forms_speed(body: Body) -> Rows:
    """Return how fast each network is in float, and in the fastest of its INT8 schemes."""
    header = ["network", "target", "cores", "INT8 instructions", "torch ms", "fp32 ms", "bf16 ms"]
    lines = [[*header, "INT8 ms", "INT8 and bf16 ms", "times PyTorch", "times float"]]

    def group(row: Body) -> tuple[str, ...]:
        return row["network"], row["target"], str(row["cores"]), _int8_instructions(row)

    for names in dict.fromkeys(map(group, body["speed"])):
        rows = {row["form"]: row for row in body["speed"] if group(row) == names}
        floats = [rows.pop(name, None) for name in ("torch", "fp32", "bf16")]
        rows.pop("torch, reduced", None)
        mixed = [row for name, row in rows.items() if name.endswith(", bfloat16")]
        plain = [row for row in rows.values() if row not in mixed]
        fastest = [min(some, key=_ms, default=None) for some in (plain, mixed)]
        best = min(rows.values(), key=_ms)
        # Once, PyTorch's side of a reduced network was the reduced one.
        over = f"{best['over_torch']:.2f}" if "over_torch" in best else "-"
        times = [f"{_ms(row):.1f}" if row else "-" for row in (*floats, *fastest)]
        lines.append([*names, *times, over, f"{best['over_float']:.2f}"])
    return lines


def _int8_instructions(machine: Body) -> str:
    """Return the best instructions for INT8 that a processor has."""
    return next(each for each in _INT8_INSTRUCTIONS if each in machine["instructions"])


def _ms(row: Body) -> float:
    return float(row["p50_ms"])


def depthwise(body: Body) -> Rows:
    """Return INT8 of an EfficientNet-Lite0 with its biases corrected and not."""
    header = ["target", "scheme", "biases corrected", "float %", "INT8 %"]
    lines = [[*header, "lost, 95 % interval", "same label %", "times float"]]
    for row in body["accuracy"]:
        corrected = "yes" if row["corrected_biases"] else "no"
        faster = f"{row['over_float']:.2f}" if "over_float" in row else "-"
        tops = [_percent(row["float_top1"], 2), _percent(row["int8_top1"], 2)]
        figures = [_interval(row["drop_interval"], digits=2), _percent(row["agreement"]), faster]
        lines.append([row["target"], row["scheme"], corrected, *tops, *figures])
    return lines


def depthwise_untrained(body: Body) -> Rows:
    """Return the error of INT8 in other networks, with random weights."""
    lines = [["network", "target", "error, % of the logits' variation", "without the correction"]]
    for row in body["untrained"]:
        errors = [f"{100 * row[name]:.0f}" for name in ("relative_error", "without_correction")]
        lines.append([row["network"], row["target"], *errors])
    return lines


def decisions(body: Body) -> Rows:
    """Return how often the rule of the gates errs, by how many pictures it sees."""
    header = ["network", "pictures", "good INT8 refused %", "by the rule before %"]
    lines = [[*header, "a point or more too bad, shipped %", "same scheme chosen %"]]
    for network in body["networks"]:
        for pictures, summary in network["summary"].items():
            names = ("int8_within_refused", "int8_within_refused_before", "beyond_shipped")
            figures = [_percent(summary[name], 0) for name in (*names, "same_scheme")]
            lines.append([network["network"], pictures, *figures])
    return lines


def shipped_wrongly(body: Body) -> Rows:
    """Return the forms that lose a point or more beyond the bound and that some splits let pass."""
    header = ["network", "form", "loses, points", "same label %", "half an interval, points"]
    lines = [[*header, "shipped by 400 pictures %", "by 1,000 %"]]
    for network in body["networks"]:
        for name, form in network["forms"].items():
            by_400, by_1000 = (form["by_split"][count] for count in ("400", "1000"))
            if form["true_drop"] < network["bound"] + 1 or by_400["refused"] >= 99.5:
                continue
            shares = [_percent(100 - each["refused"]) for each in (by_400, by_1000)]
            figures = [f"{form['true_drop']:.2f}", _percent(form["agreement"])]
            lines.append(
                [network["network"], name, *figures, f"{by_400['half_interval']:.1f}", *shares]
            )
    return lines


def fine_tuning(body: Body) -> Rows:
    """Return a line a data set and way of fine-tuning."""
    lines = [["data", "way", "test %", "beyond plain (95 % interval)", "beyond the head"]]
    for row in body["rows"]:
        for cell, found in row["cells"].items():
            beyond = [
                f"{lead['ahead']:+.1f} ({_interval(lead['interval'])})" if lead else "-"
                for lead in (found.get("over_plain"), found.get("over_head"))
            ]
            data = f"{row['data']}, {row['images']} test pictures, {row['judged_by']}"
            lines.append([data, cell, _percent(found["accuracy"]), *beyond])
    return lines


def resampling(body: Body) -> Rows:
    """Return a line a way in which a picture reaches the model: learned from plain pictures, and
    from some that were sampled without antialias."""
    by_share: dict[float, list[Body]] = {}
    for row in body["rows"]:
        by_share.setdefault(row["share"], []).append(row)
    shares = sorted(by_share)
    named = [f"{100 * share:g} % sampled" if share else "plain pictures" for share in shares]
    lines = [["the model gets", *(f"{name}, test %" for name in named), "gain (95 % interval)"]]
    for way in body["rows"][0]["top1"]:
        cells = [
            [{"seed": row["seed"], "test": row["top1"][way]} for row in by_share[share]]
            for share in shares
        ]
        means = [_percent(statistics.mean(row["test"] for row in rows)) for rows in cells]
        lines.append([way, *means, paired(cells[-1], cells[0])])
    return lines


def fits(body: Body) -> Rows:
    """Return a line a data set and budget: the answer, and what a user would do instead."""
    named = {"plain": "plain fine-tuning", "head": "head alone", "lrnet14": "LRN14"}
    rows = sorted(body["rows"].values(), key=lambda row: (row["data"], row["latency_ms"]))
    others = {each: named[each] for each in named if any(each in r["baselines"] for r in rows)}
    header = ["data", "budget ms", "INT8 instructions", "minutes", "answer", "ms", "%"]
    lines = [[*header, *others.values()]]
    for row in rows:
        found = row["fit"]
        answer = f"{found['name']}, {found['precision']}"
        beside = []
        for name in others:
            other = row["baselines"].get(name)
            lead = other and f"{other['ahead']:+.1f}; {_interval(other['interval'])}"
            beside.append(
                f"{other['accuracy']:.1f} at {other['image_size']} px ({lead})"
                if other
                else "not run"
            )
        data = f"{row['data']}, {row['images']} test pictures, {row['judged_by']}"
        figures = [f"{found['minutes']:.0f}", answer, f"{found['p50_ms']:.2f}"]
        accuracy = _percent(found["accuracy"])
        budget = [f"{row['latency_ms']:g}", _int8_instructions(row["environment"])]
        lines.append([data, *budget, *figures, accuracy, *beside])
    return lines


def clipped_sums(body: Body) -> Rows:
    """Return a line a network and way of rounding it."""
    header = ["network", "data", "weights rounded by", "error, INT8 kernels", "same label %"]
    lines = [[*header, "error, nothing clipped", "same label %"]]
    for row in body["rows"]:
        training = "a head on frozen features" if row["training"] == "probe" else "fine-tuned"
        cells = []
        for name in ("kernels", "unclipped"):
            found = row[name]
            cells += [f"{found['relative_error']:.3f}", _percent(found["agreement"])]
        data = f"{row['data']}, {row['images']} test pictures"
        way = row["way"] if row["way"].startswith("NNCF") else "this project"
        lines.append([f"{row['network']}, {training}", data, way, *cells])
    return lines


def predictions(body: Body) -> Rows:
    """Return how well latencies of settings that were not probed are predicted."""
    header = ["network", "runtime and precision", "probes", "settings", "median error %"]
    lines = [[*header, "worst error %", "interval holds %"]]
    for row in [*body["rows"], *body["transfers"]]:
        errors = [_percent(row["median_percent"]), _percent(row["worst_percent"])]
        counts = [str(row["probes"]), str(row["held_out"])]
        holds = _percent(row.get("interval_covers_percent"), 0)
        lines.append([row["network"], row["form"], *counts, *errors, holds])
    return lines


def searches(body: Body) -> Rows:
    """Return what the search finds beside what trying every setting finds."""
    header = ["budget ms", "settings that fit", "asked for", "found", "best of all"]
    lines = [[*header, "found, val %", "best, val %"]]
    for row in body["search"]:
        counts = [str(row[name]) for name in ("fitting", "asked_for")]
        tops = [_percent(row["search_val_top1"]), _percent(row["brute_force_val_top1"])]
        settings = [row["search"], row["brute_force"]]
        lines.append([f"{row['budget_ms']:g}", *counts, *settings, *tops])
    many = body["many_budgets"]
    missed = f"worst: {many['worst_lost_on_val']:g} points lost, {many['missed']} beyond 0.5"
    asked = f"{many['median_asked_for']:g} (median)"
    return [*lines, [f"{many['budgets']} budgets", "-", asked, missed, "-", "-", "-"]]


_SHOWN = "visits to twelve test photographs and noise between them"
_HOSTILE = "what the tests write: damaged, mutated and hostile files, killed processes, full disks"
_BIRDS_30 = "cub_100, first 30 classes, 810 pictures to learn from and 876 to test"
_BIRDS_100 = "cub_100, 2,699 pictures to learn from and 2,903 to test"
_GROCERIES = "grocery_store, first 20 classes, 848 pictures to learn from and 835 to test"
_BIRDS_ASIDE = (
    "cub_100, first 30 classes, 720 pictures to learn from, 180 set aside for choices, 876 to test"
)
_RANDOM = "random weights, no pictures"
_SEVERAL = "three where the column says so; they share the teacher and its 20 draws of each picture"
_FEW = "as the column says; of fewer than three the intervals are over pictures"
_CHOSEN = "choices are made by the pictures set aside"
_TEMPERATURE = "the temperature 3 of KD and TGDA was chosen by the test figures of 30 birds"
_BY_OTHERS = f"{_TEMPERATURE}, which these are, with an LRN14"


def visits(body: Body) -> Rows:
    """Return labels of frames, then events of visits for each correlation of votes."""
    frames, clips = body["frames"], body["clips"]["number"]
    lines = [["", "label changes", "a clip", "right %", "undecided", "mean score %"]]
    changes = frames["label_changes"]
    top1 = _percent(frames["top1"])
    lines.append(["labels of frames", f"{changes:,}", f"{changes / clips:.2f}", top1, "-", "-"])
    for row in body["visits"]:
        name = f"events, correlation {row['correlation']:g}"
        each = f"{row['label_changes'] / clips:.2f}"
        right, score = _percent(row["right_of_all"]), _percent(row["mean_score"])
        lines.append([name, str(row["label_changes"]), each, right, str(row["undecided"]), score])
    return lines


def strangers(body: Body) -> Rows:
    """Return, for each bundle and kind of pictures it does not know, the share it rejects."""
    lines = [["bundle of", "right answers kept %", "asked about", "rejected %", "by score alone %"]]
    for row in body["bundles"]:
        names = [row["data"], _percent(row["kept"])]
        for kind, share in row["rejected"].items():
            alone = row["rejected_by_score_alone"][kind]
            lines.append([*names, kind, _percent(share), _percent(alone)])
            names = ["", ""]
    return lines


def portable(body: Body) -> Rows:
    """Return what each runtime takes for a picture, in float32 and INT8."""
    names = list(body["latency"][0]["median_ms"])
    lines = [["network", "threads", *names, "times PyTorch", "times float", "made in s", "kept"]]
    for row in body["latency"]:
        times = [f"{row['median_ms'][name]:.2f}" for name in names]
        ratios = [f"{row[key]:.2f}" for key in ("int8_over_torch", "int8_over_its_float")]
        made = f"{row['convert_s'] + row['quantize_s']:.0f}"
        kept = _kept(row) if row["threads"] == 1 else "-"
        lines.append([row["network"], str(row["threads"]), *times, *ratios, made, kept])
    return lines


def attacks(body: Body) -> Rows:
    """Return how much was tried of each kind, and what was not held off."""
    lines = [["make", "kind", "tried", "lost", "could not be tried"]]
    for row in body["attacks"]:
        figures = (row["tried"], row["lost"], row["skipped"])
        lines.append([row["goal"], row["part"], *map(str, figures)])
    totals = (sum(row[name] for row in body["attacks"]) for name in ("tried", "lost", "skipped"))
    return [*lines, ["all", "", *map(str, totals)]]


def frigate(body: Body) -> Rows:
    """Return what Frigate makes of each model's answers, in each interpreter."""
    lines = [
        [
            "data",
            "model",
            "interpreter",
            "crops",
            "top-1 %",
            "the bundle %",
            "same answer %",
            "scores apart",
            "named right",
            "named wrong",
            "none that got a name",
            "of kinds never seen",
            "fastest ms",
        ]
    ]
    for row in body["frigate"]:
        objects = row["objects"]
        known, wrong = objects["of_a_class"], objects["named_wrong"]
        lines.append(
            [
                row["data"],
                row["model"],
                row["interpreter"],
                str(row["pictures"]),
                _percent(row["top1"]),
                _percent(row["bundle_top1"]),
                _percent(row["agreement"]),
                f"{row['largest_score_difference']}/256",
                f"{objects['named_right']} of {known}",
                f"{wrong} of {known}",
                *(
                    f"{objects[f'{key}_named']} of {objects[key]}" if objects[key] else "-"
                    for key in ("none_of_kinds_seen", "none_of_kinds_never_seen")
                ),
                f"{row['fastest_ms']:.1f}" if "fastest_ms" in row else "-",
            ]
        )
    return lines


def browser(body: Body) -> Rows:
    """Return what each library takes for a picture in WebAssembly, and LiteRT's INT8 outside."""
    ort, lite = "ONNX Runtime", "LiteRT"
    lines = [
        [
            *("network", "threads", f"{ort} fp32", f"{ort} INT8", f"{lite} fp32", f"{lite} INT8"),
            *("times ONNX Runtime", f"{lite} INT8, native"),
        ]
    ]
    for row in body["web"]:
        times = row["median_ms"]
        rounded = [ms for name, ms in times.items() if name.startswith(ort) and "fp32" not in name]
        best = min(times[f"{ort} fp32"], *rounded)
        lines.append(
            [
                row["network"],
                str(row["threads"]),
                f"{times[f'{ort} fp32']:.1f}",
                f"{min(rounded):.1f}",
                f"{times[f'{lite} fp32']:.1f}",
                f"{times[f'{lite} INT8']:.1f}",
                f"{best / times[f'{lite} INT8']:.1f}",
                f"{row['native_median_ms'][f'{lite} INT8']:.1f}",
            ]
        )
    return lines


TABLES: dict[str, Table] = {
    "runtime": Table(
        ("spine",),
        "`benchmarks/spine.py`",
        promises,
        f"LRN14 at 128 px, {_RANDOM}",
        test_pictures=_NONE,
    ),
    "app": Table(
        ("runtime",),
        "`benchmarks/runtime.py`",
        promises,
        f"LRN14 at 128 px, INT8, {_RANDOM}",
        test_pictures=_NONE,
    ),
    "hour": Table(
        ("months",),
        "`benchmarks/months.py`",
        promises,
        f"EfficientNet-Lite0 at 80 px, INT8, 81 groceries; {_SHOWN}",
        test_pictures="they are what the camera shows",
    ),
    "preprocessing": Table(
        ("preprocessing",),
        "`benchmarks/preprocessing.py`",
        frames,
        "frames of noise",
        test_pictures=_NONE,
    ),
    "grey-levels": Table(
        ("preprocessing",),
        "`benchmarks/preprocessing.py`",
        grey_levels,
        "200 photographs of each set",
    ),
    "litert": Table(
        ("litert",),
        "`benchmarks/litert.py`",
        portable,
        f"{_RANDOM}, noise for calibration",
        test_pictures=_NONE,
    ),
    "web": Table(
        ("web",),
        "`benchmarks/web.py`",
        browser,
        f"{_RANDOM}, noise for calibration",
        test_pictures=_NONE,
    ),
    "frigate": Table(
        ("frigate",),
        "`benchmarks/frigate.py`",
        frigate,
        "cub_100, test split: crops of the eight species learned, and of others as `none`",
    ),
    "training-speed": Table(
        ("training_speed",),
        "`benchmarks/training_speed.py`",
        promises,
        f"{_RANDOM} of data sets",
        "three rounds in turns",
        _NONE,
    ),
    "tgda-30": Table(
        ("tgda-cub_100-30",),
        "`benchmarks/tgda.py`",
        cells_of_tgda,
        _BIRDS_30,
        _SEVERAL,
        f"{_TEMPERATURE}, so these KD and TGDA figures are a little too good",
    ),
    "from-scratch": Table(
        ("from_scratch",),
        "`benchmarks/from_scratch.py`",
        from_scratch,
        _BIRDS_ASIDE,
        _FEW,
        _CHOSEN,
    ),
    "from-scratch-groceries": Table(
        ("from_scratch-grocery_store-20",),
        "`benchmarks/from_scratch.py`",
        from_scratch,
        "grocery_store, first 20 classes, 749 pictures to learn from, 185 set aside for choices, "
        "835 to test",
        _FEW,
        _CHOSEN,
    ),
    "pixels": Table(
        ("from_scratch",),
        "`benchmarks/from_scratch.py`",
        pixels_and_statistics,
        _BIRDS_ASIDE,
        _FEW,
        _CHOSEN,
    ),
    "tgda-groceries": Table(
        ("tgda-grocery_store-20",), "`benchmarks/tgda.py`", cells_of_tgda, _GROCERIES, _SEVERAL
    ),
    "tgda-100": Table(
        ("tgda-cub_100-gpu",),
        "`benchmarks/tgda.py` on a GPU",
        cells_of_tgda,
        _BIRDS_100,
        "as the column says",
        f"{_TEMPERATURE}, which are among these",
    ),
    "teacher": Table(
        ("cub_100-teacher",), "a training by the recipe `cub_100-teacher`", teacher, _BIRDS_100
    ),
    "keep-rates": Table(
        ("keep_rates-cub_100-30", "keep_rates-grocery_store-20"),
        "the sweep `recipes/sweeps/cub_100-keep_rates.yaml`",
        keep_rates,
        f"{_BIRDS_30}; {_GROCERIES}",
        test_pictures=f"{_BY_OTHERS}; the groceries only inherit it",
    ),
    "clca": Table(
        ("clca",),
        "`benchmarks/clca.py`",
        clca,
        _BIRDS_ASIDE,
        _FEW,
        "learning rates are chosen by the pictures set aside",
    ),
    "token-speed": Table(
        ("token_reduction",),
        "`benchmarks/token_reduction.py`",
        token_speed,
        _RANDOM,
        test_pictures=_NONE,
    ),
    "visits": Table(
        ("events",),
        "`benchmarks/events.py`",
        visits,
        "150 of the 872 test pictures of every third class of cub_100, 30 classes",
        test_pictures="the default correlation was chosen by these clips",
    ),
    "unknown": Table(
        ("unknown",),
        "`benchmarks/unknown.py`",
        strangers,
        "test splits of cub_100 (100 birds), grocery_store and elpv (solar cells), at most 500 "
        "pictures of another set; heads on EfficientNet-Lite0 at 128 px, OpenVINO INT8",
    ),
    "second-look-cost": Table(
        ("glsim",), "`benchmarks/glsim.py`", second_look_cost, _RANDOM, test_pictures=_NONE
    ),
    "second-look-accuracy": Table(
        ("glsim",),
        "`benchmarks/glsim.py`",
        second_look_accuracy,
        _BIRDS_30,
        test_pictures=_BY_OTHERS,
    ),
    "adapters": Table(("ila",), "`benchmarks/ila.py`", adapters, _GROCERIES),
    "adapter-steps": Table(
        ("ila",), "`benchmarks/ila.py`", adapter_steps, _RANDOM, "several rounds in turns", _NONE
    ),
    "adapter-int8": Table(("ila",), "`benchmarks/ila.py`", adapter_int8, _GROCERIES),
    "long-tail": Table(
        ("longtail",),
        "`benchmarks/longtail.py`",
        long_tail,
        "elpv, 1,576 pictures to learn from and 654 to test, in 8 grades of 30 to 552",
        test_pictures="nothing was chosen by them; the adjustment's strength is from validation",
    ),
    "elastic": Table(
        ("elastic",),
        "`benchmarks/elastic.py`",
        elastic,
        _BIRDS_ASIDE,
        _FEW,
        f"{_BY_OTHERS}; all runs have it alike",
    ),
    "int8-accuracy": Table(
        ("export",),
        "`benchmarks/export.py`",
        int8_accuracy,
        "as the rows say; cub30 are the first 30 classes of cub_100",
        "one training a network",
        "schemes were chosen on the validation split",
    ),
    "forms-speed": Table(
        ("export",), "`benchmarks/export.py`", forms_speed, _RANDOM, test_pictures=_NONE
    ),
    "depthwise": Table(
        ("mobile_int8",), "`benchmarks/mobile_int8.py`", depthwise, _BIRDS_100, "one training"
    ),
    "depthwise-untrained": Table(
        ("mobile_int8",),
        "`benchmarks/mobile_int8.py`",
        depthwise_untrained,
        _RANDOM,
        test_pictures=_NONE,
    ),
    "decisions": Table(
        ("decisions",),
        "`benchmarks/decisions.py`",
        decisions,
        "validation splits drawn from 2,000 pictures of each network's test split",
        "200 splits of each size",
        "they stand for validation pictures here",
    ),
    "decisions-shipped": Table(
        ("decisions",),
        "`benchmarks/decisions.py`",
        shipped_wrongly,
        "validation splits drawn from 2,000 pictures of each network's test split",
        "200 splits of each size",
        "they stand for validation pictures here",
    ),
    "fine-tuning": Table(
        ("fine_tuning",),
        "`benchmarks/fine_tuning.py`",
        fine_tuning,
        "as the column says; EfficientNet-Lite0 at 96 px, 8 epochs",
    ),
    "resampling": Table(
        ("resampling",),
        "`benchmarks/resampling.py`",
        resampling,
        "cub_100, first 30 classes, 876 test pictures; EfficientNet-Lite0 at 96 px, 4 epochs",
        "three",
    ),
    "fits": Table(
        ("fit",),
        "`benchmarks/fit.py`",
        fits,
        "whole test splits; in brackets by how many points the answer is ahead, 95 % interval",
    ),
    "clipped-sums": Table(
        ("clipped_sums",),
        "`benchmarks/clipped_sums.py`",
        clipped_sums,
        "as the column says; errors are of logits, over their deviation",
        "one training a line",
    ),
    "predictions": Table(
        ("profiler",),
        "`benchmarks/profiler.py`",
        predictions,
        "random settings of 96 to 320 px with EViT and CLCA, none of them probed",
        test_pictures=_NONE,
    ),
    "attacks": Table(
        ("attacks",),
        "`benchmarks/attacks.py`",
        attacks,
        _HOSTILE,
        "one, of the mutated inputs",
        _NONE,
    ),
    "searches": Table(
        ("plan",),
        "`benchmarks/plan.py`",
        searches,
        "cub_100, first 30 classes, 438 pictures to choose by and 438 to test",
    ),
}
"""By name."""
