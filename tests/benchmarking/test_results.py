from __future__ import annotations

import platform
import re

import pytest

from edge_fgir import InputError
from edge_fgir.benchmarking import KINDS, read_result, write_result

pytestmark = pytest.mark.unit

BODY = {"top1": 91.25, "classes": [{"name": "Blåmes", "top1": None}], "n": 3}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read(kind, tmp_path):
    path = tmp_path / "new" / "result.json"
    write_result(path, kind, BODY)
    found, value = read_result(path)
    assert found == kind
    assert {key: value[key] for key in BODY} == BODY
    assert value["schema"] == f"edge-fgir/{kind}/1"
    assert value["environment"]["python"] == platform.python_version()
    assert [p.name for p in path.parent.iterdir()] == ["result.json"]


def test_the_file_is_for_readers_too(tmp_path):
    write_result(tmp_path / "a.json", "evaluation", BODY)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text.startswith('{\n  "schema": "edge-fgir/evaluation/1",\n  "top1": 91.25,\n')
    assert "Blåmes" in text
    assert text.endswith("}\n")


def test_a_result_replaces_an_older_one(tmp_path):
    for top1 in (1.0, 2.0):
        write_result(tmp_path / "a.json", "evaluation", {"top1": top1})
    assert read_result(tmp_path / "a.json")[1]["top1"] == 2.0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_json_cannot_hold_leaves_the_old_file(value, tmp_path):
    write_result(tmp_path / "a.json", "evaluation", {"top1": 1.0})
    before = (tmp_path / "a.json").read_bytes()
    with pytest.raises((ValueError, TypeError)):
        write_result(tmp_path / "a.json", "evaluation", {"top1": value})
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [before]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"is not JSON \(.*\); expected a result file"),
        (b"<html>", r"is not JSON \(.*\); expected a result file"),
        (b'{"schema": ', r"is not JSON"),
        (b"\xff\xfe\x00", r"is not JSON"),
        (b"[]", r"has schema None; expected one of edge-fgir/evaluation/1, "),
        (b"{}", r"has schema None"),
        (b'"text"', r"has schema None"),
        (b'{"schema": "edge-fgir/evaluation/2"}', r"has schema 'edge-fgir/evaluation/2'"),
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
    with pytest.raises(InputError, match=r": .*; expected a result file"):
        read_result(tmp_path / name)
