from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from edge_fgir import InputError
from edge_fgir.runtime import Classifier, Frame, Preprocess
from edge_fgir.runtime.sources import given_source, open_source

pytestmark = pytest.mark.unit

WAIT_S = 5.0
"""Bound of every wait, so that a broken stream fails instead of hanging."""


class BrightnessEngine:
    """Answers with the mean brightness as the probability of "bright"."""

    description = "fake"

    def infer(self, batch):
        bright = batch.reshape(len(batch), -1).mean(axis=1) / 255
        return np.stack([1 - bright, bright], axis=1).astype(np.float32)

    def close(self) -> None:
        pass


class HeldEngine(BrightnessEngine):
    """Stops inside the first frame after the warm-up until ``release`` is set."""

    def __init__(self) -> None:
        self.armed = False
        self.busy, self.release = threading.Event(), threading.Event()

    def infer(self, batch):
        if self.armed:
            self.busy.set()
            assert self.release.wait(WAIT_S)
        return super().infer(batch)


def classifier(engine=None, converts: bool = True) -> Classifier:
    bundle = SimpleNamespace(
        preprocess=Preprocess(size=16),
        calibration=SimpleNamespace(unknown_threshold=0.6),
        manifest=SimpleNamespace(explanation=None, features=None, converts=converts),
        novelty=None,
        feature_space=None,
        labels=("dark", "bright"),
    )
    return Classifier(bundle, engine or BrightnessEngine())


def shade(value: int):
    return np.full((20, 30, 3), value, np.uint8)


def brightness(result) -> int:
    """The value the classified frame was made with: which picture was really looked at."""
    return round(float(result.probabilities[1]) * 255)


def readers() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "edge-fgir-reader"]


class Endless:
    """A source that never ends and notes who closes it."""

    def __init__(self) -> None:
        self.closed_by: list[int] = []
        self.read_by: set[int] = set()

    def __iter__(self) -> Iterator[np.ndarray]:
        while True:
            self.read_by.add(threading.get_ident())
            time.sleep(0.001)
            yield shade(100)

    def close(self) -> None:
        self.closed_by.append(threading.get_ident())


def test_every_frame_in_order_in_the_callers_thread():
    source = [shade(value) for value in range(0, 250, 10)]
    results = list(classifier().stream(source, drop="none"))
    assert [brightness(r) for r in results] == list(range(0, 250, 10))
    assert [r.frame.index for r in results] == list(range(25))
    assert all(r.frame.dropped == 0 for r in results)
    times = [r.frame.timestamp for r in results]
    assert times == sorted(times)
    assert times[0] >= 0
    assert [r.label for r in results] == ["dark"] * 13 + ["bright"] * 12
    assert [r.is_unknown for r in results] == [
        max(v, 255 - v) / 255 < 0.6 for v in range(0, 250, 10)
    ]
    assert not readers()


def test_none_reads_in_the_callers_thread():
    source = Endless()
    results = classifier().stream(source, drop="none")
    next(results)
    results.close()
    assert source.read_by == {threading.get_ident()}
    assert source.closed_by == [threading.get_ident()]


@pytest.mark.parametrize("drop", ["none", "oldest"])
def test_frames_keep_number_time_and_pixels(drop):
    frame = Frame(shade(40), index=7, timestamp=3.25, dropped=2)
    (result,) = classifier().stream([frame], drop=drop)
    assert (result.frame.index, result.frame.timestamp, result.frame.dropped) == (7, 3.25, 2)
    assert result.frame.pixels is frame.pixels
    assert "pixels" not in repr(frame)


def test_the_newest_frame_wins():
    engine = HeldEngine()
    model = classifier(engine)
    engine.armed = True

    def camera():
        yield Frame(shade(10), 0, 0.0)
        assert engine.busy.wait(WAIT_S)
        for index in (1, 2, 3):
            yield Frame(shade(10 + index), index, index / 30)
        engine.release.set()  # only now, with the third in the mailbox, the first one is done

    results = list(model.stream(camera(), drop="oldest"))
    assert [brightness(r) for r in results] == [10, 13]
    assert [r.frame.index for r in results] == [0, 3]
    assert [r.frame.timestamp for r in results] == [0.0, 0.1]
    assert [r.frame.dropped for r in results] == [0, 2]


def test_frames_a_source_lost_itself_are_counted_too():
    engine = HeldEngine()
    model = classifier(engine)
    engine.armed = True

    def camera():
        yield Frame(shade(10), 0, 0.0)
        assert engine.busy.wait(WAIT_S)
        yield Frame(shade(11), 5, 0.5, dropped=4)
        yield Frame(shade(12), 7, 0.7, dropped=1)
        engine.release.set()

    assert [r.frame.dropped for r in model.stream(camera(), drop="oldest")] == [0, 4 + 1 + 1]


def test_a_slow_model_gets_the_last_frame_and_none_is_lost_uncounted():
    class Slow(BrightnessEngine):
        def infer(self, batch):
            time.sleep(0.005)
            return super().infer(batch)

    def camera():
        for value in range(200):
            time.sleep(0.0005)
            yield shade(value)

    results = list(classifier(Slow()).stream(camera(), "oldest"))
    indexes = [r.frame.index for r in results]
    assert len(results) < 150
    assert indexes == sorted(set(indexes))
    assert indexes == [brightness(r) for r in results]
    assert indexes[-1] == 199
    assert len(results) + sum(r.frame.dropped for r in results) == 200  # type: ignore[misc]


def test_a_fast_model_gets_every_frame():
    taken = threading.Semaphore(0)

    def camera():
        for value in range(20):
            yield shade(value)
            assert taken.acquire(timeout=WAIT_S)

    results = []
    for result in classifier().stream(camera(), "oldest"):
        results.append(brightness(result))
        taken.release()
    assert results == list(range(20))


@pytest.mark.parametrize("drop", ["none", "oldest"])
def test_the_sources_error_follows_its_last_frame(drop):
    def camera():
        yield shade(1)
        yield shade(2)
        raise OSError("cable pulled")

    results = classifier().stream(camera(), drop=drop)
    seen = []
    with pytest.raises(OSError, match="cable pulled"):
        seen.extend(map(brightness, results))  # extend keeps what came before the error
    assert seen[-1] == 2
    assert not readers()


@pytest.mark.parametrize("drop", ["none", "oldest"])
def test_a_frame_that_is_no_picture_is_refused(drop):
    with pytest.raises(InputError, match="expected"):
        list(classifier().stream([shade(1).astype(float)], drop=drop))
    assert not readers()


def photo_file(folder: Path) -> Path:
    path = folder / "grey.png"
    Image.new("RGB", (30, 20), (70, 70, 70)).save(path)
    return path


@pytest.mark.parametrize(
    "give",
    [
        lambda frames, folder: frames,
        lambda frames, folder: tuple(frames),
        lambda frames, folder: np.stack(frames),
        lambda frames, folder: (frame for frame in frames),
        lambda frames, folder: [Image.fromarray(frame) for frame in frames],
        lambda frames, folder: [photo_file(folder)] * 20,
        lambda frames, folder: iter([str(photo_file(folder))] * 20),
    ],
    ids=["list", "tuple", "array", "generator", "images", "paths", "names"],
)
def test_what_an_app_hands_over_is_never_dropped_from(give, tmp_path):
    class Slow(BrightnessEngine):
        def infer(self, batch):
            time.sleep(0.001)
            return super().infer(batch)

    results = list(classifier(Slow()).stream(give([shade(70)] * 20, tmp_path)))
    assert [(r.frame.index, r.frame.dropped, brightness(r)) for r in results] == [
        (index, 0, 70) for index in range(20)
    ]


def test_a_path_is_opened(tmp_path):
    photo_file(tmp_path)
    assert [brightness(r) for r in classifier().stream(tmp_path)] == [70]


def test_files_of_a_path_that_cannot_be_used_are_told(tmp_path, caplog):
    photo_file(tmp_path)
    (tmp_path / "torn.png").write_bytes(b"\x89PNG torn")
    assert len(list(classifier().stream(tmp_path))) == 1
    (record,) = caplog.records
    assert record.name == "edge_fgir.sources"
    assert "torn.png" in record.getMessage()
    caplog.clear()
    opened = open_source(tmp_path)
    assert len(list(classifier().stream(opened))) == 1
    assert len(opened.problems) == 1
    assert not caplog.records  # they are told by the source


def odd_files(folder: Path) -> list[Path]:
    """A photo of a phone that lay on its side, and a logo: both of brightness 70."""
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20), (70,) * 3).save(folder / "phone.png", exif=exif)
    Image.new("RGBA", (30, 20), (70, 70, 70, 255)).save(folder / "logo.png")
    return [folder / "phone.png", folder / "logo.png"]


def test_odd_files_are_converted_as_by_a_call(tmp_path):
    model, folder = classifier(), tmp_path / "odd"
    files = odd_files(folder)
    assert [brightness(model(file)) for file in files] == [70, 70]
    for source in (files, map(str, files), folder):
        results = list(model.stream(source))
        assert [brightness(result) for result in results] == [70, 70]
    phone = next(model.stream(files))
    assert phone.frame.pixels.shape == (30, 20, 3)


def test_odd_files_are_refused_where_the_bundle_refuses_them(tmp_path):
    model, folder = classifier(converts=False), tmp_path / "odd"
    for file in odd_files(folder):
        with pytest.raises(InputError, match="--convert"):
            model(file)
        with pytest.raises(InputError, match="--convert"):
            list(model.stream([file]))
    photo_file(folder)
    assert len(list(model.stream(folder))) == 1


def test_an_object_that_says_it_is_live_is_read_by_a_thread():
    source = Endless()
    source.live = True  # type: ignore[attr-defined]
    results = classifier().stream(source)
    next(results)
    assert threading.get_ident() not in source.read_by
    results.close()


class Capture:
    """A ``cv2.VideoCapture`` of five frames."""

    def __init__(self, frame_count: float, opened: bool = True) -> None:
        self.frame_count, self.opened, self.released = frame_count, opened, False
        self.left = [shade(value) for value in range(5)]

    def isOpened(self):  # noqa: N802
        return self.opened

    def read(self):
        return (True, self.left.pop(0)) if self.left else (False, None)

    def get(self, key):
        import cv2

        return {cv2.CAP_PROP_FRAME_COUNT: self.frame_count, cv2.CAP_PROP_FPS: 30.0}[key]

    def release(self):
        self.released = True


@pytest.mark.parametrize(("frame_count", "live"), [(5, False), (-1, True), (0, True)])
def test_an_opened_capture_is_a_source(frame_count, live):
    pytest.importorskip("cv2")
    capture = Capture(frame_count)
    source = given_source(capture)
    assert (source.live, source.fps) == (live, 30)
    results = list(classifier().stream(capture, drop="none"))
    assert [brightness(r) for r in results] == [0, 1, 2, 3, 4]
    assert not capture.released
    with pytest.raises(InputError, match="not open"):
        classifier().stream(Capture(5, opened=False))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (shade(1), r"one array of shape \(20, 30, 3\).*stream\(\[frame\]\)"),
        (None, "a NoneType as the source; expected frames"),
        (7, "a int as the source"),
        ({}, "a dict as the source"),
        ("missing.mp4", "missing.mp4 does not exist"),
    ],
)
def test_what_gives_no_frames_is_refused_at_once(given, message):
    with pytest.raises(InputError, match=message):
        classifier().stream(given)


@pytest.mark.parametrize("timestamp", [float("nan"), float("inf")])
def test_a_frame_needs_a_time(timestamp):
    with pytest.raises(InputError, match=r"frame 3 has the timestamp (nan|inf).*time\.monotonic"):
        Frame(shade(1), 3, timestamp)


def test_a_frame_knows_its_age():
    frame = Frame(shade(1), 0, 0.0, arrived=time.monotonic() - 2)
    assert frame.age_s == pytest.approx(2, abs=0.5)
    assert frame.arrived_at == pytest.approx(time.time(), abs=5)


def test_closing_stops_the_reader_and_closes_the_source_there():
    source = Endless()
    results = classifier().stream(source, drop="oldest")
    next(results)
    (reader,) = readers()
    start = time.monotonic()
    results.close()
    assert time.monotonic() - start < 0.5
    assert not reader.is_alive()
    assert source.closed_by == [reader.ident]
    assert source.read_by == {reader.ident}
    assert reader.daemon


def test_breaking_out_stops_the_reader():
    for _ in classifier().stream(Endless(), drop="oldest"):
        break
    deadline = time.monotonic() + WAIT_S
    while readers() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not readers()


def test_an_error_of_the_model_stops_the_reader():
    class Broken(BrightnessEngine):
        def infer(self, batch):
            if batch.any():
                raise RuntimeError("out of memory")
            return super().infer(batch)

    source = Endless()
    with pytest.raises(RuntimeError, match="out of memory"):
        next(classifier(Broken()).stream(source, "oldest"))
    assert len(source.closed_by) == 1
    assert not readers()


def test_a_reader_that_hangs_does_not_hold_the_caller(monkeypatch):
    monkeypatch.setattr("edge_fgir.runtime.stream._READER_EXIT_S", 0.1)
    unplugged = threading.Event()

    def camera():
        yield shade(1)
        unplugged.wait(30)

    results = classifier().stream(camera(), "oldest")
    next(results)
    start = time.monotonic()
    results.close()
    assert time.monotonic() - start < 3
    unplugged.set()
    for reader in readers():
        reader.join(WAIT_S)
    assert not readers()


@pytest.mark.parametrize("drop", ["none", "oldest"])
def test_an_empty_source_gives_nothing(drop):
    assert list(classifier().stream([], drop=drop)) == []


def test_an_unknown_policy_is_refused_at_once():
    with pytest.raises(InputError, match=r"drop='newest'.*oldest, none"):
        classifier().stream([], drop="newest")
