"""An imported run is evaluated and exported as one that was trained here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from authors import CLASSES, Maker
from authors_cnn import make_residual
from authors_vit import make_clca, make_glsim, make_ila
from runs import CLASSES as LEAVES
from targets import loosened

from edge_fgir.data import open_data
from edge_fgir.exporting import ExportOptions, export
from edge_fgir.runtime import verify

pytestmark = [pytest.mark.export, pytest.mark.slow]

SETTINGS = {
    "tgda": ["image_size=32"],
    "clca": ["model=evit_x", "keep_rate=0.5", "reduction_loc=[1,2,3]"],
    "glsim": ["dynamic_top=3"],
    "ila": ["ila_ds_locs=[0,1]"],
}


def make(kind: str) -> Maker:
    maker = Maker()
    if kind == "tgda":
        channels = make_residual(maker, "encoder.", (1, 2, 1, 1, 1), bottleneck=False)
        maker.linear("dfsm.1", CLASSES, channels)
    elif kind == "clca":
        make_clca(maker, "evit", 64, 5, 4, 3, 0.5)
    elif kind == "glsim":
        make_glsim(maker, 64, 2, 4)
    else:
        make_ila(maker, 64, 4, 6, (0, 1), "ila++")
    return maker


@pytest.mark.parametrize(
    ("kind", "target", "precision"),
    [
        ("tgda", "openvino", "fp32"),
        ("tgda", "arm", "int8"),
        ("clca", "arm", "fp32"),
        ("glsim", "openvino", "fp32"),
        ("glsim", "jetson", "fp16"),
        ("ila", "openvino", "fp32"),
    ],
)
def test_an_imported_run_reaches_a_device(
    run_cli: Callable,
    photos: Path,
    tmp_path: Path,
    kind: str,
    target: str,
    precision: str,
) -> None:
    (tmp_path / "labels.txt").write_text("\n".join(LEAVES))
    torch.save({"model": make(kind).state}, tmp_path / "last.pth")
    run, bundle = tmp_path / "run", tmp_path / "imported.fgir"
    changes = [word for change in SETTINGS[kind] for word in ("--set", change)]
    labels = ("--labels", tmp_path / "labels.txt")
    done = run_cli("import", tmp_path / "last.pth", "--as", kind, *labels, "--out", run, *changes)
    assert done.code == 0, done.err
    assert f"for {CLASSES} classes at" in done.out
    done = run_cli("eval", run, "--data", photos, "--json")
    assert done.code == 0, done.err
    options = ExportOptions(precision=precision)
    export(run, loosened(target, schemes=1), open_data(str(photos)), bundle, options)
    assert all(check.ok for check in verify(bundle, "cpu"))
    if precision == "fp32":
        assert run_cli("eval", bundle, "--data", photos, "--json").json["top1"] == done.json["top1"]
