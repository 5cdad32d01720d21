from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from edge_fgir import InputError
from edge_fgir.runtime.video import VideoWriter, check_video_path, draw_result, shorten

pytestmark = pytest.mark.unit


def answer(label: str = "mono, functional", score: float = 0.973, unknown: bool = False):
    return SimpleNamespace(label=label, score=score, is_unknown=unknown)


def photo(path: Path):
    return np.asarray(Image.open(path).convert("RGB"))


def reread(path: Path):
    cv2 = pytest.importorskip("cv2")
    video = cv2.VideoCapture(str(path))
    fps, frames = video.get(cv2.CAP_PROP_FPS), []
    while True:
        whole, pixels = video.read()
        if not whole:
            return fps, frames
        frames.append(pixels)


BACKGROUNDS = {
    "white": np.full((300, 300, 3), 255, np.uint8),
    "black": np.zeros((300, 300, 3), np.uint8),
    "noise": np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8),
}


def bar_of(drawn, background) -> int:
    """Height of the lower part of the frame that differs from the input."""
    changed = np.flatnonzero((drawn != background).any(axis=(1, 2)))
    return len(background) - int(changed[0])


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_text_stands_out_of_any_background(name):
    background = BACKGROUNDS[name]
    drawn = draw_result(background, answer(), 24.9)
    lower = drawn[-45:].astype(int).max(axis=2)
    text, ground = lower > 200, lower < 80
    assert text.mean() > 0.02
    assert (text | ground).mean() > 0.85  # the rest is the letters' soft edges
    assert np.array_equal(drawn[:-60], background[:-60])


def test_the_input_stays_as_it_was(elpv_photos):
    pixels = photo(elpv_photos[0])
    before = pixels.copy()
    drawn = draw_result(pixels, answer(), 24.9)
    assert np.array_equal(pixels, before)
    assert drawn.shape == pixels.shape
    assert drawn.dtype == np.uint8


def test_label_score_and_rate_each_show():
    black = BACKGROUNDS["black"]
    base = draw_result(black, answer(), 24.9)
    assert (draw_result(black, answer(label="poly"), 24.9) != base).any()
    assert (draw_result(black, answer(score=0.5), 24.9) != base).any()
    assert (draw_result(black, answer(), 8.1) != base).any()
    right = base[-22:, 200:]
    assert right.any()
    assert not draw_result(black, answer(), None)[-22:, 200:].any()


def test_unknown_is_said_and_coloured():
    black = BACKGROUNDS["black"]
    known, unknown = (
        draw_result(black, answer(), 9.0),
        draw_result(black, answer(unknown=True), 9.0),
    )
    columns = [np.flatnonzero(d[-42:-22].any(axis=(0, 2)))[-1] for d in (known, unknown)]
    assert columns[1] > columns[0] + 40  # "unknown: " before the label
    pen = unknown[-42:-22].reshape(-1, 3).max(axis=0)
    assert pen[2] == 255  # amber, in BGR
    assert pen[0] < 100
    assert (known[-42:-22] == known[-42:-22, :, :1]).all()  # white


def test_a_long_label_is_shortened_to_the_frame():
    drawn = draw_result(
        BACKGROUNDS["black"], answer("Black-throated Blue Warbler " * 4, unknown=True), 9.0
    )
    columns = np.flatnonzero(drawn[-42:-22].any(axis=(0, 2)))
    assert 250 < columns[-1] < 296


@pytest.mark.parametrize("shape", [(8, 8), (20, 300), (300, 20), (64, 64)])
def test_tiny_frames_are_drawn_too(shape):
    black = np.zeros((*shape, 3), np.uint8)
    assert draw_result(black, answer(), 9.0).shape == black.shape


def test_the_bar_grows_with_the_frame():
    small, large = (np.full((n, 2 * n, 3), 255, np.uint8) for n in (300, 1080))
    heights = [bar_of(draw_result(white, answer(), 9.0), white) for white in (small, large)]
    assert 35 < heights[0] < 60
    assert 2.5 < heights[1] / heights[0] < 4


def test_accents_are_drawn_without_system_fonts(monkeypatch):
    from edge_fgir.runtime import video

    monkeypatch.setattr(video, "_WIDE_FONTS", ())
    video._font.cache_clear()
    black = BACKGROUNDS["black"]
    drawn = draw_result(black, answer("Zaunkönig Citroën"), 9.0)
    video._font.cache_clear()
    assert np.array_equal(drawn, draw_result(black, answer("Zaunkonig Citroen"), 9.0))


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("Boeing 737-300", 14, "Boeing 737-300"),
        ("Boeing 737-300", 10, "Boein…-300"),
        ("Boeing 737-300", 7, "Boe…300"),
        ("Boeing 737-300", 2, "B…"),
        ("Boeing 737-300", 0, "…"),
    ],
)
def test_shorten_keeps_both_ends(text, limit, expected):
    assert shorten(text, len, limit) == expected


@pytest.mark.parametrize("name", ["out.mp4", "out.AVI"])
def test_a_written_video_can_be_read_again(name, elpv_photos, tmp_path):
    pytest.importorskip("cv2")
    path = tmp_path / "new" / name
    with VideoWriter(path, 12.5) as video:
        for file in elpv_photos:
            video.write(photo(file))
        assert not path.exists()
    assert video.frames == 12
    assert [p.name for p in path.parent.iterdir()] == [name]
    fps, frames = reread(path)
    assert fps == pytest.approx(12.5)
    assert len(frames) == 12
    for found, file in zip(frames, elpv_photos, strict=True):
        assert np.abs(found.astype(int) - photo(file)).mean() < 4


def test_drawn_text_survives_the_codec(elpv_photos, tmp_path):
    pixels = photo(elpv_photos[0])
    drawn = draw_result(pixels, answer(), 24.9)
    with VideoWriter(tmp_path / "out.mp4", 10) as video:
        video.write(drawn)
    _, (found,) = reread(tmp_path / "out.mp4")
    assert np.abs(found[-40:].astype(int) - drawn[-40:]).mean() < 8
    assert np.abs(found[-40:].astype(int) - pixels[-40:]).mean() > 16


def test_odd_sizes_lose_one_row_and_column(tmp_path):
    pytest.importorskip("cv2")
    with VideoWriter(tmp_path / "odd.mp4", 10) as video:
        for _ in range(3):
            video.write(np.full((65, 99, 3), 90, np.uint8))
    _, frames = reread(tmp_path / "odd.mp4")
    assert [f.shape for f in frames] == [(64, 98, 3)] * 3


def test_frames_of_another_size_are_fitted_into_the_first(tmp_path):
    pytest.importorskip("cv2")
    with VideoWriter(tmp_path / "mixed.avi", 10) as video:
        video.write(np.full((64, 128, 3), 250, np.uint8))
        video.write(np.full((200, 200, 3), 250, np.uint8))
    _, frames = reread(tmp_path / "mixed.avi")
    assert [f.shape for f in frames] == [(64, 128, 3)] * 2
    assert frames[1][:, 40:88].min() > 200  # the square stands in the middle
    assert frames[1][:, :24].max() < 50


def test_timestamps_keep_the_videos_time(tmp_path):
    pytest.importorskip("cv2")
    moments = ((40, 5.0), (80, 5.1), (200, 5.11), (220, 5.12), (160, 5.5), (240, 5.6))
    with VideoWriter(tmp_path / "live.avi", 10) as video:
        for value, seconds in moments:
            video.write(np.full((32, 32, 3), value, np.uint8), seconds)
    _, frames = reread(tmp_path / "live.avi")
    shown = [round(float(f.mean())) for f in frames]
    assert shown == pytest.approx([40, 80, 220, 220, 220, 160, 240], abs=2)


def test_an_error_leaves_nothing(tmp_path):
    pytest.importorskip("cv2")
    path = tmp_path / "out.mp4"
    path.write_bytes(b"the video before")

    def record_until_it_breaks():
        with VideoWriter(path, 10) as video:
            video.write(np.zeros((32, 32, 3), np.uint8))
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        record_until_it_breaks()
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]
    assert path.read_bytes() == b"the video before"


def test_no_frames_leave_nothing(tmp_path):
    pytest.importorskip("cv2")
    with VideoWriter(tmp_path / "out.mp4", 10):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["out.mkv", "out", "out.mp4.txt"])
def test_other_kinds_of_video_are_refused(name, tmp_path):
    for use in (check_video_path, lambda path: VideoWriter(path, 10)):
        with pytest.raises(InputError, match=r"expected \.mp4 or \.avi"):
            use(tmp_path / name)


def test_a_folder_is_no_video(tmp_path):
    (tmp_path / "out.mp4").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        check_video_path(tmp_path / "out.mp4")


def test_a_frame_that_is_no_picture_is_refused(tmp_path):
    pytest.importorskip("cv2")
    with pytest.raises(InputError, match="expected"), VideoWriter(tmp_path / "o.mp4", 5) as video:
        video.write(np.zeros((32, 32), np.uint8))
    assert list(tmp_path.iterdir()) == []
