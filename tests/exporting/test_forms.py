"""One bundle for several runtimes: each goes through its own gates, then they are joined."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from signing import Keys
from targets import exported, loosened

import edge_fgir as ef
from edge_fgir import Classifier, EngineOptions, GateError, InputError
from edge_fgir.data import DataSet, open_data
from edge_fgir.exporting import (
    ExportOptions,
    FormBegins,
    Target,
    check_candidates,
    export_forms,
    forms,
    read_target,
    variants,
)
from edge_fgir.exporting.forms import join_bundles
from edge_fgir.runtime import Bundle, SigningKey, verify

pytestmark = pytest.mark.export


def names(also: tuple[str, ...]) -> list[str]:
    return [each.name for each in check_candidates(read_target("arm"), also)]


def test_candidates_come_in_the_targets_order() -> None:
    assert names(()) == ["arm"]
    assert names(("openvino", "litert")) == ["litert", "arm", "openvino"]
    with pytest.raises(InputError, match=r"--also jetson with target arm; .*one of litert, open"):
        names(("jetson",))
    with pytest.raises(InputError, match=r"--also arm with target jetson; .*candidates: arm"):
        check_candidates(read_target("jetson"), ("arm",))


@pytest.mark.parametrize("other", ["openvino", exported("litert")])
def test_a_joined_bundle_answers_as_its_parts_do(
    tiny_export: Callable, photos: Path, tmp_path: Path, other: str
) -> None:
    parts = {name: Bundle(tiny_export(name, "int8")) for name in (other, "arm")}
    out, signer = tmp_path / "both.fgir", Keys(tmp_path / "keys")
    key = SigningKey.read(signer.private)
    join_bundles(list(parts.values()), "arm", out, signing_key=key)
    assert all(check.ok for check in verify(out, trust=signer.public))
    both = Bundle(out)
    runtimes = [part.manifest.runtime for part in parts.values()]
    assert (both.manifest.target, list(both.manifest.runtimes)) == ("arm", runtimes)
    pictures = sorted((photos / "test").rglob("*.png"))[:6]
    for part in parts.values():
        asked = EngineOptions(runtime=part.manifest.runtime)
        with Classifier.open(out, asked) as joined, Classifier.open(part.path) as alone:
            assert joined.bundle.calibration == part.calibration
            assert joined.bundle.novelty == part.novelty
            assert joined.bundle.report("parity") == part.report("parity")
            for picture in pictures:
                found, wanted = joined(picture), alone(picture)
                assert found.probabilities.tolist() == wanted.probabilities.tolist()
                assert found.novelty == wanted.novelty
    # What is the same in both is held once.
    assert both.size < sum(part.size for part in parts.values())
    assert [entry.path for entry in both.manifest.files].count("labels.txt") == 1


def test_a_joined_bundle_as_one_file(tiny_export: Callable, tmp_path: Path) -> None:
    parts = [Bundle(tiny_export(name, "fp32")) for name in ("openvino", "arm")]
    out = tmp_path / "both.fgir"
    join_bundles(parts, "arm", out, as_zip=True)
    assert out.is_file()
    with Classifier.open(out, EngineOptions(runtime="onnxruntime")) as model:
        assert model.info["engine"].startswith("onnxruntime")


def test_parts_that_do_not_answer_as_they_did_are_not_joined(
    tiny_export: Callable, tmp_path: Path
) -> None:
    parts = [Bundle(tiny_export(name, "fp32")) for name in ("openvino", "arm")]
    first, second = parts[0].golden.images[:2]
    swapped = [
        first.model_copy(update={"probabilities": second.probabilities[::-1]}),
        *parts[0].golden.images[1:],
    ]
    wrong = parts[0].golden.model_copy(update={"images": swapped})
    original = parts[0].read

    def read(name: str) -> bytes:
        is_golden = name == "golden/expected.json"
        return wrong.model_dump_json().encode() if is_golden else original(name)

    parts[0].read = read  # type: ignore[method-assign]
    out = tmp_path / "both.fgir"
    with pytest.raises(GateError, match="the joined bundle: golden images in openvino"):
        join_bundles(parts, "arm", out)
    assert not out.exists()


def test_each_form_is_exported_in_the_precision_that_the_target_names(
    tiny_run: Path, photos: Path, tmp_path: Path
) -> None:
    target, out = loosened("arm"), tmp_path / "both.fgir"
    options = ExportOptions(precision="fp32", as_zip=True)
    told: list[object] = []
    data = open_data(str(photos))
    bundle = export_forms(tiny_run, target, ("openvino",), data, out, options, told.append)
    assert out.is_file()
    begun = [one.runtime for one in told if isinstance(one, FormBegins)]
    assert begun == ["onnxruntime", "openvino"]
    assert isinstance(told[0], FormBegins)
    found = [bundle.in_runtime(name).manifest for name in bundle.manifest.runtimes]
    assert [(form.runtime, form.precision) for form in found] == [
        ("onnxruntime", "fp32"),
        ("openvino", "fp16"),
    ]


@pytest.mark.parametrize("smaller", [(), (ef.Setting(24),)])
def test_a_bound_that_is_asked_for_holds_for_every_form(
    tiny_run: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    smaller: tuple[ef.Setting, ...],
) -> None:
    bounds: list[tuple[str, float]] = []

    def export(run: Path, target: Target, data: DataSet, out: Path, *rest: object) -> Path:
        bounds.append((target.name, target.gates.max_top1_drop))
        return out

    monkeypatch.setattr(forms, "export", export)
    monkeypatch.setattr(forms, "join_bundles", lambda *made, **how: None)
    monkeypatch.setattr(variants, "join_variants", lambda *made, **how: None)
    for module in (forms, variants):
        monkeypatch.setattr(module, "Bundle", lambda out: out)
    out = tmp_path / "both.fgir"
    ef.export(tiny_run, "arm", str(photos), out, also=("openvino",), variants=smaller, max_drop=7.0)
    assert bounds == [("arm", 7.0), ("openvino", 7.0)] * (1 + len(smaller))
