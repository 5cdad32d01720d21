from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from bundles import LABELS, edit_manifest, make_bundle, zip_bundle

from edge_fgir import InputError
from edge_fgir.runtime import Bundle, Manifest, bundle_store

pytestmark = pytest.mark.unit


@pytest.fixture
def copy(tiny_bundle, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "copy.fgir"))


@pytest.fixture(params=["folder", "zip"])
def either(request, tiny_bundle, tmp_path) -> Path:
    """The same bundle as a folder and as a zip."""
    if request.param == "folder":
        return tiny_bundle
    return zip_bundle(tiny_bundle, tmp_path / "colours.fgir.zip")


def refusal(path: Path | str) -> str:
    with pytest.raises(InputError) as caught:
        list(Bundle(path).check_files())
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert str(path) in text
    assert caught.value.exit_code == 2
    return text


def test_everything_inside_can_be_read(either, tiny_bundle):
    bundle = Bundle(either)
    assert bundle.labels == LABELS
    assert bundle.preprocess.size == 32
    assert bundle.calibration.unknown_threshold == 0.5
    assert [image.file for image in bundle.golden.images] == ["red.png", "green.png", "blue.png"]
    assert bundle.report("accuracy") == {"top1": 100.0}
    assert bundle.manifest.target == "openvino"
    for entry in bundle.manifest.files:
        assert bundle.read(entry.path) == (tiny_bundle / entry.path).read_bytes()


def test_a_path_may_be_text(tiny_bundle):
    assert Bundle(str(tiny_bundle)).labels == LABELS


def test_the_manifest_lists_every_file_but_itself(tiny_bundle):
    found = {p.relative_to(tiny_bundle).as_posix() for p in tiny_bundle.rglob("*") if p.is_file()}
    listed = [entry.path for entry in Bundle(tiny_bundle).manifest.files]
    assert sorted(found) == sorted([*listed, "manifest.json"])


def test_sizes(either, tiny_bundle):
    def total(pattern: str) -> int:
        return sum(p.stat().st_size for p in tiny_bundle.glob(pattern) if p.is_file())

    bundle = Bundle(either)
    assert bundle.size == total("**/*") - total("manifest.json")
    assert bundle.model_size == total("openvino/*")


def test_the_model_size_of_one_file(arm_bundle, jetson_bundle):
    for path in (arm_bundle, jetson_bundle):
        assert Bundle(path).model_size == (path / "model.onnx").stat().st_size


def test_check_files_says_what_was_compared(either):
    files, contents = Bundle(either).check_files()
    assert (files.name, files.ok, contents.name, contents.ok) == ("files", True, "contents", True)
    assert files.detail.startswith("10 files, ")
    assert contents.detail == "3 labels, input 32 px"


def test_labels_may_be_of_any_script(tmp_path):
    labels = ("Blaumeise", "シジュウカラ", "great tit, male", "Ø")
    assert Bundle(make_bundle(tmp_path / "birds.fgir", labels=labels)).labels == labels


def test_manifest_text_round_trip(tiny_bundle):
    text = (tiny_bundle / "manifest.json").read_bytes()
    assert Manifest.parse(text, "x").dump().encode() == text


def test_what_is_not_there(tmp_path):
    text = refusal(tmp_path / "no.fgir")
    assert text.endswith("does not exist; expected a bundle; make one with: edge-fgir export")


def test_a_folder_that_is_no_bundle(tmp_path):
    (tmp_path / "photo.png").touch()
    assert "has no manifest.json; expected a bundle; make one with" in refusal(tmp_path)


_FORK = """
import os, sys
from edge_fgir.runtime import Bundle

bundle = Bundle(sys.argv[1])
names = [entry.path for entry in bundle.manifest.files]
wanted = [bundle.read(name) for name in names]
children = []
for _ in range(2):
    child = os.fork()
    if not child:
        os.chdir("/")
        for _ in range(300):
            assert [bundle.read(name) for name in names] == wanted
        sys.exit()
    children.append(child)
assert [bundle.read(name) for name in names] == wanted
sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_forked_processes_read_together(tiny_bundle, tmp_path):
    zip_bundle(tiny_bundle, tmp_path / "a.zip")
    done = subprocess.run(
        [sys.executable, "-c", _FORK, "a.zip"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_zip_that_was_replaced_is_looked_through_again_in_a_forked_process(tiny_bundle, tmp_path):
    path = zip_bundle(tiny_bundle, tmp_path / "a.zip")
    bundle = Bundle(path)
    zip_bundle(tiny_bundle, tmp_path / "b.zip", compression=zipfile.ZIP_DEFLATED).replace(path)
    assert bundle.read("labels.txt")  # this process has the one that it opened
    assert isinstance(bundle._store, bundle_store._Zip)
    bundle._store.forked()
    with pytest.raises(InputError, match="is compressed or a folder"):
        bundle.read("labels.txt")


@pytest.mark.parametrize("data", [b"", b"this is no zip\n" * 20, b"PK\x03\x04" + b"\0" * 100])
def test_a_file_that_is_no_bundle(data, tmp_path):
    (tmp_path / "a.fgir").write_bytes(data)
    assert "expected a bundle folder or zip" in refusal(tmp_path / "a.fgir")


def test_a_zip_that_is_no_bundle(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert "has no manifest.json" in refusal(tmp_path / "a.zip")


def test_a_zip_of_the_folder_itself_is_no_bundle(tiny_bundle, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for file in filter(Path.is_file, tiny_bundle.rglob("*")):
            archive.write(file, f"birds.fgir/{file.relative_to(tiny_bundle)}")
    text = refusal(tmp_path / "a.zip")
    assert "has no manifest.json, but a folder in it has" in text
    assert text.endswith("make the zip of the folder with: edge-fgir pack")


def test_an_extra_file_is_named(copy):
    (copy / "golden" / "new.png").touch()
    assert "golden/new.png is not listed in the manifest" in refusal(copy)


def test_a_missing_file_is_named(copy):
    (copy / "golden" / "green.png").unlink()
    assert "golden/green.png is missing; expected every file the manifest lists" in refusal(copy)


def test_a_changed_file_is_named(copy):
    path = copy / "labels.txt"
    path.write_text(path.read_text().replace("red", "rad"))
    assert "labels.txt was changed: its SHA-256 differs from the manifest's" in refusal(copy)


def test_a_longer_file_is_named(copy):
    with (copy / "labels.txt").open("a") as file:
        file.write("violet\n")
    assert "labels.txt has 22 bytes; expected 15 as sealed; copy the bundle again" in refusal(copy)


def test_a_file_changed_after_opening_is_noticed(copy):
    bundle = Bundle(copy)
    (copy / "labels.txt").write_text("red\ngreen\nblau\n")
    with pytest.raises(InputError, match=r"labels\.txt was changed"):
        _ = bundle.labels


def test_a_file_gone_after_opening_is_noticed(copy):
    bundle = Bundle(copy)
    shutil.rmtree(copy / "openvino")
    with pytest.raises(InputError, match=r"openvino/model\.xml"):
        bundle.read("openvino/model.xml")


@pytest.mark.parametrize("name", ["no.txt", "manifest.json", "../x", "golden", "golden/../x"])
def test_only_listed_files_are_handed_out(either, name):
    with pytest.raises(InputError, match=r"has no file .*; expected a file the manifest lists"):
        Bundle(either).read(name)


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"labels.txt": b"red\ngreen\n"}, r"labels\.txt has 2 lines; expected 3, one a class"),
        ({"labels.txt": b"red\ngr\xffn\nblue\n"}, r"labels\.txt: .*; expected UTF-8 text"),
        ({"labels.txt": None}, r"has no file labels\.txt"),
        ({"preprocess.json": b'{"size": 64}'}, r"makes pictures of 64 px; .* \(32, 32, 3\)"),
        ({"preprocess.json": b'{"size": 8}'}, r"preprocess\.json: .*; expected a Preprocess"),
        (
            {"preprocess.json": b'{"size": 32, "mean": 0}'},
            r"preprocess\.json has an unknown key mean",
        ),
        ({"preprocess.json": b"{"}, r"preprocess\.json: text: Invalid JSON"),
        ({"preprocess.json": None}, r"has no file preprocess\.json"),
        ({"calibration.json": b"{}"}, r"calibration\.json: \w+: Field required"),
        ({"calibration.json": None}, r"has no file calibration\.json"),
        ({"golden/expected.json": b"[]"}, r"golden/expected\.json: .*; expected a Golden"),
        (
            {"golden/expected.json": b'{"tolerance": 0.1, "images": []}'},
            r"golden/expected\.json: images: List should have at least 1 item",
        ),
        (
            {"golden/expected.json": b'{"tolerance": NaN, "images": []}'},
            r"golden/expected\.json: tolerance: Input should be less than or equal to 1",
        ),
    ],
)
def test_sealed_contents_must_fit_together(replaced, message, tmp_path):
    path = make_bundle(tmp_path / "odd.fgir", replaced=replaced)
    with pytest.raises(InputError, match=message):
        list(Bundle(path).check_files())
    refusal(path)


@pytest.mark.parametrize("name", ["unknown_threshold", "temperature", "ece_before"])
@pytest.mark.parametrize("value", ["NaN", "Infinity", "-1.0"])
def test_calibration_has_finite_numbers(name, value, tiny_bundle, tmp_path):
    values = json.loads((tiny_bundle / "calibration.json").read_text())
    data = json.dumps({**values, name: 0.123}).replace("0.123", value).encode()
    path = make_bundle(tmp_path / "odd.fgir", replaced={"calibration.json": data})
    assert f"calibration.json: {name}: Input should be" in refusal(path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "schema",
            "edge-fgir/bundle/3",
            ": schema: Input should be 'edge-fgir/bundle/1' or 'edge-",
        ),
        ("schema", None, ": schema: Input should be 'edge-fgir/bundle/1' or 'edge-"),
        (
            "runtime",
            "tflite",
            ": runtime: 'tflite' is none of openvino, onnxruntime, litert, ",
        ),
        (
            "precision",
            "int4",
            ": precision: Input should be 'int8', 'int8-bf16', 'bf16', 'fp16' or 'fp32'",
        ),
        ("task", "detection", ": task: Input should be 'classification'"),
        ("params", -1, ": params: Input should be greater than or equal to 0"),
        ("output", {"name": "p", "classes": 1}, ": output.classes: Input should be greater"),
        ("input", {"name": "x", "shape": [1, 32, 32]}, ": input.shape.3: Field required"),
        ("normalization", {"mean": [float("nan")] * 3, "std": [1, 1, 1]}, ": normalization.mean.0"),
        ("comment", "hello", " has an unknown key comment"),
        ("files", "all", ": files: Input should be a valid"),
    ],
)
def test_a_manifest_of_another_kind(key, value, message, copy):
    edit_manifest(copy, lambda manifest: manifest.update({key: value}))
    assert f"manifest.json{message}" in refusal(copy)
    assert "expected schema edge-fgir/bundle/1 or 2; export the bundle again" in refusal(copy)


@pytest.mark.parametrize("key", ["schema", "files", "seal", "name", "input", "data"])
def test_a_manifest_without_a_field(key, copy):
    path = copy / "manifest.json"
    values = json.loads(path.read_text())
    del values[key]
    path.write_text(json.dumps(values, indent=2) + "\n")
    refusal(copy)


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"null", b"not json", b"\xff\xfe", b'{"schema": ', b"[" * 100_000]
)
def test_a_manifest_that_is_no_manifest(data, copy):
    (copy / "manifest.json").write_bytes(data)
    refusal(copy)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + b"\n",
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text.replace(b'"created"', b'"created" '),
        lambda text: text.replace(b'"params": 9', b'"params": 9.0'),
        lambda text: text.replace(b'"name": "c', b'"name": "\\u0063'),
        lambda text: text.replace(b'"task"', b'"precision": "fp32",\n  "task"'),
        lambda text: text.replace(b'"params": 9', b'"params": 8'),
        lambda text: text.replace(b"2026", b"2025"),
        lambda text: text.replace(b"CC0-1.0", b"CC0-1.1"),
    ],
    ids=range(9),
)
def test_a_manifest_that_says_the_same_or_nearly_in_other_words(change, copy):
    path = copy / "manifest.json"
    before = path.read_bytes()
    path.write_bytes(change(before))
    assert path.read_bytes() != before
    assert "manifest.json was changed after export" in refusal(copy)


def test_the_label_count_must_be_the_models(copy):
    edit_manifest(copy, lambda manifest: manifest["output"].update(classes=4))
    assert "labels.txt has 3 lines; expected 4" in refusal(copy)


def test_the_input_size_must_be_the_models(copy):
    edit_manifest(copy, lambda manifest: manifest["input"].update(shape=[1, 64, 64, 3]))
    assert "makes pictures of 32 px; expected the model's input (64, 64, 3)" in refusal(copy)


def test_a_broken_report_is_no_reason_to_refuse_the_model(tmp_path):
    path = make_bundle(tmp_path / "odd.fgir", replaced={"reports/accuracy.json": b"{"})
    assert len(list(Bundle(path).check_files())) == 2
