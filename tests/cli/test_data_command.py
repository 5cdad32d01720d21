"""``edge-fgir data pack``, and ``stats`` and ``sample`` on what it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from runs import COUNTS

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def _needs_the_writer():
    pytest.importorskip("webdataset")


def test_pack_says_what_it_wrote(run_cli, photos, tmp_path: Path) -> None:
    out = tmp_path / "shards"
    done = run_cli("data", "pack", photos, "--out", out)
    assert done.code == 0
    assert done.out == (
        f"72 train, 36 val, 36 test pictures of leaves in 3 shards in {out} "
        "(not stated; check the terms of your data)\n"
    )
    assert sorted(path.name for path in out.iterdir()) == [
        "dataset.json",
        "labels.txt",
        "test-000000.tar",
        "train-000000.tar",
        "val-000000.tar",
    ]


def test_stats_of_shards_are_those_of_the_folder(run_cli, photos, tmp_path: Path) -> None:
    out = tmp_path / "shards"
    packed = run_cli("data", "pack", photos, "--out", out, "--shard-mb", 1, "--json").json
    assert packed == {
        "out": str(out),
        "shards": 3,
        "name": "leaves",
        "licence": "not stated; check the terms of your data",
        "pictures": {split: 3 * count for split, count in COUNTS.items()},
    }
    folder, shards = (run_cli("data", "stats", source, "--json").json for source in (photos, out))
    assert shards["classes"] == folder["classes"]
    assert run_cli("data", "stats", out).out == run_cli("data", "stats", photos).out


def test_a_sample_of_shards_is_whole_files(run_cli, photos, tmp_path: Path) -> None:
    run_cli("data", "pack", photos, "--out", tmp_path / "shards")
    done = run_cli("data", "sample", tmp_path / "shards", "--out", tmp_path / "few", "--json")
    copies = [Path(copy) for copy in done.json]
    assert len(copies) == 8
    for copy in copies:
        originals = (photos / "test" / copy.parent.name).iterdir()
        assert copy.read_bytes() in [original.read_bytes() for original in originals]


@pytest.mark.parametrize("size", ["0", "-5", "many"])
def test_a_wrong_shard_size(run_cli, photos, tmp_path: Path, size) -> None:
    done = run_cli("data", "pack", photos, "--out", tmp_path / "out", "--shard-mb", size)
    assert done.code == 2
    assert "--shard-mb" in done.err
    assert list(tmp_path.iterdir()) == []


def test_pack_leaves_another_folder_alone(run_cli, photos, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    done = run_cli("data", "pack", photos, "--out", tmp_path)
    assert done.code == 2
    assert done.err == (f"error: {tmp_path} exists; expected a new folder; choose another --out\n")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_pack_checks_the_pictures_first(run_cli, make_folder, tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data", ("a", "b"))
    (root / "val" / "a" / "0.png").write_text("no picture")
    done = run_cli("data", "pack", root, "--out", tmp_path / "out", "--strict")
    assert done.code == 2
    assert done.err.startswith(f"error: {root}/val/a/0.png is not a picture Pillow can read; ")
    assert not (tmp_path / "out").exists()


def test_json_of_a_cut_shard_is_one_line(run_cli, photos, tmp_path: Path) -> None:
    out = tmp_path / "shards"
    run_cli("data", "pack", photos, "--out", out)
    tar = out / "val-000000.tar"
    tar.write_bytes(tar.read_bytes()[:5000])
    done = run_cli("data", "stats", out, "--json")
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-1].startswith(f"error: {tar} is damaged or cut (")
    assert json.loads((out / "dataset.json").read_text())["pictures"]["val"] == 36
