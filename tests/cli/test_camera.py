from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_fgir.cli import main
from edge_fgir.runtime.video import VideoWriter

pytestmark = pytest.mark.export

FPS = 20.0
COLORS = ("red", "green", "blue")


@pytest.fixture(scope="module")
def photos(elpv_photos):
    """Real photographs seen through red, green and blue glass in turn, (300, 300, 3) BGR."""
    pixels = [np.asarray(Image.open(file).convert("RGB")) for file in elpv_photos]
    return [np.where(np.arange(3) == 2 - i % 3, p, p // 8) for i, p in enumerate(pixels)]


@pytest.fixture(scope="module")
def clip(photos, tmp_path_factory) -> Path:
    pytest.importorskip("cv2")
    path = tmp_path_factory.mktemp("clips") / "glass.mp4"
    with VideoWriter(path, FPS) as video:
        for pixels in photos:
            video.write(pixels)
    return path


@pytest.fixture
def camera(tiny_bundle, capsys):
    """Run the command in this process: (exit code, JSON lines, stderr)."""

    def run(*arguments: object, bundle: Path = tiny_bundle):
        with pytest.raises(SystemExit) as done:
            main(["camera", str(bundle), *map(str, arguments)])
        out, err = capsys.readouterr()
        return done.value.code or 0, [json.loads(line) for line in out.splitlines()], err

    return run


def reread(path: Path):
    import cv2

    video = cv2.VideoCapture(str(path))
    fps, frames = video.get(cv2.CAP_PROP_FPS), []
    while True:
        whole, pixels = video.read()
        if not whole:
            return fps, frames
        frames.append(pixels)


def test_a_video_becomes_json_lines(camera, clip):
    code, lines, err = camera("--source", clip)
    assert code == 0
    assert [line["label"] for line in lines] == [COLORS[i % 3] for i in range(12)]
    assert [line["frame"] for line in lines] == list(range(12))
    assert [line["timestamp"] for line in lines] == pytest.approx([i / FPS for i in range(12)])
    for line in lines:
        assert list(line) == [
            "frame",
            "timestamp",
            "label",
            "score",
            "is_unknown",
            "top",
            "latency_ms",
            "dropped",
        ]
        assert 1 / 3 < line["score"] <= 1
        assert line["is_unknown"] == (line["score"] < 0.5)
        assert line["top"] == [[line["label"], line["score"]]]
        assert line["latency_ms"] > 0
        assert line["dropped"] == 0
    assert len(err.splitlines()) == 1
    assert err.startswith("12 frames, 0 dropped, ")
    assert "fps, p50 latency " in err


def test_top_and_frames(camera, clip):
    code, lines, err = camera("--source", clip, "--top", "3", "--frames", "4")
    assert code == 0
    assert len(lines) == 4
    assert err.startswith("4 frames, 0 dropped")
    for line in lines:
        assert sorted(label for label, _ in line["top"]) == sorted(COLORS)
        assert sum(score for _, score in line["top"]) == pytest.approx(1, abs=1e-3)


def test_the_saved_video_shows_the_answers(camera, clip, tmp_path):
    code, _, _ = camera("--source", clip, "--save", tmp_path / "out.mp4")
    assert code == 0
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]
    fps, frames = reread(tmp_path / "out.mp4")
    _, before = reread(clip)
    assert fps == pytest.approx(FPS)
    assert len(frames) == len(before) == 12
    for found, input_ in zip(frames, before, strict=True):
        assert found.shape == (300, 300, 3)
        difference = np.abs(found.astype(int) - input_)
        assert difference[-40:].mean() > 12
        assert difference[:-50].mean() < 4
    rates = [frame[-22:, 220:].max() for frame in frames]
    assert rates[0] < 120  # nothing measured yet
    assert min(rates[1:]) > 200


def test_a_slow_model_drops_frames_and_the_recording_keeps_the_time(
    camera, clip, tmp_path, monkeypatch
):
    from edge_fgir.runtime.runtimes.openvino.engine import OpenVinoEngine

    fast = OpenVinoEngine.infer

    def slow(self, batch):
        time.sleep(2.5 / FPS)
        return fast(self, batch)

    monkeypatch.setattr(OpenVinoEngine, "infer", slow)
    code, lines, err = camera("--source", clip, "--realtime", "--save", tmp_path / "out.avi")
    assert code == 0
    assert lines[-1]["frame"] == 11
    assert len(lines) < 9
    assert len(lines) + sum(line["dropped"] for line in lines) == 12
    assert float(err.split(" dropped, ")[1].split(" s")[0]) >= 0.5
    fps, frames = reread(tmp_path / "out.avi")
    assert (fps, len(frames)) == (pytest.approx(FPS), 12)


def test_drop_can_be_chosen(camera, clip):
    _, lines, _ = camera("--source", clip, "--realtime", "--drop", "none")
    assert [line["frame"] for line in lines] == list(range(12))
    _, lines, _ = camera("--source", clip, "--drop", "oldest")
    assert lines[-1]["frame"] == 11
    assert len(lines) + sum(line["dropped"] for line in lines) == 12


def test_a_folder_of_pictures(camera, photos, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i, pixels in enumerate(photos[:5]):
        Image.fromarray(pixels[..., ::-1]).save(pictures / f"{i}.png")
    code, lines, _ = camera("--source", pictures, "--save", tmp_path / "out.mp4")
    assert code == 0
    assert [line["label"] for line in lines] == ["red", "green", "blue", "red", "green"]
    fps, frames = reread(tmp_path / "out.mp4")
    assert (fps, len(frames)) == (pytest.approx(2), 5)


def test_events_are_told_with_the_names_of_the_site(camera, photos, tmp_path):
    path = tmp_path / "visits.mp4"
    with VideoWriter(path, FPS) as video:
        for color in (0, 2, 2):  # red for a second, then blue for two
            for _ in range(20):
                video.write(photos[color])
    site = tmp_path / "site.yaml"
    site.write_text("labels: {red: {name: Rot}, blue: {name: Blau}}")
    code, lines, err = camera("--source", path, "--events", "--site", site)
    assert code == 0
    assert [(line["state"], line["name"], line["visit"]) for line in lines] == [
        ("decided", "Rot", 1),
        ("changed", "Blau", 1),
        ("ended", "Blau", 1),
    ]
    assert lines[-1]["frames"] == 60
    assert err.startswith("60 frames, 0 dropped, ")
    code, lines, err = camera("--source", path, "--site", tmp_path / "no.yaml")
    assert (code, lines) == (2, [])
    assert "no.yaml does not exist; expected a YAML file" in err


def test_visits_go_to_sinks_and_counters_to_a_file(camera, clip, tmp_path):
    lines_file, metrics = tmp_path / "visits.jsonl", tmp_path / "camera.prom"
    code, lines, _ = camera(
        *("--source", clip, "--metrics", metrics),
        *("--sink", f"jsonl:{lines_file}", "--sink", f"csv:{tmp_path / 'visits.csv'}"),
    )
    assert (code, len(lines)) == (0, 12)  # frames are printed as ever
    visits = [json.loads(line) for line in lines_file.read_text().splitlines()]
    assert visits[-1]["state"] == "ended"
    assert len((tmp_path / "visits.csv").read_text().splitlines()) == 1 + len(visits)
    figures = metrics.read_text()
    assert "edge_fgir_frames_total 12\n" in figures
    assert "edge_fgir_events_waiting 0\n" in figures
    assert 'edge_fgir_events_total{state="ended"} 1\n' in figures


def test_what_no_sink_took_is_said(camera, clip):
    code, _, err = camera("--source", clip, "--sink", "http://127.0.0.1:9/hook")
    assert code == 0
    (lost,) = (line for line in err.splitlines() if line.endswith(" events were lost"))
    assert int(lost.split()[0]) >= 1


def test_turned_pictures_are_refused_or_converted(camera, photos, tmp_path):
    Image.fromarray(photos[0][..., ::-1]).convert("RGBA").save(tmp_path / "a.png")
    code, lines, err = camera("--source", tmp_path, "--save", tmp_path / "out.mp4", "--strict")
    assert (code, lines) == (2, [])
    assert "--convert" in err
    assert not (tmp_path / "out.mp4").exists()
    code, lines, _ = camera("--source", tmp_path, "--convert")
    assert (code, [line["label"] for line in lines]) == (0, ["red"])


def test_one_bad_picture_costs_one_picture(camera, photos, tmp_path):
    for i, pixels in enumerate(photos[:3]):
        Image.fromarray(pixels[..., ::-1]).save(tmp_path / f"{i}.png")
    (tmp_path / "1.png").write_text("no picture")
    code, lines, _ = camera("--source", tmp_path)
    assert code == 1
    assert [(line["frame"], line.get("label")) for line in lines] == [
        (0, "red"),
        (1, None),
        (2, "blue"),
    ]
    assert "1.png is not a picture Pillow can read" in lines[1]["error"]


def test_a_picture_out_of_reach_is_told_in_its_place(camera, photos, tmp_path):
    for i in (0, 2):
        Image.fromarray(photos[i][..., ::-1]).save(tmp_path / f"{i}.png")
    (tmp_path / "1.png").symlink_to(tmp_path / "gone.png")
    code, lines, _ = camera("--source", tmp_path)
    assert code == 1
    assert [(line["frame"], line.get("label")) for line in lines] == [
        (0, "red"),
        (1, None),
        (2, "blue"),
    ]
    assert "gone.png, which is not there" in lines[1]["error"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", "no.mp4"], "no.mp4 does not exist; expected a video"),
        (["--source", "97"], "camera 97 cannot be opened"),
        (["--source", "0", "--save", "out.mkv"], "out.mkv ends in '.mkv'; expected .mp4 or .avi"),
        (
            ["--source", "0", "--drop", "newest"],
            "--drop newest; expected one of auto, oldest, none",
        ),
        (["--source", "0", "--device", "tpu"], "--device tpu; expected one of auto"),
        (["--source", "."], "holds no pictures"),
        (["--source", "0", "--size", "big"], "--size big; expected WIDTHxHEIGHT"),
        (["--source", "0", "--fourcc", "mjpeg"], "camera: fourcc 'mjpeg'"),
        (["--source", "rtsp://127.0.0.1/x", "--size", "640x480"], "is no camera that could be"),
    ],
)
def test_errors_are_one_line(camera, arguments, message, tmp_path, monkeypatch):
    pytest.importorskip("cv2")
    monkeypatch.chdir(tmp_path)
    code, lines, err = camera(*arguments)
    assert (code, lines) == (2, [])
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_missing_bundle(camera, clip, tmp_path):
    code, _, err = camera("--source", clip, bundle=tmp_path / "no.fgir")
    assert code == 2
    assert "no.fgir does not exist; expected a bundle" in err


def test_the_source_is_never_overwritten(camera, clip, tmp_path):
    source = Path(shutil.copy(clip, tmp_path / "mine.mp4"))
    code, lines, err = camera("--source", source, "--save", tmp_path / "." / "mine.mp4")
    assert (code, lines) == (2, [])
    assert "is the source" in err
    assert source.read_bytes() == clip.read_bytes()


def test_what_a_camera_showed_before_it_was_unplugged_is_kept(
    camera, photos, tmp_path, monkeypatch
):
    cv2 = pytest.importorskip("cv2")
    real = cv2.VideoCapture

    class Unplugged:
        def __init__(self, *_: object) -> None:
            self._left = list(photos[:3])

        def isOpened(self):  # noqa: N802
            return True

        def grab(self):
            return bool(self._left)

        def retrieve(self):
            return True, self._left.pop(0)

        def get(self, _: int):
            return 0.0

        def set(self, _: int, value: float):
            return False

        def release(self):
            pass

    monkeypatch.setattr(cv2, "VideoCapture", Unplugged)
    metrics = tmp_path / "camera.prom"
    code, lines, err = camera(
        *("--source", "0", "--save", tmp_path / "out.mp4", "--drop", "none", "--patience-s", 0),
        *("--metrics", metrics),
    )
    monkeypatch.setattr(cv2, "VideoCapture", real)
    assert code == 1
    assert [line["label"] for line in lines] == ["red", "green", "blue"]
    summary, error = err.splitlines()
    assert summary.startswith("3 frames")
    assert error.startswith("error: camera 0 stopped delivering frames after 3")
    assert "edge_fgir_source_outages_total 1\n" in metrics.read_text()
    assert reread(tmp_path / "out.mp4")[1]


# A shell starts its background jobs, these tests among them, deaf to Ctrl-C.
_MAIN = """
import signal
from edge_fgir.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""


def _start(bundle: Path, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _MAIN, "camera", str(bundle), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGTERM, "closed pipe"])
def test_it_ends_quietly_and_finishes_the_video(tiny_bundle, photos, tmp_path, way):
    pytest.importorskip("cv2")
    long = tmp_path / "long.mp4"
    with VideoWriter(long, FPS) as video:
        for i in range(600):
            video.write(photos[i % 12][::4, ::4])
    out = tmp_path / "out.mp4"
    with _start(tiny_bundle, "--source", long, "--realtime", "--save", out) as process:
        assert json.loads(process.stdout.readline())["frame"] >= 0
        if way == "closed pipe":
            process.stdout.close()
        else:
            process.send_signal(way)
        assert process.wait(20) == 0
        said = process.stderr.read()
    assert said.count("\n") == 1, said
    assert " dropped, " in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["long.mp4", "out.mp4"]
    assert 1 <= len(reread(out)[1]) < 300
