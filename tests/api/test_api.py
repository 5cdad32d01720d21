"""The Python API: every name is there when asked for, and every example runs as it stands."""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from runs import write_recipe

import edge_fgir as ef
from edge_fgir.benchmarking import Protocol, WarmUp
from edge_fgir.profiling import Request

FUNCTIONS = ("bench", "evaluate", "export", "open_source", "profile", "train", "verify")
CLASSES = ("Bundle", "Classifier", "Run")
EXAMPLE = re.compile(r"^Example::\n\n((?:    .*\n|\n)+)", re.MULTILINE)


def examples(text: str | None) -> list[str]:
    """Return the code of a docstring's examples."""
    return [textwrap.dedent(code) for code in EXAMPLE.findall(inspect.cleandoc(text or "") + "\n")]


@pytest.fixture
def workplace(
    tmp_path: Path,
    photos: Path,
    tiny_run: Path,
    tiny_export: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A working folder in which the files that examples name are there."""
    shutil.copytree(photos, tmp_path / "photos")
    shutil.copytree(tiny_run, tmp_path / "runs" / "student")
    shutil.copytree(tiny_export("openvino", "fp32"), tmp_path / "birds.fgir")
    shutil.copy(next((photos / "test").rglob("*.png")), tmp_path / "photo.png")
    write_recipe(tmp_path / "recipe.yaml", epochs=1)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_public_name_is_imported_when_asked_for() -> None:
    assert set(ef.__all__) == set(dir(ef))
    for name in ef.__all__:
        assert getattr(ef, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Classifyer'"):
        _ = ef.Classifyer


@pytest.mark.unit
@pytest.mark.parametrize("name", [*FUNCTIONS, *CLASSES])
def test_each_function_and_class_has_an_example(name: str) -> None:
    assert examples(getattr(ef, name).__doc__)


@pytest.mark.unit
@pytest.mark.parametrize("name", ["bench", "evaluate", "verify", "open_source", "Bundle"])
def test_what_a_device_uses_needs_no_torch(name: str) -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['timm'] = sys.modules['onnx'] = None; "
        f"import edge_fgir; edge_fgir.{name}"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True)


@pytest.mark.export
@pytest.mark.parametrize("name", [*FUNCTIONS, *CLASSES])
def test_its_example_runs(
    name: str, workplace: Path, quick_bench: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "train":
        shutil.rmtree(workplace / "runs" / "student")
    if name == "profile":
        brief = Protocol(runs=20, warm_up=WarmUp(least_s=0, most_s=0.05))
        quick = partial(Request, probing=brief, benching=brief)
        monkeypatch.setattr("edge_fgir.api._profile.Request", quick)
    for code in examples(getattr(ef, name).__doc__):
        exec(compile(code, f"<example of {name}>", "exec"), {"__name__": "__main__"})


@pytest.mark.export
def test_a_run_goes_from_photographs_to_a_bundle_as_the_packages_page_says(workplace: Path) -> None:
    shutil.rmtree(workplace / "runs")
    blocks = re.findall(r"::\n\n((?:    .*\n|\n)+)", (ef.__doc__ or "") + "\n")
    assert len(blocks) == 2
    for code in blocks:
        exec(compile(textwrap.dedent(code), "<the package's docstring>", "exec"), {})


@pytest.mark.export
def test_a_bundle_is_evaluated_as_the_run_was(workplace: Path) -> None:
    of_run = ef.evaluate(ef.Run.open(workplace / "runs" / "student"), "photos")
    with ef.Classifier.open("birds.fgir") as model:
        of_bundle = ef.evaluate(model, "photos")
    assert of_run.images == of_bundle.images == 36
    assert of_run.top1 == of_bundle.top1 == ef.evaluate("birds.fgir", "photos").top1


@pytest.mark.export
def test_what_is_fixed_in_a_bundle_is_refused_for_it(workplace: Path) -> None:
    with pytest.raises(ef.InputError, match=r"a logit adjustment for the bundle birds\.fgir"):
        ef.evaluate("birds.fgir", "photos", logit_adjustment=1.0)
    with pytest.raises(ef.InputError, match="nothing does not exist; expected a run folder or a b"):
        ef.evaluate("nothing", "photos")
