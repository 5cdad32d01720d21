"""Token reduction from a recipe to a bundle."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from runs import RECIPE, fitted
from shared import Shared

from edge_fgir.models.reduction import ReducedViT
from edge_fgir.runs import Run

pytestmark = pytest.mark.slow

MODEL = {
    "name": "vit_tiny_patch16_224",
    "options": {"depth": 4, "embed_dim": 48},
    "reduction": {
        "method": "evit",
        "keep_rate": 1.0,
        "blocks": [1, 2],
        "cla": True,
        "clr_tokens": 1,
    },
}


@pytest.fixture(scope="module")
def run(photos: Path, shared: Shared) -> Path:
    return fitted(
        shared,
        "reduced",
        photos,
        epochs=2,
        model=MODEL,
        elastic={"keep_rates": [1.0, 0.7, 0.5]},
        optimizer={**RECIPE["optimizer"], "ema_decay": 0.9},
    )


def test_it_is_learned_and_watched_at_every_keep_rate(run: Path) -> None:
    opened = Run.open(run)
    trained, model = opened.description, opened.load()
    assert isinstance(model, ReducedViT)
    assert trained.elastic_keep_rates == (1.0, 0.7, 0.5)
    last = (run / "metrics.jsonl").read_text()
    assert "val_top1_32_0.5" in last


def test_it_is_evaluated_at_another_keep_rate(run_cli: Callable, photos: Path, run: Path) -> None:
    done = run_cli("eval", run, "--data", photos, "--keep-rate", "0.5", "--json")
    assert done.code == 0, done.err
    assert done.json["reduction"]["keep_rate"] == 0.5
    wrong = run_cli("eval", run, "--data", photos, "--keep-rate", "1.5")
    assert wrong.code == 2
    assert "the nearest is 1" in wrong.err
    assert wrong.err.count("\n") == 1


@pytest.mark.export
def test_it_is_exported_at_another_keep_rate(
    run_cli: Callable, photos: Path, run: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "x.fgir"
    arguments = ("--target", "arm", "--precision", "fp32", "--keep-rate", "0.5")
    done = run_cli("export", run, *arguments, "--data", photos, "--out", bundle, "--json")
    assert done.code == 0, done.err
    answer = run_cli("eval", bundle, "--data", photos, "--json")
    torch = run_cli("eval", run, "--data", photos, "--keep-rate", "0.5", "--json")
    assert answer.json["top1"] == pytest.approx(torch.json["top1"], abs=0.01)
    refused = run_cli("eval", bundle, "--data", photos, "--keep-rate", "0.7")
    assert refused.code == 2
    assert "export another bundle with --keep-rate" in refused.err


def test_a_keep_rate_needs_token_reduction(run_cli: Callable, photos: Path, tiny_run: Path) -> None:
    done = run_cli("eval", tiny_run, "--data", photos, "--keep-rate", "0.5")
    assert done.code == 2
    assert "a model without token reduction" in done.err


@pytest.mark.export
def test_ats_is_exported_only_as_what_it_costs(
    run_cli: Callable, photos: Path, run: Path, tmp_path: Path
) -> None:
    ats = tmp_path / "ats"
    shutil.copytree(run, ats)
    described = json.loads((ats / "model.json").read_text())
    described["network"]["reduction"].update(method="ats", keep_rate=0.5)
    (ats / "model.json").write_text(json.dumps(described))
    arguments = ("export", ats, "--target", "arm", "--precision", "fp32", "--data", photos)
    refused = run_cli(*arguments, "--out", tmp_path / "x.fgir")
    assert refused.code == 2
    assert "add --fixed-samples" in refused.err
    done = run_cli(*arguments, "--fixed-samples", "--out", tmp_path / "x.fgir")
    assert done.code == 0, done.err
