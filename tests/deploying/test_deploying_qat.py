"""``edge-fgir export --qat-epochs``: when the run is trained on, and what becomes of it."""

import shutil
from dataclasses import replace

import pytest
from safetensors.torch import load_file, save_file

from edge_fgir import GateError
from edge_fgir.deploying import qat
from edge_fgir.exporting import search
from edge_fgir.results import ParityReport, Verdict
from edge_fgir.runs import Run
from edge_fgir.runtime import Bundle
from edge_fgir.training import QATResult

pytestmark = pytest.mark.export


@pytest.fixture(scope="module")
def own_run(tiny_run, tmp_path_factory):
    """A copy of the tiny run, as training on leaves another run inside it."""
    return shutil.copytree(tiny_run, tmp_path_factory.mktemp("rescue") / "run")


@pytest.fixture
def export(run_cli, own_run, photos, tmp_path):
    def run(*options):
        arguments = ("--target", "arm", "--data", photos, "--out", tmp_path / "x.fgir")
        return run_cli("export", own_run, *arguments, *options)

    return run


@pytest.fixture
def refused(monkeypatch):
    """No INT8 scheme of the first run keeps the bounds; what comes later does."""
    searches, runs = [], search.Search.run
    trials = search.Search._int8

    def run(self, *arguments, float_too, **options):
        searches.append(self)
        choice = runs(self, *arguments, float_too=float_too, **options)
        if len(searches) == 1 and not float_too:
            raise GateError("gate 'int8' failed")
        return choice

    def trial(self, *arguments, **options):
        found = trials(self, *arguments, **options)
        if len(searches) > 1:
            return found
        return [replace(each, broken="too bad") for each in found]

    monkeypatch.setattr(search.Search, "run", run)
    monkeypatch.setattr(search.Search, "_int8", trial)
    return searches


def test_int8_that_keeps_its_bounds_needs_no_training(export, tmp_path):
    done = export("--precision", "int8", "--max-drop", "100", "--qat-epochs", "1")
    assert done.code == 0
    assert "trained on" not in done.err
    assert Bundle(tmp_path / "x.fgir").manifest.precision == "int8"


def test_int8_that_breaks_a_bound_is_trained_and_exported(export, refused, tmp_path):
    done = export("--precision", "int8", "--max-drop", "100", "--qat-epochs", "1")
    assert done.code == 0, done.err
    assert "gate 'int8' failed" in done.err
    assert "trained on for 1 epochs as INT8 computes" in done.err
    assert Bundle(tmp_path / "x.fgir").manifest.precision == "int8"
    assert len(refused) == 2


def lost(run, bound):
    """A training after which the run is surely 7 points behind."""
    return QATResult(run, Verdict(drop=7.0, interval=(6.0, 8.0), bound=bound, images=36))


def test_training_that_loses_more_than_the_bound(export, refused, tmp_path, monkeypatch):
    monkeypatch.setattr(qat, "train_quantization_aware", lambda run, *a, bound: lost(run, bound))
    done = export("--precision", "int8", "--max-drop", "2", "--qat-epochs", "1")
    assert done.code == 1
    assert (
        "loses 7.00 points (95 %: 6.00 to 8.00) of top-1 in float, expected at most 2" in done.err
    )
    assert not (tmp_path / "x.fgir").exists()


def test_auto_keeps_the_float_bundle_where_training_does_not_help(
    export, refused, tmp_path, monkeypatch
):
    monkeypatch.setattr(qat, "train_quantization_aware", lambda run, *a, bound: lost(run, bound))
    done = export("--max-drop", "2", "--qat-epochs", "1")
    assert done.code == 0, done.err
    assert "the fp32 bundle stays" in done.err
    assert Bundle(tmp_path / "x.fgir").manifest.precision == "fp32"


def test_auto_replaces_the_float_bundle_where_training_helps(export, refused, tmp_path):
    done = export("--max-drop", "100", "--qat-epochs", "1")
    assert done.code == 0, done.err
    assert "trained on for 1 epochs" in done.err
    assert Bundle(tmp_path / "x.fgir").manifest.precision == "int8"


def test_auto_does_not_train_where_int8_is_only_slower(export, tmp_path, monkeypatch):
    def slow(self, trials):
        return [replace(t, p50_ms=2.0 if t.precision == "int8" else 1.0) for t in trials]

    monkeypatch.setattr(search.Search, "_timed", slow)
    done = export("--max-drop", "100", "--qat-epochs", "1")
    assert done.code == 0, done.err
    assert "trained on" not in done.err
    assert Bundle(tmp_path / "x.fgir").manifest.precision == "fp32"


def test_float_needs_no_quantization_aware_training(export):
    done = export("--precision", "fp32", "--qat-epochs", "1")
    assert done.code != 0
    assert "--qat-epochs with precision fp32; expected auto or int8" in done.err


def trained_on(run, bound):
    """A training whose loss in float 36 pictures do not decide."""
    return QATResult(run, Verdict(drop=0.3, interval=(-0.4, 1.0), bound=bound, images=36))


def with_classes_changed(run, out):
    """Copy a run and let its classifier answer with the next class."""
    copy = Run.open(shutil.copytree(run, out))
    tensors = load_file(copy.weights)
    (head,) = (name for name, each in tensors.items() if each.ndim == 2 and each.shape[0] == 3)
    for name in (head, head.replace("weight", "bias")):
        tensors[name] = tensors[name].roll(1, 0)
    save_file(tensors, copy.weights)
    return copy.path


def test_the_bundle_is_held_against_the_run_that_was_trained_on(
    export, refused, own_run, tmp_path, monkeypatch
):
    """What the training lost counts, whatever was expected of it."""
    other = with_classes_changed(own_run, tmp_path / "other")
    monkeypatch.setattr(
        qat, "train_quantization_aware", lambda run, *a, bound: trained_on(other, bound)
    )
    done = export("--precision", "int8", "--max-drop", "20", "--qat-epochs", "1")
    assert done.code == 1
    assert "gate 'bundle' failed on 36 validation images: top-1 falls by" in done.err
    assert "expected at most 20;" in done.err
    assert not (tmp_path / "x.fgir").exists()


def test_a_loss_that_few_pictures_do_not_decide_is_not_certified(
    export, refused, own_run, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        qat, "train_quantization_aware", lambda run, *a, bound: trained_on(run, bound)
    )
    done = export("--precision", "int8", "--max-drop", "4", "--qat-epochs", "1")
    assert done.code == 0, done.err
    parity = ParityReport.of(Bundle(tmp_path / "x.fgir"))
    assert [stage.name for stage in parity.stages] == ["folded", "onnx", "int8", "bundle"]
    assert parity.bounds.max_top1_drop == 4
    int8, bundle = parity.stages[2:]
    assert int8.certified  # against what the training ended with, by views
    assert bundle.verdict.bound == 4
    assert bundle.verdict.state == "undecided"
    assert not bundle.certified
    assert "too few to be sure of 4 points" in done.out
