from __future__ import annotations

import json
from pathlib import Path

import pytest
from samples import DATA, latency, metrics, model_bytes, percentiles, subject, write_result

from edge_fgir.cli import main

pytestmark = pytest.mark.unit

pytest.importorskip("jinja2")


def evaluation(target: str, precision: str, top1: float, engine: str):
    by_class = [{"name": "wren", "images": 200, "top1": top1}]
    return {
        **subject(target, precision, engine=engine),
        **metrics(top1, 200, by_class, [[200]]),
        "model_bytes": model_bytes(target),
        "split": "test",
        "data": DATA,
    }


LATENCY = latency("openvino", 2.5, 4.0)


@pytest.fixture
def results(tmp_path) -> list[Path]:
    bodies = [
        ("evaluation", evaluation("openvino", "int8", 64.5, "openvino 1")),
        ("evaluation", evaluation("torch", "fp32", 65.0, "torch 2")),
        ("evaluation", evaluation("jetson", "int8", 63.0, "onnxruntime 1.2 CPU")),
        ("latency", LATENCY),
    ]
    files = [tmp_path / f"{number}.json" for number in range(len(bodies))]
    for file, (kind, body) in zip(files, bodies, strict=True):
        write_result(file, kind, body)
    return files


@pytest.fixture
def command(capsys):
    """Run ``edge-fgir report`` in this process: (exit code, stdout, stderr)."""

    def run(*arguments: object):
        with pytest.raises(SystemExit) as done:
            main(["report", *map(str, arguments)])
        return done.value.code or 0, *capsys.readouterr()

    return run


def test_it_ends_with_a_table_and_the_path(command, results, tmp_path):
    out = tmp_path / "new" / "report.html"
    code, text, err = command(*results, "--out", out, "--title", "Birds, briefly")
    assert (code, err) == (0, "")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    assert all(len(line) <= 100 for line in text.splitlines() if "report:" not in line)
    rows = {
        line.split()[0]: line.split()[2:] for line in lines if " int8 " in line or "fp32" in line
    }
    assert next(iter(rows)) == "torch"
    assert rows["torch"][:6] == ["65.0", "-", "64.8", "3.2", "20.0", "-"]
    assert rows["torch"][6:] == ["10.0", "1", "x"]
    assert " ".join(rows["openvino"]) == "64.5 -0.5 64.2 3.2 5.0 4.50 / 6.75 2.50 4.0 x"
    assert " ".join(rows["jetson"]) == "63.0 -2.0 62.8 3.2 5.0 not measured - -"
    assert lines[-3:] == [
        "jetson int8: replayed in onnxruntime, not measured on a Jetson",
        "openvino int8: 64.5 % top-1 (torch 65.0 %), 4.0 × faster, 4.0 × smaller",
        f"report: {out}",
    ]
    assert "<h1>Birds, briefly</h1>" in out.read_text(encoding="utf-8")
    assert [p.name for p in out.parent.iterdir()] == ["report.html"]


def test_json_is_one_value(command, results, tmp_path):
    code, text, err = command(*results, "--out", tmp_path / "r.html", "--json")
    assert (code, err) == (0, "")
    answer = json.loads(text)
    assert answer["report"] == str(tmp_path / "r.html")
    torch, openvino, jetson = answer["rows"]
    assert (torch["model"], openvino["model"]) == ("torch fp32", "openvino int8")
    assert (openvino["top1"], openvino["points_vs_torch"]) == (64.5, -0.5)
    assert (openvino["macro_f1"], openvino["worst_decile"]) == (64.0, 44.5)
    assert (openvino["model_bytes"], openvino["times_smaller"]) == (5_000_000, 4.0)
    assert openvino["latencies"] == [
        {
            "frame_to_decision": percentiles(4.5),
            "network": percentiles(2.5),
            "times_faster": 4.0,
            "beside": "",
            "where": "",
        }
    ]
    assert torch["latencies"][0]["network"] == percentiles(10.0)
    assert torch["latencies"][0]["beside"] == "openvino int8"
    assert jetson["note"] == "replayed in onnxruntime, not measured on a Jetson"
    assert jetson["latencies"] == []


def test_without_models_there_is_no_table(command, tmp_path):
    file = tmp_path / "p.json"
    write_result(file, "predictions", {**subject("arm", "int8"), "predictions": []})
    code, text, _ = command(file, "--out", tmp_path / "r.html")
    assert code == 0
    assert text.splitlines()[-1] == f"report: {tmp_path / 'r.html'}"
    assert "top-1" not in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no.json does not exist; expected a result file"),
        ("{", "no.json is not JSON"),
        ('{"schema": "edge-fgir/dream/1"}', "has schema 'edge-fgir/dream/1'; expected one of"),
        ('{"schema": "edge-fgir/latency/1"}', "expected a whole latency result"),
    ],
)
def test_errors_are_one_line(command, results, tmp_path, content, message):
    file, out = tmp_path / "no.json", tmp_path / "r.html"
    if content is not None:
        file.write_text(content)
    code, text, err = command(*results, file, "--out", out)
    assert (code, text) == (2, "")
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1
    assert not out.exists()


def test_no_result_is_one_line(command, tmp_path):
    code, text, err = command("--out", tmp_path / "r.html")
    assert (code, text) == (2, "")
    assert err.startswith("error: no result file given; expected training, evaluation, latency or")
    assert err.count("\n") == 1


def test_help_has_an_example(command):
    code, text, _ = command("--help")
    assert code == 0
    assert "Example:" in text
    assert "RESULT.json" in text
