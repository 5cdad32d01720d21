"""Compiled models: kept between processes, shared inside one, and believed only where they fit."""

from __future__ import annotations

import gc
import os
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
from bundles import make_bundle

from edge_fgir import Classifier, EngineOptions, InputError
from edge_fgir.runtime import Bundle, compiled, verify
from edge_fgir.runtime.compiled import compiled_key, keep_compiled, load_compiled, shared

pytestmark = pytest.mark.unit

FRAMES = [np.full((40, 40, 3), shade, np.uint8) for shade in ((20, 30, 240), (9, 9, 9), (99, 9, 0))]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edge-fgir" / "compiled"


def test_what_is_kept_is_found_and_damage_is_not_believed(cache):
    key = "0" * 64
    assert load_compiled(key) is None
    keep_compiled(key, b"a\nmodel")
    assert load_compiled(key) == b"a\nmodel"
    assert stat.S_IMODE(cache.parent.stat().st_mode) == 0o700
    (file,) = cache.iterdir()
    file.write_bytes(file.read_bytes()[:-1] + b"L")
    assert load_compiled(key) is None
    file.write_bytes(b"")
    assert load_compiled(key) is None


@pytest.mark.parametrize("spoil", ["writable by others", "no home", "read-only"])
def test_without_a_folder_of_ones_own_nothing_is_kept(cache, monkeypatch, spoil):
    if spoil == "writable by others":
        cache.parent.mkdir(parents=True)
        cache.parent.chmod(0o777)
    elif spoil == "no home":
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    keep_compiled("0" * 64, b"model")
    assert load_compiled("0" * 64) is None


def test_those_that_were_not_used_for_longest_go(cache):
    for number in range(20):
        keep_compiled(f"{number:064}", b"model")
        os.utime(cache / f"{number:064}.blob", (number, number))
        if number == 10:
            os.utime(cache / f"{0:064}.blob", (99, 99))  # it was used meanwhile
    assert len(list(cache.iterdir())) == 16
    assert load_compiled("0" * 64) == b"model"
    assert load_compiled(f"{1:064}") is None


def test_a_key_is_of_the_model_the_options_and_the_machine(tmp_path, monkeypatch):
    bundle = Bundle(make_bundle(tmp_path / "a.fgir"))
    key = compiled_key(bundle, library="x 1", threads=1)
    copy = shutil.copytree(bundle.path, tmp_path / "copy.fgir")
    assert compiled_key(Bundle(copy), library="x 1", threads=1) == key
    others = {
        compiled_key(bundle, library="x 2", threads=1),
        compiled_key(bundle, library="x 1", threads=2),
        compiled_key(Bundle(make_bundle(tmp_path / "b.fgir", size=64)), library="x 1", threads=1),
    }
    monkeypatch.setattr(compiled, "instructions", lambda: ("avx2",))
    others.add(compiled_key(bundle, library="x 1", threads=1))
    assert len(others | {key}) == 5


class Model:
    """Something that can be held weakly."""


def test_a_model_is_shared_as_long_as_somebody_holds_it():
    first = shared("key", Model)
    assert shared("key", Model) is first
    assert shared("another", Model) is not first
    del first
    gc.collect()
    kept = Model()
    assert shared("key", lambda: kept) is kept


def test_a_forked_process_makes_its_own():
    first = shared("key", Model)
    compiled._opened.forked()  # what is called in the child
    assert shared("key", Model) is not first


def answers(bundle: Path, **options) -> list:
    with Classifier.open(bundle, EngineOptions("cpu", **options)) as model:
        return [model(frame) for frame in FRAMES]


@pytest.mark.export
@pytest.mark.parametrize("looks_twice", [False, True])
def test_a_kept_model_answers_bit_for_bit_as_a_compiled_one(tmp_path, cache, looks_twice):
    openvino = pytest.importorskip("openvino")
    path = make_bundle(tmp_path / "a.fgir", looks_twice=looks_twice)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openvino.Core, "import_model", lambda *_: pytest.fail("nothing is kept yet"))
        plain = answers(path, cache=False)
        assert not cache.exists()
        assert answers(path) == plain
    (file,) = cache.iterdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openvino.Core, "compile_model", lambda *_: pytest.fail("it is compiled"))
        assert answers(path) == plain
    # Other options are another model; what OpenVINO does not take is compiled again.
    assert answers(path, threads=1) == plain
    assert len(list(cache.iterdir())) == 2
    keep_compiled(file.stem, b"no model of OpenVINO's")
    assert answers(path) == plain


@pytest.mark.export
@pytest.mark.parametrize("target", ["openvino", "arm"])
def test_two_that_are_open_share_one_model(tmp_path, target):
    pytest.importorskip({"openvino": "openvino", "arm": "onnxruntime"}[target])
    path = make_bundle(tmp_path / "a.fgir", target=target)
    with Classifier.open(path) as first, Classifier.open(path) as second:
        assert len(compiled._opened._models) == 1
        assert [first(frame) for frame in FRAMES] == [second(frame) for frame in FRAMES]
        first.close()
        assert second(FRAMES[0]).label == "red"
    gc.collect()
    assert len(compiled._opened._models) == 0


@pytest.mark.export
def test_a_kept_model_hides_no_change_of_the_bundle(tmp_path):
    pytest.importorskip("openvino")
    path = make_bundle(tmp_path / "a.fgir")
    answers(path)
    weights = path / "openvino" / "model.bin"
    data = bytearray(weights.read_bytes())
    data[0] ^= 1
    weights.write_bytes(data)
    with pytest.raises(InputError, match=r"model\.bin was changed"):
        answers(path)


@pytest.mark.export
def test_verify_compiles_what_it_verifies(tmp_path, cache, monkeypatch):
    openvino = pytest.importorskip("openvino")
    path = make_bundle(tmp_path / "a.fgir")
    answers(path)
    monkeypatch.setattr(
        openvino.Core, "import_model", lambda *_: pytest.fail("a kept one is taken")
    )
    assert all(check.ok for check in verify(path))
