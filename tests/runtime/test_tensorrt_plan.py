"""A bundle's engine on its device: built once, kept with its record, loaded only if all fits."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path

import pytest
from bundles import make_bundle
from jetson import FakeCuda

from edge_fgir import GateError, InputError
from edge_fgir.runtime import Bundle
from edge_fgir.runtime.runtimes.tensorrt import plan as tensorrt_plan
from edge_fgir.runtime.runtimes.tensorrt.build import Timings, build_plan
from edge_fgir.runtime.runtimes.tensorrt.cache import EngineCache
from edge_fgir.runtime.runtimes.tensorrt.plan import device_plan

pytestmark = pytest.mark.export

PLAN = b"plan of 10.3.0"


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch) -> None:
    """Build here; ``test_tensorrt_process.py`` is about the process of its own."""

    def build(onnx, workspace_mb, timings, report):
        import tensorrt

        return build_plan(tensorrt, onnx, workspace_mb=workspace_mb, timings=timings, report=report)

    monkeypatch.setattr(tensorrt_plan, "build_apart", build)


@pytest.fixture
def bundle(jetson_bundle) -> Bundle:
    return Bundle(jetson_bundle)


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "cache" / "edge-fgir"


# Building and keeping.


def test_an_engine_is_built_once_and_kept_with_its_record(pretended, bundle, folder):
    first, second = device_plan(bundle), device_plan(bundle)
    assert (first.built, second.built) == (True, False)
    assert first.plan == second.plan == PLAN
    assert first.path == second.path == folder / f"{first.key.name}.plan"
    names = {first.path.name, f"{first.key.name}.json", "timing.cache", "build.lock"}
    assert {path.name for path in folder.iterdir()} == names
    record = json.loads(first.path.with_suffix(".json").read_text())
    assert record["bytes"] == len(PLAN)
    assert record["key"]["tensorrt"] == "10.3.0"
    assert record["key"]["gpu"].startswith("sm_87 with 8 multiprocessors")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len(pretended.builds) == 1


def test_force_builds_again(pretended, bundle):
    device_plan(bundle)
    assert device_plan(bundle, force=True).built
    assert len(pretended.builds) == 2


@pytest.mark.parametrize("what", ["graph", "library", "driver", "gpu"])
def test_another_graph_library_driver_or_gpu_builds_again(
    pretended, bundle, what, tmp_path, monkeypatch
):
    device_plan(bundle)
    if what == "graph":
        onnx = bundle.read("model.onnx").replace(b"colour_mean", b"COLOUR_MEAN")
        other = make_bundle(tmp_path / "b.fgir", target="jetson", replaced={"model.onnx": onnx})
        bundle = Bundle(other)
    elif what == "library":
        pretended(version="10.13.3")
    elif what == "driver":
        monkeypatch.setattr(FakeCuda, "driver_version", lambda self: 13_020)
    else:
        monkeypatch.setattr(FakeCuda, "gpu", lambda self: "sm_87 with 4 multiprocessors")
    assert device_plan(bundle).built
    assert len(pretended.builds) == 2


@pytest.mark.parametrize("version", ["10.3.0", "10.13.3", "10.16.2", "11.2.1"])
def test_every_version_builds_strongly_typed(pretended, bundle, version):
    pretended(version=version)
    assert device_plan(bundle).plan == f"plan of {version}".encode()


def test_a_bundle_is_never_written_to(pretended, bundle):
    before = {p: p.stat().st_mtime_ns for p in bundle.path.rglob("*")}
    device_plan(bundle)
    assert {p: p.stat().st_mtime_ns for p in bundle.path.rglob("*")} == before


def test_progress_and_time_are_shown(pretended, bundle, capsys):
    device_plan(bundle)
    first, *later = capsys.readouterr().err.splitlines()
    assert first == "building the TensorRT engine of jetson.fgir: takes minutes, once"
    assert re.fullmatch(r"Building: 2/2, 0:0\d elapsed, 0:00 left", later[-1])


# The workspace.


@pytest.mark.parametrize(
    ("asked", "device", "free", "expected"),
    [
        (64, None, 8000, 64),
        (1024, 512, 8000, 512),
        (256, 512, 8000, 256),
        (1024, 1024, 600, 300),
        (1024, 512, None, 512),
    ],
)
def test_the_workspace_is_the_least_of_asked_spare_and_half_of_free(
    pretended, tmp_path, monkeypatch, asked, device, free, expected
):
    monkeypatch.setattr(tensorrt_plan, "_available_mb", lambda: free)
    build = {"tensorrt/build.json": json.dumps({"workspace_mb": asked}).encode()}
    path = make_bundle(tmp_path / "x.fgir", target="jetson", replaced=build)
    assert device_plan(Bundle(path), device_workspace_mb=device).workspace_mb == expected
    assert pretended.builds[0]["limits"] == {"workspace": expected << 20}


def test_free_memory_is_what_linux_says():
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    assert 0 < tensorrt_plan._available_mb() <= pages


@pytest.mark.parametrize(
    "build", [b"{}", b'{"workspace_mb": "much"}', b'{"workspace_mb": -1}', b""]
)
def test_a_bundle_that_asks_for_no_workspace_is_refused(pretended, tmp_path, build):
    path = make_bundle(
        tmp_path / "x.fgir", target="jetson", replaced={"tensorrt/build.json": build}
    )
    with pytest.raises(InputError, match=r"tensorrt/build\.json: .*expected workspace_mb"):
        device_plan(Bundle(path))


# What must not be loaded.


@pytest.mark.parametrize("damage", ["plan", "half", "record", "no record", "empty"])
def test_a_damaged_engine_is_built_again_and_it_says_so(pretended, bundle, damage, capsys):
    path = device_plan(bundle).path
    record = path.with_suffix(".json")
    if damage == "plan":
        path.write_bytes(b"PLAN of 10.3.0")
    elif damage == "half":
        path.write_bytes(path.read_bytes()[:7])
    elif damage == "record":
        record.write_text('{"key": ')
    elif damage == "no record":
        record.unlink()
    else:
        record.write_text("[]")
    capsys.readouterr()
    assert device_plan(bundle).plan == PLAN
    assert len(pretended.builds) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if str(path) in line]
    reason = "is damaged" if damage in ("plan", "half") else "has no readable record"
    assert said == [f"{path} {reason}: building the engine again"]
    assert not device_plan(bundle).built


@pytest.mark.parametrize(
    ("name", "value"), [("tensorrt", "10.13.3"), ("gpu", "sm_72"), ("driver", "x"), ("graph", "y")]
)
def test_a_foreign_engine_under_our_name_is_never_loaded(pretended, bundle, name, value, capsys):
    path = device_plan(bundle).path
    record = json.loads(path.with_suffix(".json").read_text())
    record["key"][name] = value
    path.with_suffix(".json").write_text(json.dumps(record))
    capsys.readouterr()
    assert device_plan(bundle).built
    assert f"{path} was built for {name} {value}, this is " in capsys.readouterr().err


def test_a_folder_that_others_can_write_to_is_refused(pretended, bundle, folder):
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    with pytest.raises(
        InputError, match=r"can be written to by others.*run: chmod 700 .*edge-fgir"
    ):
        device_plan(bundle)
    folder.chmod(0o755)
    assert device_plan(bundle).built


# The timing cache.


def test_timings_are_kept_between_builds(pretended, bundle):
    device_plan(bundle)
    device_plan(bundle, force=True)
    assert [b["timings"] for b in pretended.builds] == ["", "timings of 10.3.0, more"]


def test_timings_of_another_tensorrt_are_ignored_and_replaced(pretended, bundle):
    device_plan(bundle)
    pretended(version="11.2.1")
    device_plan(bundle)
    device_plan(bundle, force=True)
    assert [b["timings"] for b in pretended.builds] == ["", "", "timings of 11.2.1, more"]


@pytest.mark.parametrize("data", [b"", b"noise", b"noise\nnoise"])
def test_damaged_timings_never_reach_tensorrt(pretended, bundle, folder, data):
    device_plan(bundle)
    (folder / "timing.cache").write_bytes(data)
    assert EngineCache().load_timings() == Timings()
    device_plan(bundle, force=True)
    assert pretended.builds[-1]["timings"] == ""
    assert EngineCache().load_timings().data == b"timings of 10.3.0, more"


def test_timings_that_tensorrt_cannot_read_are_no_reason_for_its_failure(pretended, bundle):
    cache = EngineCache()
    cache.store_timings(Timings(b"of no TensorRT"))
    pretended(end="refuse")
    with pytest.raises(GateError, match="Could not find any implementation for node x"):
        device_plan(bundle)
    assert cache.load_timings().data == b"of no TensorRT"
    pretended(end="")
    assert device_plan(bundle).built
    assert cache.load_timings().data == b"timings of 10.3.0, more"
