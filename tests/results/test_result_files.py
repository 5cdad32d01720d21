from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from pathlib import Path

import pytest
from pydantic import ValidationError

from edge_fgir import InputError
from edge_fgir.results import (
    KINDS,
    Environment,
    Evaluation,
    Latency,
    Prediction,
    Predictions,
    Result,
    Sweep,
    Training,
    parse_result,
    read_result,
)

pytestmark = pytest.mark.unit

VERSION_1 = Path(__file__).parent / "version_1"
"""Written by the version before results had types; ``report-`` are parts of a bundle."""
OLD_FILES = sorted(path for path in VERSION_1.glob("*.json") if "report-" not in path.name)
COMMITTED = Path(__file__).parents[2] / "benchmarks" / "results"

HERE = Environment(
    date=datetime(2026, 11, 29, tzinfo=timezone.utc),
    machine="x86_64",
    processor="AMD EPYC",
    system="Linux",
    python="3.11.7",
    versions={"edge-fgir": "0.1.0"},
)


def predictions(label: str = "Blåmes", score: float = 0.75) -> Predictions:
    prediction = Prediction(
        image="a.png", label=label, score=score, is_unknown=False, top=((label, score),)
    )
    return Predictions(
        bundle="birds.fgir",
        name="birds",
        target="arm",
        precision="int8",
        engine="onnxruntime 1.2 CPU",
        image_size=64,
        predictions=(prediction,),
        environment=HERE,
    )


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "new" / "result.json"
    predictions().write(path)
    assert read_result(path) == predictions()
    assert [p.name for p in path.parent.iterdir()] == ["result.json"]
    assert parse_result(predictions().to_dict(), "the output") == predictions()


def test_the_file_is_for_readers_too(tmp_path):
    predictions().write(tmp_path / "a.json")
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text.startswith('{\n  "schema": "edge-fgir/predictions/1",\n  "bundle": "birds.fgir",\n')
    assert list(json.loads(text))[-1] == "environment"
    assert "Blåmes" in text
    assert text.endswith("}\n")


def test_a_result_replaces_an_older_one(tmp_path):
    for label in ("wren", "robin"):
        predictions(label).write(tmp_path / "a.json")
    assert read_result(tmp_path / "a.json") == predictions("robin")
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_json_cannot_hold_is_no_result(value):
    with pytest.raises(ValidationError):
        predictions(score=value)


def test_a_result_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        predictions().name = "other"


@pytest.mark.parametrize("path", OLD_FILES, ids=lambda path: path.stem)
def test_results_of_the_version_before_still_open(path, tmp_path):
    result = read_result(path)
    assert path.name.startswith(result.kind)
    result.write(tmp_path / "a.json")
    assert read_result(tmp_path / "a.json") == result
    assert_holds(result.to_dict(), json.loads(path.read_text(encoding="utf-8")))


def assert_holds(new, old):
    """Nothing is lost, apart from what has another name now."""
    if isinstance(old, dict):
        for name in old.keys() - {"schema", "rival"}:
            assert_holds(new[name], old[name])
    elif isinstance(old, list):
        assert len(new) == len(old)
        for pair in zip(new, old, strict=True):
            assert_holds(*pair)
    else:
        assert new == {"glance": "quick"}.get(old, old)


def test_the_old_files_are_of_every_kind():
    younger = {"fit"}
    assert {path.stem.partition("-")[0] for path in OLD_FILES} == set(KINDS) - younger


def test_a_rival_is_a_baseline_today():
    result = read_result(VERSION_1 / "latency-fixed_rate.json", Latency)
    assert result.baseline is not None
    assert result.baseline.name == "torch eager fp32"
    assert "rival" not in result.to_dict()
    assert result.to_dict()["schema"] == "edge-fgir/latency/2"
    today = {**result.to_dict(), "rival": None}
    with pytest.raises(InputError, match=r"^a has an unknown key rival; expected"):
        parse_result(today, "a")


@pytest.mark.parametrize("path", sorted(COMMITTED.glob("keep_rates-*.json")), ids=lambda p: p.stem)
def test_committed_sweeps_still_open(path):
    sweep = read_result(path, Sweep)
    assert sweep.groups
    assert not sweep.failed
    assert sweep.seconds > 0


@pytest.mark.parametrize("path", OLD_FILES, ids=lambda path: path.stem)
def test_unknown_and_missing_fields_are_refused(path):
    value = json.loads(path.read_text(encoding="utf-8"))
    with pytest.raises(InputError, match=r"^a.* colour.*; expected a whole \w+ result") as caught:
        parse_result({**value, "colour": "red"}, "a")
    assert len(str(caught.value).splitlines()) == 1
    del value["environment"]
    with pytest.raises(InputError, match=r"^a: environment: Field required"):
        parse_result(value, "a")


def test_smaller_settings_of_an_elastic_training():
    value = json.loads((VERSION_1 / "training.json").read_text(encoding="utf-8"))
    value["history"][-1]["val_top1_24"] = 55.0
    training = parse_result({**value, "val_top1_24": 50.0, "val_top1_24_0.5": 40.0}, "a", Training)
    assert training.by_setting == {"val_top1_24": 50.0, "val_top1_24_0.5": 40.0}
    assert training.history[-1].by_setting == {"val_top1_24": 55.0}
    assert parse_result(training.to_dict(), "a") == training
    assert training.to_dict()["history"] == value["history"]


def test_another_kind_than_asked_for_is_refused():
    with pytest.raises(
        InputError,
        match=r"has schema 'edge-fgir/predictions/1'; expected one of edge-fgir/evaluation/1$",
    ):
        parse_result(predictions().to_dict(), "a", Evaluation)
    assert isinstance(parse_result(predictions().to_dict(), "a", Result), Predictions)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"is not JSON \(.*\); expected a result file"),
        (b"<html>", r"is not JSON \(.*\); expected a result file"),
        (b'{"schema": ', r"is not JSON"),
        (b"\xff\xfe\x00", r"is not UTF-8 text"),
        (b"[" * 100_000, r"is not JSON"),
        (b"[]", r"has schema None; expected one of edge-fgir/evaluation/1, "),
        (b"{}", r"has schema None"),
        (b'"text"', r"has schema None"),
        (b'{"schema": "edge-fgir/evaluation/2"}', r"has schema 'edge-fgir/evaluation/2'"),
        (b'{"schema": "edge-fgir/latency/0"}', r"has schema 'edge-fgir/latency/0'"),
        (b'{"schema": "edge-fgir/bundle/1"}', r"has schema 'edge-fgir/bundle/1'"),
        (b'{"schema": 1}', r"has schema 1"),
    ],
)
def test_what_is_no_result_is_refused(data, message, tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(data)
    with pytest.raises(InputError, match=rf"^{re.escape(str(path))} {message}") as caught:
        read_result(path)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["missing.json", "."])
def test_a_file_that_cannot_be_read_is_refused(name, tmp_path):
    with pytest.raises(InputError, match=r" (does not exist|is a folder); expected a result file"):
        read_result(tmp_path / name)
