from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from edge_fgir import InputError
from edge_fgir.runtime import Preprocess
from edge_fgir.runtime.block_means import Block, block_means, block_of

pytestmark = pytest.mark.unit

KERNELS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def noise(height: int, width: int):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def photo(elpv_photos):
    """A real photograph of 300 x 220 pixels with three different channels."""
    grey = [np.asarray(Image.open(file).convert("L")) for file in elpv_photos[:3]]
    return np.ascontiguousarray(np.stack(grey, axis=-1)[:, 40:260])


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("antialias", [True, False])
def test_pixels_of_the_right_size_are_not_touched(kernel, antialias):
    pixels = noise(64, 64)
    found = Preprocess(size=64, kernel=kernel, antialias=antialias).apply(pixels)
    assert np.array_equal(found, pixels)


@pytest.mark.parametrize("size", [32, 224, 512])
@pytest.mark.parametrize("kernel", KERNELS)
def test_with_antialias_it_is_pillows_resize(photo, size, kernel):
    found = Preprocess(size=size, kernel=kernel).apply(photo)
    wanted = np.asarray(Image.fromarray(photo).resize((size, size), KERNELS[kernel]))
    assert np.array_equal(found, wanted)


def differences(photo, size: int, kernel: str = "bilinear"):
    cv2 = pytest.importorskip("cv2")
    flag = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}[kernel]
    found = Preprocess(size=size, kernel=kernel, antialias=False).apply(photo)
    return np.abs(found.astype(int) - cv2.resize(photo, (size, size), interpolation=flag))


@pytest.mark.parametrize("size", [31, 64, 128, 299, 448, 700])
def test_without_antialias_it_is_opencvs_linear_resize(photo, size):
    difference = differences(photo, size)
    assert difference.mean() < 0.5
    assert difference.max() <= 2


@pytest.mark.parametrize("size", [64, 448])
@pytest.mark.parametrize("kernel", KERNELS)
def test_without_antialias_the_borders_are_opencvs_too(photo, size, kernel):
    difference = differences(photo, size, kernel)
    border = np.ones((size, size), bool)
    border[2:-2, 2:-2] = False
    # Pillow's cubic kernel is a little sharper than OpenCV's.
    assert difference[border].mean() < (0.5 if kernel == "bilinear" else 8)


@pytest.mark.parametrize("shape", [(40, 200), (200, 40), (1, 90), (90, 1)])
@pytest.mark.parametrize("size", [17, 128])
def test_without_antialias_thin_pictures_are_opencvs_too(shape, size):
    difference = differences(noise(*shape), size)
    assert difference.mean() < 1  # Pillow cuts where OpenCV rounds
    assert difference.max() <= 2


def test_antialias_changes_a_shrunk_picture(photo):
    sharp, smooth = (Preprocess(size=32, antialias=a).apply(photo) for a in (False, True))
    assert np.abs(sharp.astype(int) - smooth).mean() > 1


def grid(side: int):
    """Every pixel tells its own row and column."""
    rows, columns = np.mgrid[:side, :side].astype(np.uint8)
    return np.stack([rows, columns, rows // 2], axis=-1)


@pytest.mark.parametrize(
    ("size", "fraction", "side"), [(64, 0.875, 73), (32, 0.5, 64), (100, 0.8, 125), (64, 1.0, 64)]
)
def test_the_centre_of_a_picture_of_size_by_fraction_is_kept(size, fraction, side):
    pixels = grid(side)
    found = Preprocess(size=size, crop_fraction=fraction).apply(pixels)
    start = (side - size) // 2
    assert np.array_equal(found, pixels[start : start + size, start : start + size])
    assert found.flags.c_contiguous


def test_the_whole_picture_is_stretched_before_the_crop():
    halves = np.zeros((60, 300, 3), np.uint8)
    halves[:, 150:] = 200
    found = Preprocess(size=64, crop_fraction=0.5).apply(halves)
    assert (found[:, :31] == 0).all()
    assert (found[:, 33:] == 200).all()


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("fraction", [1.0, 0.875])
def test_channels_keep_their_order(antialias, fraction):
    step = Preprocess(size=48, antialias=antialias, crop_fraction=fraction)
    pixels = noise(70, 90)
    turned = step.apply(np.ascontiguousarray(pixels[..., ::-1]))
    assert np.array_equal(step.apply(pixels), turned[..., ::-1])
    plain = step.apply(np.full((70, 90, 3), (10, 120, 230), np.uint8))
    assert (plain == (10, 120, 230)).all()


LAYOUTS = {
    "a window": lambda pixels: pixels[3:, 10:-10],
    "every second line": lambda pixels: pixels[::2],
    "every third column": lambda pixels: pixels[:, ::3],
    "upside down": lambda pixels: pixels[::-1],
    "mirrored": lambda pixels: pixels[:, ::-1],
    "BGR": lambda pixels: pixels[..., ::-1],
    "planes": lambda pixels: np.ascontiguousarray(pixels.transpose(2, 0, 1)).transpose(1, 2, 0),
    "turned": lambda pixels: pixels.transpose(1, 0, 2),
    "of four channels": lambda pixels: np.dstack([pixels, pixels[..., 0]])[..., :3],
    "Fortran's": np.asfortranarray,
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "settings", [{"shrink": "blocks"}, {"antialias": True}, {"antialias": False}]
)
def test_the_layout_in_memory_changes_nothing(layout, settings):
    pixels = LAYOUTS[layout](noise(180, 320))
    step = Preprocess(size=32, **settings)
    assert np.array_equal(step.apply(pixels), step.apply(np.array(pixels, order="C")))


def test_the_callers_pixels_are_left_alone(photo):
    before = photo.copy()
    Preprocess(size=64, antialias=False).apply(photo)
    assert np.array_equal(photo, before)


@pytest.mark.parametrize(
    ("pixels", "found", "wanted"),
    [
        (np.zeros((8, 8, 3), np.float32), "type float32", "uint8"),
        (np.zeros((8, 8, 3), np.int64), "type int64", "uint8"),
        ([[1, 2, 3]], "type list", "HWC uint8 array"),
        (None, "type NoneType", "HWC uint8 array"),
        (np.zeros((8, 8), np.uint8), r"shape \(8, 8\)", r"\(height, width, 3\)"),
        (np.zeros((8, 8, 4), np.uint8), r"shape \(8, 8, 4\)", r"\(height, width, 3\)"),
        (np.zeros((8, 8, 1), np.uint8), r"shape \(8, 8, 1\)", r"\(height, width, 3\)"),
        (np.zeros((3, 8, 8), np.uint8), r"shape \(3, 8, 8\)", r"\(height, width, 3\)"),
        (np.zeros((2, 8, 8, 3), np.uint8), r"shape \(2, 8, 8, 3\)", r"\(height, width, 3\)"),
        (np.zeros((0, 8, 3), np.uint8), r"shape \(0, 8, 3\)", r"\(height, width, 3\)"),
        (np.zeros((8, 0, 3), np.uint8), r"shape \(8, 0, 3\)", r"\(height, width, 3\)"),
    ],
)
def test_what_is_no_frame_is_refused(pixels, found, wanted):
    with pytest.raises(InputError, match=f"frame of {found}; expected .*{wanted}"):
        Preprocess(size=32).apply(pixels)


@pytest.mark.parametrize(
    "values",
    [
        {"size": 15},
        {"size": 4097},
        {"size": 64, "kernel": "nearest"},
        {"size": 64, "crop_fraction": 0.25},
        {"size": 64, "crop_fraction": 1.1},
        {"size": 64, "crop_fraction": float("nan")},
        {"size": 64, "mean": 0.5},
        {},
    ],
)
def test_illegal_settings_are_refused(values):
    with pytest.raises(ValidationError):
        Preprocess(**values)


@given(
    height=st.integers(1, 400),
    width=st.integers(1, 400),
    size=st.integers(16, 96),
    kernel=st.sampled_from(sorted(KERNELS)),
    antialias=st.booleans(),
    shrink=st.sampled_from(["kernel", "blocks"]),
    fraction=st.floats(0.26, 1.0),
)
def test_every_picture_becomes_a_square_of_bytes(height, width, **settings):
    size, fraction = settings["size"], settings.pop("fraction")
    step = Preprocess(**settings, crop_fraction=fraction)
    found = step.apply(np.full((height, width, 3), (0, 77, 255), np.uint8))
    assert found.shape == (size, size, 3)
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    assert (found == (0, 77, 255)).all()


@given(st.integers(1, 500), st.integers(1, 500), st.sampled_from(sorted(KERNELS)))
def test_without_room_for_blocks_the_kernel_reads_every_pixel(height, width, kernel):
    side = 128
    whole = {"size": side, "kernel": kernel}
    if block_of(height, width, side) is None and (height, width) != (side, side):
        pixels = noise(height, width)
        lines = Image.fromarray(pixels).resize((side, height), KERNELS[kernel])
        wanted = np.asarray(lines.resize((side, side), KERNELS[kernel]))
        assert np.array_equal(Preprocess(**whole, shrink="blocks").apply(pixels), wanted)


@pytest.mark.parametrize(
    ("height", "width", "side", "block"),
    [
        (720, 1280, 224, (2, 3)),
        (720, 1280, 260, (2, 3)),
        (720, 1280, 262, None),
        (480, 640, 224, None),  # one line high
        (2160, 3840, 64, (16, 16)),
        (100, 90, 224, None),
        (30_000, 300, 64, (16, 3)),
        (1080, 1920, 260, (3, 4)),
    ],
)
def test_a_block_leaves_eleven_eighths_of_the_side(height, width, side, block):
    assert block_of(height, width, side) == block


@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    missing=st.tuples(st.integers(0, 15), st.integers(0, 15)),
    block=st.tuples(st.integers(2, 16), st.integers(2, 16)),
    white=st.booleans(),
)
def test_a_mean_is_the_sum_divided_and_rounded(rows, columns, missing, block, white):
    down, across = block
    beyond = missing[0] % down, missing[1] % across
    height, width = max(rows * down - beyond[0], 1), max(columns * across - beyond[1], 1)
    pixels = np.full((height, width, 3), 255, np.uint8) if white else noise(height, width)
    more = (-height % down, -width % across)
    padded = np.pad(pixels, ((0, more[0]), (0, more[1]), (0, 0)), mode="edge").astype(int)
    sums = padded.reshape(-1, down, padded.shape[1] // across, across, 3).sum((1, 3))
    wanted = (2 * sums + down * across) // (2 * down * across)
    if down * across % 2:  # no half there
        assert np.array_equal(wanted, (sums + down * across // 2) // (down * across))
    assert np.array_equal(block_means(pixels, Block(*block))[..., :3], wanted)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("height", "width", "size", "block"), [(160, 120, 40, (2, 2)), (150, 220, 32, (3, 4))]
)
def test_a_mirrored_picture_gives_the_mirrored_answer(photo, kernel, height, width, size, block):
    """Where blocks fill it: else the last ones lie at another place."""
    assert block_of(height, width, size) == block
    step = Preprocess(size=size, kernel=kernel, shrink="blocks")
    pixels = photo[:height, :width]
    for turned in (slice(None), slice(None, None, -1)), (slice(None, None, -1), slice(None)):
        found = step.apply(pixels[turned])[turned].astype(int)
        assert np.abs(found - step.apply(pixels)).max() <= 1


@pytest.mark.parametrize("size", [32, 48, 64])
@pytest.mark.parametrize("kernel", KERNELS)
def test_blocks_come_near_to_what_the_kernel_gives(photo, kernel, size):
    whole, blocks = (
        Preprocess(size=size, kernel=kernel, shrink=way).apply(photo).astype(int)
        for way in ("kernel", "blocks")
    )
    assert 0 < np.abs(whole - blocks).mean() < 1.5
    assert abs(whole.mean() - blocks.mean()) < 0.2


def test_two_steps_begin_with_an_antialiased_one():
    assert Preprocess(size=64, view_size=160).first_step == Preprocess(size=160)
    assert Preprocess(size=64).first_step == Preprocess(size=64)
    with pytest.raises(ValueError, match="view_size needs antialias true"):
        Preprocess(size=64, view_size=160, antialias=False)


def test_what_is_as_before_is_written_as_before():
    assert "shrink" not in Preprocess(size=64).model_dump_json()
    assert "view_size" not in Preprocess(size=64).model_dump_json()
    assert Preprocess(size=64, view_size=160).model_dump()["view_size"] == 160
    assert "shrink" not in Preprocess(size=64).model_dump(exclude={"size"})
    step = Preprocess(size=64, shrink="blocks")
    assert Preprocess.model_validate_json(step.model_dump_json()) == step
    assert Preprocess.model_validate_json('{"size": 64}').shrink == "kernel"
