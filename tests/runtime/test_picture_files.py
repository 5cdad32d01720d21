from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edge_fgir import InputError
from edge_fgir.runtime import (
    check_image,
    find_pictures,
    is_picture,
    list_pictures,
    look_for_pictures,
    open_source,
    picture_files,
    read_image,
)
from edge_fgir.runtime.picture_files import ENDINGS, format_of, formats

pytestmark = pytest.mark.unit

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 30, 3), np.uint8)
WRITABLE = ("JPEG", "PNG", "BMP", "DIB", "WEBP", "TIFF", "PPM", "GIF", "TGA", "PCX", "DDS")


def save(path: Path, name: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(PIXELS).save(path, name)
    return path


@pytest.mark.parametrize(
    ("name", "ending"),
    [(name, ending) for name in WRITABLE for ending in ENDINGS[name]],
)
def test_every_ending_is_found_and_read(tmp_path: Path, name: str, ending: str) -> None:
    save(tmp_path / f"a{ending.upper()}", name)
    (path,) = find_pictures(tmp_path)
    assert is_picture(path)
    check_image(path, convert=True)
    assert read_image(path, convert=True).shape == (24, 30, 3)


@pytest.mark.parametrize("name", ["noending", "a.jpg_large", "a.jpg?w=300", "a.jpeg!d", "a.image"])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP"])
def test_first_bytes_tell_where_the_ending_does_not(tmp_path: Path, name: str, form: str) -> None:
    path = save(tmp_path / name, form)
    assert find_pictures(tmp_path) == [path]
    assert read_image(path, convert=True).shape == (24, 30, 3)


@pytest.mark.parametrize("name", ["a.jpg.bak", "a.jpg~", "a.jpg.part", "a.txt", "Thumbs.db"])
def test_copies_and_other_files_are_no_pictures(tmp_path: Path, name: str) -> None:
    save(tmp_path / name, "JPEG")
    listing = list_pictures(tmp_path)
    assert listing.pictures == []
    assert sum(listing.others.values()) == 1


@given(st.binary(max_size=40))
def test_any_first_bytes_are_judged(head: bytes) -> None:
    assert format_of(head) in {None, "JPEG", "PNG", "GIF", "WEBP", "AVIF", "HEIF", "JXL"}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP"])
def test_formats_are_told_by_what_pillow_writes(form: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, form)
    assert format_of(buffer.getvalue()[:32]) == form


@pytest.mark.parametrize(
    "folder", [".thumbnails", "@eaDir", "__MACOSX", "#recycle", "@Recycle", "$RECYCLE.BIN"]
)
def test_what_boxes_and_systems_leave_is_passed_over(tmp_path: Path, folder: str) -> None:
    path = save(tmp_path / "tit" / "a.jpg")
    save(tmp_path / "tit" / folder / "a.jpg" / "SYNOPHOTO_THUMB_XL.jpg")
    assert find_pictures(tmp_path) == [path]


def test_a_missing_plug_in_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_files, "formats", lambda: ("JPEG", "PNG"))
    path = tmp_path / "a.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    assert is_picture(path)
    with pytest.raises(InputError, match=r"a\.heic is of a format .* run: pip install pillow-heif"):
        read_image(path)


def test_no_other_program_is_started(tmp_path: Path) -> None:
    assert not {"EPS", "WMF"} & set(formats())
    path = tmp_path / "a.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\n")
    with pytest.raises(InputError, match="is not a picture Pillow can read"):
        read_image(path)


def test_links_are_followed_once(tmp_path: Path) -> None:
    real = save(tmp_path / "else" / "a.jpg")
    birds = tmp_path / "birds"
    birds.mkdir()
    (birds / "a.jpg").symlink_to(real)
    (birds / "folder").symlink_to(real.parent)
    (birds / "round").symlink_to(birds)
    (birds / "lost.jpg").symlink_to(tmp_path / "gone.jpg")
    listing = list_pictures(birds)
    assert listing.pictures == [birds / "a.jpg", birds / "folder" / "a.jpg"]
    ((path, error),) = listing.problems
    assert path == birds / "lost.jpg"
    assert "is a link to" in str(error)
    assert "gone.jpg, which is not there" in str(error)


def test_what_is_out_of_reach_is_told_in_its_place(tmp_path: Path) -> None:
    for name in ("a.jpg", "c.jpg"):
        save(tmp_path / name)
    (tmp_path / "b.jpg").symlink_to(tmp_path / "gone.jpg")
    found = look_for_pictures(tmp_path)
    assert [one.path.name for one in found] == ["a.jpg", "b.jpg", "c.jpg"]
    assert [one.problem is None for one in found] == [True, False, True]
    assert find_pictures(tmp_path) == [tmp_path / "a.jpg", tmp_path / "c.jpg"]
    source = open_source(tmp_path)
    assert [frame.index for frame in source] == [0, 2]
    ((index, error),) = source.problems
    assert (index, "which is not there" in str(error)) == (1, True)
    with pytest.raises(InputError, match="which is not there"):
        list(open_source(tmp_path, strict=True))


def test_pipes_and_devices_are_no_pictures(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    assert list_pictures(tmp_path).pictures == []
    for read in (read_image, check_image):
        with pytest.raises(InputError, match="is a device or a pipe"):
            read(tmp_path / "a.jpg")


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_may_not_be_read_is_not_called_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    path = save(tmp_path / "tit" / "a.jpg")

    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    if what == "folder":
        monkeypatch.setattr("os.scandir", refuse)
        with pytest.raises(InputError) as caught:
            find_pictures(tmp_path)
    else:
        monkeypatch.setattr("PIL.Image.open", refuse)
        with pytest.raises(InputError) as caught:
            read_image(path)
    text = str(caught.value)
    assert "may not be read (Permission denied)" in text
    assert not any(word in text for word in ("remove", "replace", "broken"))


@pytest.mark.parametrize("orientation", [0, 9, 255, 65_535])
@pytest.mark.parametrize("convert", [False, True])
def test_an_orientation_that_there_is_not_means_upright(
    tmp_path: Path, orientation: int, convert: bool
) -> None:
    image = Image.fromarray(PIXELS)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.png", exif=exif)
    check_image(tmp_path / "a.png", convert=convert)
    assert np.array_equal(read_image(tmp_path / "a.png", convert=convert), PIXELS)


def test_damaged_exif_data_do_not_cost_the_picture(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f\1\2")
    assert np.array_equal(read_image(tmp_path / "a.png"), PIXELS)


def test_a_very_large_jpeg_is_read_at_a_fraction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smooth = Image.fromarray(PIXELS).resize((1600, 1200), Image.Resampling.BICUBIC)
    smooth.save(tmp_path / "a.jpg", quality=95)
    smooth.save(tmp_path / "a.png")
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 900_000)  # twice that is an attack
    monkeypatch.setattr("edge_fgir.runtime.images._LARGEST_PIXELS", 500_000)
    check_image(tmp_path / "a.jpg")
    pixels = read_image(tmp_path / "a.jpg")
    assert pixels.shape == (600, 800, 3)
    half = np.asarray(smooth.reduce(2), np.int16)
    assert np.abs(pixels.astype(np.int16) - half).mean() < 3
    with pytest.raises(InputError, match="scale it down"):
        read_image(tmp_path / "a.png")
    monkeypatch.setattr("edge_fgir.runtime.images._LARGEST_SIDE", 1500)
    with pytest.raises(InputError, match="is 1600 x 1200 pixels; expected at most 1500 on a side"):
        read_image(tmp_path / "a.jpg")


def test_a_fraction_is_enough_for_a_look(tmp_path: Path) -> None:
    smooth = Image.fromarray(PIXELS).resize((1600, 1200), Image.Resampling.BICUBIC)
    smooth.save(tmp_path / "a.jpg", quality=95)
    assert read_image(tmp_path / "a.jpg", at_least=64).shape == (150, 200, 3)
    assert read_image(tmp_path / "a.jpg").shape == (1200, 1600, 3)
