"""What all commands have in common, and the small ones: exit codes, one-line errors, JSON, help."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from bundles import LABELS, make_bundle
from PIL import Image

from edge_fgir import __version__
from edge_fgir.cli import app
from edge_fgir.results import Evaluation, Latency, Prediction, Predictions, read_result

pytestmark = pytest.mark.unit

COLORS = {"red": (240, 30, 20), "green": (30, 220, 40), "blue": (20, 40, 230)}


def commands(group: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*above, name))
        else:
            yield (*above, name), command


ROOT = typer.main.get_command(app)
COMMANDS = dict(commands(ROOT))
GROUPS = sorted({names[0] for names in COMMANDS if len(names) > 1})


@pytest.fixture
def pictures(tmp_path) -> Path:
    """A folder of a red, a green and a blue picture, for the tiny bundle's classes."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, color in COLORS.items():
        Image.new("RGB", (40, 30), color).save(folder / f"{name}.png")
    return folder


def make_data(root: Path, pictures: int = 2, names: tuple[str, ...] = LABELS) -> Path:
    """A data folder of red, green and blue pictures."""
    for split in ("train", "val", "test"):
        for name, color in zip(names, COLORS.values(), strict=True):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(pictures):
                shade = tuple(max(0, value - number) for value in color)
                Image.new("RGB", (40, 30), shade).save(folder / f"{number}.png")
    return root


@pytest.fixture
def data(tmp_path) -> Path:
    return make_data(tmp_path / "data")


@pytest.fixture
def refused(run_cli) -> Callable[..., str]:
    """Return a function that runs a command which must end with 2 and one line on stderr."""

    def run(*arguments: object) -> str:
        done = run_cli(*arguments)
        assert done.code == 2, done
        assert done.out == ""
        assert done.err.startswith("error: ")
        assert done.err.endswith("\n")
        assert done.err.count("\n") == 1
        assert "Traceback" not in done.err
        return done.err.removeprefix("error: ").strip()

    return run


# Help, version and bad usage.


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(run_cli, names):
    done = run_cli(*names, "--help")
    assert (done.code, done.err) == (0, "")
    assert "Example:" in done.out
    assert "--help" in done.out


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_every_example_is_a_legal_command_line(names):
    examples = re.findall("Example: `([^`]+)`", COMMANDS[names].help)
    assert len(examples) == COMMANDS[names].help.count("Example") > 0
    for example in examples:
        program, *words = shlex.split(example)
        assert program == "edge-fgir"
        assert tuple(words[: len(names)]) == names
        COMMANDS[names].make_context("edge-fgir", words[len(names) :])


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_every_option_is_explained(names):
    for parameter in COMMANDS[names].params:
        assert parameter.help, parameter.name


def test_every_command_that_ends_by_itself_speaks_json():
    silent = {
        " ".join(names)
        for names, command in COMMANDS.items()
        if "json" not in {parameter.name for parameter in command.params}
    }
    # The camera's lines and a bill of materials are JSON already, and the server answers others.
    assert silent <= {"bom", "camera", "serve"}


def test_the_root_lists_every_command(run_cli):
    done = run_cli("--help")
    assert done.code == 0
    for names in COMMANDS:
        assert names[0] in done.out


@pytest.mark.parametrize("arguments", [[], *([group] for group in GROUPS)])
def test_no_command_is_answered_with_help(run_cli, arguments):
    done = run_cli(*arguments)
    assert done.code == 2
    assert "Usage: " in done.out


def test_version(run_cli):
    assert run_cli("--version") == (0, f"{__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nope"],
        ["predict"],
        ["predict", "a.fgir"],
        ["predict", "a.fgir", "a.jpg", "--top", "0"],
        ["predict", "a.fgir", "a.jpg", "--top", "many"],
        ["bench", "a.fgir", "--seconds", "0"],
        ["verify", "a.fgir", "--nope"],
        ["data", "nope"],
        ["models", "show"],
        ["models", "show", "lrnet14", "--image-size", "16"],
        ["rank-teachers", "--data", "elpv"],
        ["rank-teachers", "run", "--data", "elpv", "--images", "0"],
        ["train", "elpv-demo-teacher"],
        ["export", "run", "--target", "openvino"],
    ],
    ids=" ".join,
)
def test_bad_usage_ends_with_2_and_no_traceback(run_cli, arguments):
    done = run_cli(*arguments)
    assert (done.code, done.out) == (2, "")
    assert "Usage: " in done.err
    assert "Traceback" not in done.err


def test_an_interrupt_is_one_word(run_cli, monkeypatch, tiny_bundle):
    def interrupted(*_: object):
        raise KeyboardInterrupt

    monkeypatch.setattr("edge_fgir.runtime.verify", interrupted)
    done = run_cli("verify", tiny_bundle)
    assert done.code == 130
    assert "Traceback" not in done.err


# predict


@pytest.mark.export
def test_predict_answers_for_files_and_folders(run_cli, tiny_bundle, pictures):
    done = run_cli("predict", tiny_bundle, pictures, pictures / "red.png", "--json")
    assert (done.code, done.err) == (0, "")
    assert [Path(answer["image"]).name for answer in done.json] == [
        "blue.png",
        "green.png",
        "red.png",
        "red.png",
    ]
    for answer in done.json:
        assert list(answer) == ["image", "label", "score", "is_unknown", "top"]
        assert answer["label"] == Path(answer["image"]).stem
        assert answer["top"][0] == [answer["label"], answer["score"]]
        assert not answer["is_unknown"]
        assert sorted(label for label, _ in answer["top"]) == sorted(LABELS)
        assert sum(score for _, score in answer["top"]) == pytest.approx(1, abs=1e-5)


@pytest.mark.export
def test_predict_for_people(run_cli, tiny_bundle, pictures, elpv_photos):
    done = run_cli("predict", tiny_bundle, pictures / "red.png", elpv_photos[0], "--top", 1)
    first, second = done.out.splitlines()
    assert first.startswith(f"{pictures / 'red.png'}: red 100.0 %")
    assert second.endswith("33.3 %  (unknown)")


@pytest.mark.export
def test_predict_writes_a_result(run_cli, tiny_bundle, pictures, tmp_path):
    out = tmp_path / "new" / "answers.json"
    done = run_cli("predict", tiny_bundle, pictures, "--out", out, "--json")
    result = read_result(out, Predictions)
    assert result.predictions == tuple(map(Prediction.model_validate, done.json))
    assert result.target == "openvino"


@pytest.mark.export
@pytest.mark.parametrize("bad", ["text", "cut", "rgba"])
def test_strict_predict_stops_at_a_picture_it_cannot_use(
    refused, tiny_bundle, pictures, tmp_path, bad
):
    path = pictures / "zebra.png"
    if bad == "text":
        path.write_text("no picture")
    elif bad == "cut":
        path.write_bytes((pictures / "red.png").read_bytes()[:60])
    else:
        Image.new("RGBA", (30, 30)).save(path)
    out = tmp_path / "answers.json"
    text = refused("predict", tiny_bundle, pictures, "--json", "--out", out, "--strict")
    assert text.startswith(f"{path} is ")
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["BUNDLE", "no.png"], "no.png does not exist; expected a picture file or a folder"),
        (["BUNDLE", "EMPTY"], "holds no pictures; expected files such as .jpg"),
        (["no.fgir", "PICTURES"], "no.fgir does not exist; expected a bundle; make one with: "),
        (["EMPTY", "PICTURES"], "has no manifest.json; expected a bundle"),
        (["BUNDLE", "PICTURES", "--device", "tpu"], "--device tpu; expected one of auto, cpu, "),
        (["BUNDLE", "PICTURES", "--device", "trt"], "is for target openvino and has no device"),
        (["BUNDLE", "PICTURES", "--precision", "i4"], "--precision i4; expected one of f32, f16"),
        (["BUNDLE", "PICTURES", "--threads", "2000"], "threads 2000; expected a number from 1 to"),
    ],
)
def test_predict_errors(refused, tiny_bundle, pictures, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    names = {"BUNDLE": tiny_bundle, "EMPTY": tmp_path / "empty", "PICTURES": pictures}
    assert message in refused("predict", *(names.get(word, word) for word in arguments))


# verify, bench, doctor, models, recipes


@pytest.mark.export
def test_verify_json(run_cli, tiny_bundle):
    done = run_cli("verify", tiny_bundle, "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json["ok"] is True
    assert [check["name"].split(" in ")[0] for check in done.json["checks"]] == [
        "files",
        "contents",
        "golden images",
    ]
    for check in done.json["checks"]:
        assert set(check) == {"name", "ok", "detail"}


@pytest.mark.parametrize("command", ["verify", "bench"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no.fgir", "no.fgir does not exist; expected a bundle; make one with: edge-fgir export"),
        ("text.fgir", "expected a bundle folder or zip"),
        ("folder", "has no manifest.json; expected a bundle"),
    ],
)
def test_what_is_no_bundle(refused, command, name, message, tmp_path):
    (tmp_path / "text.fgir").write_text("no zip")
    (tmp_path / "folder").mkdir()
    assert message in refused(command, tmp_path / name)


@pytest.mark.export
def test_bench_json(run_cli, tiny_bundle, tmp_path, quick_bench):
    out = tmp_path / "bench.json"
    done = run_cli("bench", tiny_bundle, "--seconds", "0.1", "--json", "--out", out)
    assert done.code == 0
    found = done.json
    assert 0 < found["p50_ms"] <= found["p90_ms"] <= found["p99_ms"]
    assert found["n"] >= 100
    assert found["certified"] == (not found["uncertified_because"])
    assert found["mode"] == "burst"
    assert found["scope"] == "frame_to_decision"
    assert found["environment"]["versions"]["openvino"]
    result = read_result(out, Latency)
    assert (result.p50_ms, result.n) == (found["p50_ms"], found["n"])


@pytest.mark.export
def test_bench_for_people(run_cli, tiny_bundle, quick_bench):
    network, frame, verdict = run_cli("bench", tiny_bundle, "--seconds", "0.1").out.splitlines()
    assert network.startswith("network: p50 ")
    assert frame.startswith("frame_to_decision: p50 ")
    assert "openvino 20" in frame
    assert verdict.startswith(("certified", "not certified: "))


@pytest.mark.export
def test_bench_on_a_clock_for_people(run_cli, tiny_bundle, quick_bench):
    lines = run_cli("bench", tiny_bundle, "--seconds", "0.1", "--fps", "50").out.splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("50 frames/s: ")
    assert " of 5 missed their deadline (" in lines[2]


@pytest.mark.export
def test_bench_sustained_for_people(run_cli, tiny_bundle, quick_bench):
    arguments = ("bench", tiny_bundle, "--seconds", "0.1", "--mode", "sustained")
    lines = run_cli(*arguments).out.splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("sustained: p50 ")


@pytest.mark.export
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--mode", "endless"), "mode endless; expected one of burst, sustained"),
        (("--mode", "sustained", "--fps", "30"), "frames a second in mode sustained"),
    ],
)
def test_bench_modes_that_do_not_exist(refused, tiny_bundle, options, message):
    assert message in refused("bench", tiny_bundle, *options)


@pytest.mark.export
def test_bench_against_no_run_is_refused(refused, tiny_bundle, tmp_path):
    pytest.importorskip("torch")
    text = refused("bench", tiny_bundle, "--against", tmp_path)
    assert text.startswith(f"{tmp_path} is not a run folder")


def test_doctor_json(run_cli):
    done = run_cli("doctor", "--json")
    assert done.code == 0
    assert {"openvino", "arm", "jetson"} <= set(done.json["targets"])
    for state in done.json["targets"].values():
        assert isinstance(state["ok"], bool)
        assert state["detail"]


def _version(installed: dict[str, str]) -> Callable[[str], str]:
    from importlib.metadata import PackageNotFoundError

    def version(name: str) -> str:
        if name not in installed:
            raise PackageNotFoundError(name)
        return installed[name]

    return version


def test_doctor_says_what_is_missing_and_what_to_do(run_cli, monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", _version({"openvino": "2026.4"}))
    targets = run_cli("doctor", "--json").json["targets"]
    assert targets["openvino"] == {
        "ok": True,
        "detail": "openvino 2026.4 (--device auto, cpu, gpu, npu)",
    }
    assert targets["arm"]["ok"] is targets["jetson"]["ok"] is False
    assert 'pip install "edge-fgir[arm]"' in targets["arm"]["detail"]
    assert run_cli("doctor").code == 0
    assert run_cli("doctor", "--target", "openvino").code == 0
    done = run_cli("doctor", "--target", "arm")
    assert done.code == 1
    assert done.out.startswith("missing arm: onnxruntime is not installed; run: pip install")


def test_doctor_knows_its_targets(refused):
    text = refused("doctor", "--target", "tpu")
    assert text.startswith("unknown target 'tpu'; expected one of arm, jetson, litert, openvino")


def test_models_show_lrnet14(run_cli):
    pytest.importorskip("timm")
    done = run_cli("models", "show", "lrnet14", "--num-classes", 200, "--image-size", 128, "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json["name"] == "lrnet14"
    assert done.json["params"] == 5_135_720
    assert done.json["gmacs"] == pytest.approx(0.570, abs=5e-4)
    assert done.json["blocks"] == []


def test_models_show_a_transformer(run_cli):
    pytest.importorskip("timm")
    name = "deit_tiny_patch16_224"
    found = run_cli("models", "show", name, "--num-classes", 100, "--json").json
    assert found["params"] == 5_543_716
    assert found["blocks"] == [{"attention_tokens": 197, "mlp_tokens": 197}] * 12


def test_models_list(run_cli):
    pytest.importorskip("timm")
    assert "lrnet14" in run_cli("models", "list", "--json").json
    assert "deit_tiny_patch16_224" in run_cli("models", "list", "deit_tiny*", "--json").json


def test_an_unknown_model_is_named_with_its_like(refused):
    pytest.importorskip("timm")
    text = refused("models", "show", "lrnet15")
    assert text.startswith("unknown model 'lrnet15'; expected a timm name")
    assert text.endswith("run: edge-fgir models list")


@pytest.mark.slow
def test_recipes(run_cli):
    pytest.importorskip("torch")
    names = run_cli("recipes", "list", "--json").json
    assert {"elpv-demo-student", "elpv-demo-teacher"} <= set(names)
    for name in names:
        shown = run_cli("recipes", "show", name, "--json").json
        assert shown["name"] == name
        assert yaml.safe_load(run_cli("recipes", "show", name).out) == shown


# data


def test_data_stats_json(run_cli, data):
    done = run_cli("data", "stats", data, "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json["name"] == "data"
    assert len(done.json["hash"]) == 64
    assert done.json["classes"] == [
        {"name": name, "train": 2, "val": 2, "test": 2, "group": "few"} for name in sorted(COLORS)
    ]


def test_data_stats_for_people(run_cli, data):
    lines = run_cli("data", "stats", data).out.splitlines()
    assert lines[0].startswith("data: not stated; check the terms of your data")
    assert lines[1].split() == ["train", "val", "test"]
    assert lines[2].split() == ["blue", "2", "2", "2"]
    assert lines[2 + len(COLORS)].split() == ["all", "6", "6", "6"]


def test_data_sample_copies_pictures(run_cli, tmp_path):
    source = make_data(tmp_path / "source", pictures=4)
    done = run_cli("data", "sample", source, "--count", 6, "--out", tmp_path / "out", "--json")
    assert done.code == 0
    copies = [Path(copy) for copy in done.json]
    assert sorted(copies) == sorted(p for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert len(copies) == 6
    for copy in copies:
        original = source / "test" / copy.parent.name / copy.name
        assert copy.read_bytes() == original.read_bytes()


def test_a_place_that_cannot_be_written_is_named(refused, data, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    text = refused("data", "sample", data, "--out", tmp_path / "file" / "out")
    assert text.startswith(f"{tmp_path / 'file'}")
    assert "Not a directory" in text or "File exists" in text


@pytest.mark.parametrize("command", [["stats"], ["sample", "--out", "out"]])
def test_data_that_is_missing(refused, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = refused("data", command[0], "photos", *command[1:])
    assert text.startswith("data folder photos does not exist; expected train/<class>/<image>")
    assert list(tmp_path.iterdir()) == []


def test_data_sample_of_an_unknown_split(refused, data, tmp_path):
    text = refused("data", "sample", data, "--split", "dev", "--out", tmp_path / "out")
    assert text == "--split dev; expected one of train, val, test"
    assert not (tmp_path / "out").exists()


# eval


@pytest.mark.export
def test_eval_of_a_bundle(run_cli, tmp_path):
    names = ("1 red", "2 green", "3 blue")
    bundle = make_bundle(tmp_path / "a.fgir", labels=names)
    data = make_data(tmp_path / "data", names=names)
    (data / "test" / "1 red" / "0.png").rename(data / "test" / "2 green" / "red.png")
    out = tmp_path / "eval.json"
    done = run_cli("eval", bundle, "--data", data, "--json", "--out", out)
    assert done.code == 0
    assert (done.json["images"], done.json["split"]) == (6, "test")
    assert done.json["top1"] == pytest.approx(100 * 5 / 6)
    assert done.json["top5"] == 100
    assert done.json["macro"] == pytest.approx(100 * (1 + 2 / 3 + 1) / 3)
    assert 0 <= done.json["ece"] <= 100
    assert done.json["confusion"] == [[1, 0, 0], [1, 2, 0], [0, 0, 2]]
    body = read_result(out, Evaluation).to_dict()
    assert {key: body[key] for key in done.json} == done.json
    text = run_cli("eval", bundle, "--data", data, "--split", "val").out
    assert text.startswith(f"{bundle} on 6 val images of data (openvino ")
    assert "top-1 100.00 %, top-5 100.00 %, macro 100.00 %, ECE " in text


@pytest.mark.export
def test_eval_on_other_classes_is_refused(refused, tiny_bundle, data):
    text = refused("eval", tiny_bundle, "--data", data)  # red, green, blue is not name order
    assert text == (
        f"{tiny_bundle} knows other classes than data data; expected the data it was trained on; "
        "they are the same in another order"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no.fgir", "--data", "DATA"], "no.fgir does not exist; expected a run folder or a bund"),
        (["BUNDLE", "--data", "no"], "data folder no does not exist; expected train/"),
        (["BUNDLE", "--data", "DATA", "--split", "dev"], "--split dev; expected one of train, val"),
        (["BUNDLE", "--data", "DATA", "--device", "x"], "--device x; expected one of auto"),
        (["FOLDER", "--data", "DATA"], "is not a run folder (it has no model.json); expected"),
    ],
)
def test_eval_errors(refused, tiny_bundle, data, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    if "FOLDER" in arguments:
        pytest.importorskip("torch")
    (tmp_path / "folder").mkdir()
    names = {"BUNDLE": tiny_bundle, "DATA": data, "FOLDER": tmp_path / "folder"}
    words = [names.get(word, word) for word in arguments]
    assert message in refused("eval", *words, "--out", "out.json")
    assert not (tmp_path / "out.json").exists()


# train and export: what is wrong is said before anything is written.


@pytest.fixture
def training(refused, tmp_path, data) -> Callable[..., str]:
    """Return a function that starts a training which must be refused and write nothing."""
    pytest.importorskip("torch")

    def run(*options: str, source: Path = data, recipe: str = "elpv-demo-teacher") -> str:
        out = tmp_path / "run"
        text = refused("train", recipe, "--data", source, "--out", out, *options)
        assert not out.exists()
        return text

    return run


def test_train_on_a_missing_folder(training, tmp_path):
    path = tmp_path / "photos"
    assert training(source=path).startswith(f"data folder {path} does not exist; expected train/")


def test_train_on_an_empty_folder(training, tmp_path):
    (tmp_path / "photos").mkdir()
    assert "train does not exist; expected train/<class>/" in training(source=tmp_path / "photos")


def test_train_on_a_class_without_images(training, data):
    (data / "train" / "violet").mkdir()
    text = training()
    assert text.startswith(f"class folder {data / 'train' / 'violet'} holds no pictures; ")


def test_train_on_a_truncated_image(training, data):
    path = data / "train" / "red" / "0.png"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert training("--strict").startswith(f"{path} is broken or truncated ")


def test_train_on_a_broken_image(training, data):
    path = data / "train" / "red" / "0.png"
    path.write_bytes(b"\x89PNG but not really")
    assert training("--strict").startswith(f"{path} is not a picture Pillow can read; ")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("optimizer.lrr=0.1", "unknown key optimizer.lrr; expected lr; correct the key"),
        ("epoch=3", "unknown key epoch; expected epochs; correct the key"),
        ("data.view_sise=64", "unknown key data.view_sise; expected view_size"),
        ("epochs=many", "epochs: Input should be a valid integer"),
        ("epochs=-1", "epochs: Input should be greater than or equal to 0"),
        ("epochs=0", "either epochs or length must be given"),
        ("epochs", "--set epochs; expected key=value, such as optimizer.lr=1e-3"),
        ("epochs.more=1", "--set epochs.more=1: epochs is a value; expected a section"),
    ],
)
def test_train_with_a_wrong_recipe_key(training, option, message):
    assert message in training("--set", option)


def test_train_by_an_unknown_recipe(training):
    text = training(recipe="elpv-demo-techer")
    assert text.startswith("no recipe 'elpv-demo-techer'; expected a YAML file or one of elpv-demo")
    assert text.endswith("run: edge-fgir recipes list")


def test_train_by_a_file_that_is_no_recipe(training, tmp_path):
    path = tmp_path / "recipe.yaml"
    for text in ("- a\n- b\n", "a: [", "name: x\n", "\x00"):
        path.write_text(text)
        assert str(path) in training(recipe=str(path))


def test_train_leaves_another_folder_alone(run_cli, data, tmp_path):
    pytest.importorskip("torch")
    out = tmp_path / "run"
    out.mkdir()
    (out / "thesis.txt").write_text("precious")
    done = run_cli("train", "elpv-demo-teacher", "--data", data, "--out", out)
    assert done.code == 2
    assert done.err.splitlines()[-1].startswith(f"error: {out} is not empty; expected a new folder")
    assert [(p.name, p.read_text()) for p in out.iterdir()] == [("thesis.txt", "precious")]


@pytest.fixture
def exporting(refused, tmp_path, data) -> Callable[..., str]:
    """Return a function that starts an export which must be refused and write nothing."""
    for library in ("torch", "onnx"):
        pytest.importorskip(library)

    def run(source: Path, *options: str, target: str = "openvino") -> str:
        out = tmp_path / "a.fgir"
        arguments = ("--target", target, "--data", data, "--out", out, *options)
        text = refused("export", source, *arguments)
        assert not out.exists()
        return text

    return run


def test_export_for_an_unknown_target(exporting, tmp_path):
    text = exporting(tmp_path, target="jetsen")
    assert text.startswith("unknown target 'jetsen'; expected one of ")
    assert text.endswith("did you mean jetson?")


def test_export_in_an_unknown_precision(exporting, tmp_path):
    text = exporting(tmp_path, "--precision", "int4")
    assert "int4" in text
    assert "int8" in text


@pytest.mark.parametrize("name", ["empty", "missing", "bundle"])
def test_export_of_what_is_no_run(exporting, tmp_path, tiny_bundle, name):
    path = tiny_bundle if name == "bundle" else tmp_path / name
    if name == "empty":
        path.mkdir()
    text = exporting(path)
    assert text.startswith(f"{path} is not a run folder (it has no model.json); expected the --out")
    assert text.endswith("make one with: edge-fgir train")


def test_export_leaves_another_folder_alone(refused, data, tmp_path):
    for library in ("torch", "onnx"):
        pytest.importorskip(library)
    out = tmp_path / "holiday"
    out.mkdir()
    (out / "photo.txt").write_text("precious")
    text = refused("export", tmp_path, "--target", "arm", "--data", data, "--out", out)
    assert str(out) in text
    assert [p.read_text() for p in out.iterdir()] == ["precious"]


def test_json_is_for_machines_whatever_the_labels(run_cli, tmp_path, pictures):
    pytest.importorskip("openvino")
    bundle = make_bundle(tmp_path / "a.fgir", labels=("Blåmes", "シジュウカラ", 'a "quoted" tit'))
    done = run_cli("predict", bundle, pictures / "red.png", "--json")
    assert json.loads(done.out)[0]["label"] == "Blåmes"
