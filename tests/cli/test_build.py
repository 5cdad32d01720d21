"""``edge-fgir build``: what it prints, and what it says where there is nothing to build."""

from __future__ import annotations

import re
import sys

import pytest
from bundles import make_bundle, with_variant
from jetson import STAND_INS
from signing import Keys
from test_imports import HEAVY, loaded_by

from edge_fgir import benchmarking

pytestmark = pytest.mark.export


def test_it_says_what_it_did(pretended, run_cli, jetson_bundle):
    built, reused = run_cli("build", jetson_bundle), run_cli("build", jetson_bundle)
    assert (built.code, reused.code) == (0, 0)
    path = r"/\S+/cache/edge-fgir/[0-9a-f]{32}\.plan"
    assert re.fullmatch(rf"built \(workspace 64 MiB\) in \d+\.\d s: 0\.0 MB, {path}\n", built.out)
    assert re.fullmatch(rf"reused in \d+\.\d s: 0\.0 MB, {path}\n", reused.out)
    assert reused.err == ""
    assert run_cli("build", jetson_bundle, "--force").out.startswith("built ")


def test_json_is_for_scripts(pretended, run_cli, jetson_bundle):
    built = run_cli("build", jetson_bundle, "--json").json
    assert built["state"] == "built"
    assert built["bytes"] == len(b"plan of 10.3.0")
    assert built["workspace_mb"] == 64
    assert built["key"].keys() == {"graph", "gpu", "tensorrt", "driver"}
    again = run_cli("build", jetson_bundle, "--json").json
    assert (again["state"], again["workspace_mb"]) == ("reused", None)
    assert again["path"] == built["path"]


def test_each_variant_has_its_engine(pretended, run_cli, tmp_path):
    large, small = (
        make_bundle(tmp_path / f"{size}.fgir", size=size, target="jetson") for size in (32, 16)
    )
    both = with_variant(tmp_path / "both.fgir", large, small)
    built = run_cli("build", both, "--json").json
    (other,) = built["others"]
    assert (built["variant"], other["variant"], other["state"]) == ("32", "16", "built")
    assert built["key"]["graph"] != other["key"]["graph"]
    again = run_cli("build", both).out.splitlines()
    assert [line.split(" in ")[0] for line in again] == ["variant 32: reused", "variant 16: reused"]


def test_the_workspace_is_the_matched_devices(pretended, run_cli, jetson_bundle, monkeypatch):
    name = "jetson-orin-nano-super"
    board = benchmarking.read_device(name)
    small = board.model_copy(
        update={"workspace_mb": board.workspace_mb.model_copy(update={"value": 48})}
    )
    monkeypatch.setattr(benchmarking, "match_device", lambda: name)
    assert run_cli("build", jetson_bundle, "--json").json["workspace_mb"] == 64
    monkeypatch.setattr(benchmarking, "read_device", lambda name: small)
    assert run_cli("build", jetson_bundle, "--json", "--force").json["workspace_mb"] == 48


def test_a_device_whose_workspace_is_unknown_is_no_error(
    pretended, run_cli, jetson_bundle, monkeypatch
):
    monkeypatch.setattr(benchmarking, "match_device", lambda: "raspberry-pi-5")
    assert run_cli("build", jetson_bundle, "--json").json["workspace_mb"] == 64


def test_a_bundle_that_the_trusted_key_did_not_sign_is_not_built(
    pretended, run_cli, jetson_bundle, tmp_path
):
    key = Keys(tmp_path / "keys").public
    done = run_cli("build", jetson_bundle, "--trust", key)
    assert (done.code, done.out) == (2, "")
    assert "is not signed" in done.err


@pytest.mark.parametrize("target", ["openvino", "arm"])
def test_other_targets_have_nothing_to_build(run_cli, request, target):
    path = request.getfixturevalue("tiny_bundle" if target == "openvino" else "arm_bundle")
    done = run_cli("build", path)
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        f"error: {path} is for target {target}, which compiles nothing in advance; expected a "
        f"bundle for target jetson; use it as it is: edge-fgir verify {path}\n"
    )


def test_without_tensorrt_it_says_so(run_cli, jetson_bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    done = run_cli("build", jetson_bundle)
    assert (done.code, done.out) == (2, "")
    assert "TensorRT is not installed here; expected a Jetson with JetPack; run: " in done.err
    assert len(done.err.splitlines()) == 1


def test_a_killed_builder_is_exit_1_and_one_line(pretended, run_cli, jetson_bundle):
    pretended(end="killed")
    done = run_cli("build", jetson_bundle, "--json")
    assert (done.code, done.out) == (1, "")
    last = done.err.splitlines()[-1]
    assert last.startswith("error: the TensorRT builder was killed (SIGKILL)")
    assert sum("error: " in line for line in done.err.splitlines()) == 1


def test_a_device_needs_nothing_heavy_for_it(pretended, jetson_bundle):
    code = """
import contextlib, io, json, sys
sys.path[:0] = sys.argv[2:]
from jetson import FakeCuda
from edge_fgir.cli import main
from edge_fgir.runtime.runtimes.tensorrt import cuda
cuda.Cuda = FakeCuda
with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
    main(["build", sys.argv[1], "--json"])
assert json.loads(out.getvalue())["state"] == "built"
"""
    loaded = loaded_by(code, jetson_bundle, STAND_INS.parent, STAND_INS / "pretended")
    assert "tensorrt" in loaded
    assert not loaded & set(HEAVY)
