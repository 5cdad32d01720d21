"""A run folder as one object: its files, its classes, its settings, and what answers for it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from edge_fgir import InputError
from edge_fgir._run_files import RunFiles
from edge_fgir.data import open_data
from edge_fgir.evaluation import SingleLabel, answers, evaluate, top1
from edge_fgir.models.inference import device_name
from edge_fgir.models.setting import Setting
from edge_fgir.runs import Run, RunPredictor

pytestmark = pytest.mark.unit


def test_every_file_of_a_run_has_a_name(tiny_run: Path) -> None:
    files = RunFiles(tiny_run)
    properties = [key for key, value in vars(RunFiles).items() if isinstance(value, property)]
    named = {getattr(files, key).name for key in properties}
    names = {path.name for path in tiny_run.iterdir() if not path.name.startswith("events.")}
    assert names <= named
    assert {"config.yaml", "model.json", "labels.txt", "summary.json", "metrics.jsonl"} <= names


def test_a_run_says_what_it_is(tiny_run: Path) -> None:
    run = Run.open(tiny_run)
    assert run.recipe.name == run.description.name == "tiny"
    assert len(run.labels) == run.description.num_classes == 3
    assert run.weights == tiny_run / "weights.safetensors"
    with pytest.raises(InputError, match="is not a run folder"):
        Run.open(tiny_run.parent)


def test_a_run_at_a_setting_is_described_there_and_as_it_was_trained(tiny_run: Path) -> None:
    run = Run.open(tiny_run)
    small = run.at(Setting(24))
    assert (small.description.preprocess.size, small.trained_as.preprocess.size) == (24, 32)
    assert run.at(None).description == run.description
    assert run.trained_as.setting() is None
    assert run.trained_as.setting(keep_rate=0.5) == Setting(32, 0.5)
    with pytest.raises(InputError, match="a keep rate for tiny, a model without token reduction"):
        run.at(Setting(32, 0.5))


def test_labels_must_be_as_many_as_the_outputs(tiny_run: Path, tmp_path: Path) -> None:
    run = Run.open(Path(shutil.copytree(tiny_run, tmp_path / "run")))
    run.class_names.write_text("a\nb\n")
    with pytest.raises(InputError, match=r"labels\.txt has 2 labels; expected 3, one a class"):
        _ = run.labels


def test_other_classes_are_refused_wherever_a_run_is_used(
    tiny_run: Path, photos: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(photos, tmp_path / "photos"))
    for split in folder.iterdir():
        (split / "red_leaf").rename(split / "blue_leaf")
    other, run = open_data(str(folder)), Run.open(tiny_run)
    uses = (
        lambda: run.check_classes(other),
        lambda: run.predictor(other),
        lambda: answers(RunPredictor(run, run.load()), other, "val"),
    )
    for use in uses:
        with pytest.raises(InputError, match="knows other classes than data photos"):
            use()


def test_a_result_names_the_device_that_computed(
    tiny_run: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_fgir.runs.predictor.device_name", lambda device: f"card of {device}")
    data = open_data(str(photos))
    result = evaluate(Run.open(tiny_run).predictor(data), data, "val")
    assert result.engine == f"torch {torch.__version__} eager card of cpu"


def test_devices_are_named_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"card {device.index}")
    assert device_name(torch.device("cpu")) == "CPU"
    assert device_name(torch.device("cuda", 1)) == "card 1"


def test_networks_answer_where_they_compute_fastest(
    tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = []
    monkeypatch.setattr("edge_fgir.runs.predictor.on_gpu", moved.append)
    run = Run.open(tiny_run)
    network = run.load()
    RunPredictor(run, network)
    assert moved == [network]


def test_another_metric_may_judge_the_answers(tiny_run: Path, photos: Path) -> None:
    class Halved(SingleLabel):
        def figures(self, *arguments, **options):
            whole = super().figures(*arguments, **options)
            return whole.model_copy(update={"top1": whole.top1 / 2})

    data = open_data(str(photos))
    predictor = Run.open(tiny_run).predictor(data)
    result = evaluate(predictor, data, "val", metric=Halved())
    assert result.top1 == top1(predictor, data, "val") / 2


def test_counts_come_from_the_run_or_else_from_its_own_data(
    tiny_run: Path, photos: Path, tmp_path: Path
) -> None:
    data, run = open_data(str(photos)), Run(Path(shutil.copytree(tiny_run, tmp_path / "run")))
    described = json.loads(run.model.read_text())
    del described["train_counts"]
    run.model.write_text(json.dumps(described))
    assert run.train_counts(data) == (24, 24, 24)
    described["data"]["hash"] = "0" * 64
    run.model.write_text(json.dumps(described))
    assert Run(run.path).train_counts(data) == ()
