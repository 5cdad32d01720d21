"""What GLSim's selection costs on this machine's CPU, and what a second look gives.

    .venv/bin/python benchmarks/glsim.py
    .venv/bin/python benchmarks/glsim.py --base runs/vitfs_nano --teacher runs/teacher --data D

Without --data, speed: networks are exported (float32, batch 1, fixed shapes) with random weights,
and take turns in one run; the value is a share of the medians. The selection's own share (asked:
at most 1 %) is found beside the same graph whose box is a constant; with the crop's resize it is
found beside one that looks at the whole picture again.

With --data, accuracy: a ViTFS-N that was trained from scratch is fine-tuned by recipe
cub_100-vitfs_nano-glsim-cpu with and without GLSim, for as many epochs, and both are exported as
INT8 and evaluated on the test split. `--quick` only shows that speed works.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from timed import RUNTIMES, Case, Run
from torch import Tensor, nn

from edge_fgir import runs
from edge_fgir._files import write_json
from edge_fgir.benchmarking import Protocol, WarmUp, environment, measure
from edge_fgir.data import DataSet, labels_of, open_data, prepared_images
from edge_fgir.evaluation import drop_interval
from edge_fgir.exporting import ExportOptions, export, read_target
from edge_fgir.exporting.graph import to_onnx
from edge_fgir.models import Network, summarize
from edge_fgir.models.folding import folded
from edge_fgir.models.glsim import CropForm, GLSim, GLSimOptions
from edge_fgir.models.glsim.selection import Selected, Selection, crop
from edge_fgir.models.inference import logits_of
from edge_fgir.runtime import Classifier
from edge_fgir.runtime.manifest import Normalization
from edge_fgir.training import read_recipe, train

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "glsim.json"
NORMALIZATION = Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
RECIPE = "cub_100-vitfs_nano-glsim-cpu"
CLASSES = 200
MOST_SHARE = 1.0
"""Percent of the latency that choosing the box may take."""
MOST_DROP = 1.0
"""Points of top-1 that INT8 may cost."""
TARGETS = ("openvino", "arm")
_MIN_RUNS = 60

NETWORKS = (Case("vitfs_tiny", 224), Case("vit_base_patch16_224", 224))
QUICK = (Case("vitfs_nano", 96),)


@dataclass(frozen=True)
class Setting:
    """How often a network looks, and what of the selection is left out."""

    glsim: bool = True
    form: CropForm = "grid_sample"
    fixed: bool = False
    whole: bool = False

    def __str__(self) -> str:
        if not self.glsim:
            return "one look"
        left_out = ", constant box" if self.fixed else ", whole picture" if self.whole else ""
        return f"GLSim, {self.form}{left_out}"


ONCE = Setting(glsim=False)
SETTINGS = (
    ONCE,
    Setting(),
    Setting(fixed=True),
    Setting(form="matmul"),
    Setting(form="matmul", fixed=True),
    Setting(whole=True),
)


class Blind(nn.Module):
    """Stands in for a selection: a constant box, or the whole picture without a crop.

    Args:
        selection: Its form of the crop is kept.
        side: Of the input, pixels.
        whole: Do not even crop.
    """

    def __init__(self, selection: Selection, side: int, whole: bool) -> None:
        super().__init__()
        self.form, self.whole = selection.form, whole
        self.box: Tensor
        quarter = side // 4
        box = torch.tensor([[quarter, quarter, side - quarter, side - quarter]])
        self.register_buffer("box", box.float())

    def forward(self, images: Tensor, summary: Tensor, patches: Tensor) -> Selected:
        """Return what to look at again."""
        # Negated: a runtime computes the same pass over the same pixels once.
        again = -images if self.whole else crop(images, self.box, self.form)
        return Selected(again, self.box, patches[:, :1, :1])


def build(network: Case, setting: Setting) -> tuple[onnx.ModelProto, float]:
    """Return the exported graph and its GMACs."""
    torch.manual_seed(0)
    options = GLSimOptions(zero_head=False) if setting.glsim else None
    model = Network(name=network.name, glsim=options).build(CLASSES, network.size).eval()
    gmacs = summarize(model, str(network), network.size, CLASSES).gmacs
    form: Any = folded(model, crop_form=setting.form)
    if setting.fixed or setting.whole:
        form.selection = Blind(form.selection, network.size, setting.whole)
    return to_onnx(form, NORMALIZATION, network.size, opset=18), gmacs


def speed_of(network: Case, seconds: float) -> Iterator[dict[str, Any]]:
    """Time every setting of a network in both runtimes."""
    image = np.random.default_rng(0).integers(
        0, 256, (1, network.size, network.size, 3), dtype=np.uint8
    )
    graphs = {setting: build(network, setting) for setting in SETTINGS}
    calls: dict[str, Run] = {}
    for runtime, load in RUNTIMES.items():
        calls.clear()  # one runtime's networks at a time: they are large
        calls = {str(s): load(graph, image) for s, (graph, _) in graphs.items()}
        found = measure(
            calls, Protocol(seconds=seconds, runs=_MIN_RUNS, warm_up=WarmUp(most_s=5.0))
        )
        p50 = {s: found[str(s)].p50_ms for s in SETTINGS}
        for setting in SETTINGS:
            row: dict[str, Any] = {
                "network": str(network),
                "runtime": runtime,
                "setting": str(setting),
                "gmacs": round(graphs[setting][1], 4),
                "p50_ms": round(p50[setting], 3),
                "over_one_look": round(p50[setting] / p50[ONCE], 3),
            }
            if setting.glsim and not (setting.fixed or setting.whole):
                share = 100 * (1 - p50[replace(setting, fixed=True)] / p50[setting])
                cut = 100 * (1 - p50[Setting(whole=True)] / p50[setting])
                row |= {
                    "selection_percent": round(share, 2),
                    "with_crop_percent": round(cut, 2),
                    "bound": f"selection <= {MOST_SHARE:g} %",
                    "ok": bool(share <= MOST_SHARE),
                }
            yield row


def accuracy_of(arguments: argparse.Namespace, data: DataSet) -> Iterator[dict[str, Any]]:
    """Fine-tune with and without GLSim, and evaluate torch and the INT8 bundles on the test."""
    labels = labels_of(data.split("test"))
    answers: dict[str, np.ndarray] = {}
    for setting, override in (("one look", ["model.glsim=null"]), ("GLSim", [])):
        overrides = [
            f"model.weights={arguments.base / 'ema.safetensors'}",
            f"teacher.run={arguments.teacher}",
            *(f"{part}" for part in arguments.set),
            *override,
        ]
        recipe = read_recipe(RECIPE, overrides)
        run = arguments.work / setting.replace(" ", "_")
        train(recipe, data, run, resume=True)
        opened = runs.Run.open(run)
        trained, model = opened.description, opened.load()
        size = trained.preprocess.size
        images = prepared_images(data, data.split("test"), trained.preprocess)
        right = logits_of(model, images, trained.normalization, "torch").argmax(axis=1)
        answers[setting] = right == labels
        summary = summarize(model, trained.name, size, trained.num_classes)
        common = {
            "network": f"{trained.network.name} {size} px",
            "setting": setting,
            "data": data.name,
            "test_images": len(labels),
            "epochs": recipe.epochs,
            "params": summary.params,
            "gmacs": round(summary.gmacs, 4),
        }
        gained = {}
        if isinstance(model, GLSim):
            low, high = drop_interval(answers["one look"], answers["GLSim"])
            gained = {
                "gain": round(percent(answers["GLSim"]) - percent(answers["one look"]), 2),
                "gain_interval": [round(-high, 2), round(-low, 2)],
            }
        yield {**common, "form": "torch", "top1": round(percent(answers[setting]), 2), **gained}
        for name in TARGETS:
            bundle = arguments.work / f"{setting.replace(' ', '_')}-{name}.fgir"
            exported = export(run, read_target(name), data, bundle, ExportOptions(precision="int8"))
            with Classifier.open(bundle) as classifier:
                found = np.concatenate([classifier.infer(image[None]) for image in images])
            correct = found.argmax(axis=1) == labels
            drop = percent(answers[setting]) - percent(correct)
            row = {
                **common,
                "form": f"{name} {exported.manifest.precision}",
                "scheme": exported.report("quantization")["chosen"],
                "top1": round(percent(correct), 2),
                "drop": round(drop, 2),
                "drop_interval": [round(v, 2) for v in drop_interval(answers[setting], correct)],
                "agreement": round(percent(found.argmax(axis=1) == right), 2),
                "model_bytes": exported.model_size,
                "bound": f"drop <= {MOST_DROP:g}",
                "ok": bool(drop <= MOST_DROP),
            }
            if setting == "GLSim":
                row["regions"] = exported.report("regions")
            yield row


def percent(right: np.ndarray) -> float:
    """Return the share of true values, percent."""
    return 100 * float(right.mean())


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print rows as they are."""
    for row in rows:
        print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="for each setting")
    parser.add_argument("--quick", action="store_true", help="see that it works; tells no speed")
    parser.add_argument("--only", nargs="+", default=[], help="networks whose speed is measured")
    parser.add_argument("--data", help="data folder: measure accuracy, not speed")
    parser.add_argument("--name", default="", help="what the data is called in the result")
    parser.add_argument("--base", type=Path, help="run folder of the ViTFS-N to be fine-tuned")
    parser.add_argument("--teacher", type=Path, help="run folder of its teacher")
    parser.add_argument("--work", type=Path, default=Path("runs/glsim"), help="for the trainings")
    parser.add_argument("--set", nargs="+", default=[], help="more of the recipe, key=value")
    parser.add_argument("--out", type=Path, help=f"result file; a whole run: {RESULT}")
    arguments = parser.parse_args()
    out = arguments.out or (None if arguments.quick else RESULT)
    body: dict[str, Any] = {"schema": "edge-fgir/benchmark/1", "selection": [], "accuracy": []}
    if out is not None and out.exists():
        body |= json.loads(out.read_text())
    networks: Sequence[Case] = QUICK if arguments.quick else NETWORKS
    if arguments.data:
        body["accuracy"] = []
        for row in accuracy_of(arguments, open_data(arguments.data)):
            row["data"] = arguments.name or row["data"]
            show([row])
            body["accuracy"].append(row)
            save(out, body)
        return
    for network in networks:
        if arguments.only and str(network) not in arguments.only:
            continue
        found = list(speed_of(network, 0.2 if arguments.quick else arguments.seconds))
        show(found)
        others = [row for row in body["selection"] if row["network"] != str(network)]
        body["selection"] = [*others, *found]
        save(out, body)


def save(out: Path | None, body: dict[str, Any]) -> None:
    """Write the result so far; nothing in a quick run."""
    if out is not None:
        write_json(out, {**body, "environment": environment().model_dump(mode="json")})


if __name__ == "__main__":
    main()
