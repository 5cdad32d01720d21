from __future__ import annotations

import io
import struct
import warnings
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edge_fgir import InputError
from edge_fgir.runtime import (
    check_image,
    find_pictures,
    is_picture,
    pictures_below,
    read_image,
    to_rgb,
)

pytestmark = pytest.mark.unit

CONVERT = "or pass --convert to let edge-fgir do it"
SIDE = 24
ORIENTATION = 0x0112


def colors(height: int = SIDE, width: int = SIDE + 6):
    """A smooth picture whose corners all differ."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return (255 * np.stack([x, y, (1 - x) * (1 - y)], axis=-1)).astype(np.uint8)


def saved(path: Path, image: Image.Image, **options) -> Path:
    image.save(path, **options)
    return path


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


# Each writes an odd picture into a folder and returns its path.


def rgba(folder: Path) -> Path:
    alpha = np.full((SIDE, SIDE + 6, 1), 255, np.uint8)
    alpha[:8], alpha[8:16] = 0, 128
    return saved(folder / "rgba.png", Image.fromarray(np.concatenate([colors(), alpha], axis=2)))


def grey_with_alpha(folder: Path) -> Path:
    pixels = np.full((SIDE, SIDE, 2), (40, 255), np.uint8)
    pixels[:8, :, 1] = 0
    return saved(folder / "la.png", Image.fromarray(pixels, "LA"))


def grey_with_clear_value(folder: Path) -> Path:
    pixels = np.full((SIDE, SIDE), 40, np.uint8)
    pixels[:8] = 7
    return saved(folder / "trns.png", Image.fromarray(pixels), transparency=7)


def rgb_with_clear_value(folder: Path) -> Path:
    pixels = np.full((SIDE, SIDE, 3), 40, np.uint8)
    pixels[:8] = (1, 2, 3)
    return saved(folder / "trns_rgb.png", Image.fromarray(pixels), transparency=(1, 2, 3))


def palette(folder: Path, **options) -> Path:
    image = Image.fromarray(np.arange(SIDE * SIDE, dtype=np.uint8).reshape(SIDE, SIDE) % 5)
    image = image.copy()
    image.putpalette([10, 20, 30, 250, 0, 0, 0, 250, 0, 0, 0, 250, 99, 98, 97])
    return saved(folder / "palette.png", image, **options)


def palette_with_clear_entry(folder: Path) -> Path:
    return palette(folder, transparency=1)


def palette_with_alphas(folder: Path) -> Path:
    return palette(folder, transparency=bytes([255, 0, 128, 255, 255]))


def animation(folder: Path) -> Path:
    frames = [Image.new("RGB", (SIDE, SIDE), name) for name in ("red", "blue")]
    return saved(folder / "anim.gif", frames[0], save_all=True, append_images=frames[1:])


def deep_grey_values():
    return np.linspace(0, 65535, SIDE * SIDE).astype(np.uint16).reshape(SIDE, SIDE)


def deep_grey(folder: Path) -> Path:
    return saved(folder / "grey16.png", Image.fromarray(deep_grey_values()))


def deep_grey_tiff(folder: Path) -> Path:
    return saved(folder / "grey16.tif", Image.fromarray(deep_grey_values()))


def chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def deep_grey_with_clear_value(folder: Path) -> Path:
    path = folder / "grey16_trns.png"
    data = deep_grey(folder).read_bytes()
    at = data.index(b"IDAT") - 4
    path.write_bytes(data[:at] + chunk(b"tRNS", struct.pack(">H", 0)) + data[at:])
    return path


def deep_rgb_values():
    return np.repeat(deep_grey_values()[..., None], 3, axis=2) // np.array([1, 2, 3], np.uint16)


def deep_rgb(folder: Path) -> Path:
    cv2 = pytest.importorskip("cv2")
    cv2.imwrite(str(folder / "rgb16.png"), deep_rgb_values()[..., ::-1])
    return folder / "rgb16.png"


def cmyk(folder: Path) -> Path:
    return saved(folder / "cmyk.jpg", Image.fromarray(colors()).convert("CMYK"), quality=95)


def one_bit(folder: Path) -> Path:
    return saved(folder / "bits.png", Image.fromarray(colors()[..., 0] > 100))


def on_its_side(folder: Path) -> Path:
    return saved(folder / "turned.jpg", Image.fromarray(colors()), exif=turned(6), quality=95)


def mirrored_png(folder: Path) -> Path:
    return saved(folder / "mirrored.png", Image.fromarray(colors()), exif=turned(2))


def turned_behind_the_pixels(folder: Path) -> Path:
    """A PNG whose EXIF data follow the pixels, as some cameras and editors write it."""
    path = saved(folder / "late.png", Image.fromarray(colors()), exif=turned(6))
    data = path.read_bytes()
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    last = data.index(b"IEND") - 4
    path.write_bytes(data[:start] + data[end:last] + data[start:end] + data[last:])
    return path


def floats(folder: Path) -> Path:
    return saved(folder / "float.tif", Image.fromarray(colors()[..., 0].astype(np.float32)))


def integers(folder: Path) -> Path:
    return saved(folder / "int32.tif", Image.fromarray(colors()[..., 0].astype(np.int32)))


def lab(folder: Path) -> Path:
    return saved(folder / "lab.tif", Image.new("LAB", (SIDE, SIDE)))


def printed_tiff(folder: Path) -> Path:
    return saved(folder / "cmyk.tif", Image.fromarray(colors()).convert("CMYK"))


def with_alpha_tiff(folder: Path) -> Path:
    return saved(folder / "rgba.tif", Image.fromarray(colors()).convert("RGBA"))


ODD = {
    rgba: "is an image with transparency (alpha)",
    with_alpha_tiff: "is an image with transparency (alpha)",
    grey_with_alpha: "is a grey image with transparency (alpha)",
    grey_with_clear_value: "is an image with transparency (alpha)",
    rgb_with_clear_value: "is an image with transparency (alpha)",
    palette: "is a palette image",
    palette_with_clear_entry: "is a palette image",
    palette_with_alphas: "is a palette image",
    animation: "is a palette image",
    deep_grey: "is a 16-bit image",
    deep_grey_tiff: "is a 16-bit image",
    deep_grey_with_clear_value: "is a 16-bit image",
    deep_rgb: "is a 16-bit image",
    cmyk: "is CMYK (print colours)",
    printed_tiff: "is CMYK (print colours)",
    one_bit: "is a 1-bit image",
    lab: "is LAB",
    on_its_side: "carries EXIF orientation 6 (stored turned or mirrored)",
    mirrored_png: "carries EXIF orientation 2 (stored turned or mirrored)",
}


def refusal(path: Path, *, convert: bool = False, read=read_image) -> str:
    with pytest.raises(InputError) as caught:
        read(path, convert=convert)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert caught.value.exit_code == 2
    assert str(path) in text
    return text


@pytest.mark.parametrize("read", [read_image, check_image])
@pytest.mark.parametrize("make", ODD)
def test_odd_pictures_are_refused_with_reason_and_remedy(make, read, tmp_path):
    path = make(tmp_path)
    assert refusal(path, read=read).startswith(f"{path} {ODD[make]}; expected ")
    assert refusal(path, read=read).endswith(CONVERT)


@pytest.mark.parametrize("make", ODD)
def test_odd_pictures_pass_when_conversion_is_asked_for(make, tmp_path):
    path = make(tmp_path)
    assert check_image(path, convert=True) is None
    pixels = read_image(path, convert=True)
    assert (pixels.dtype, pixels.ndim, pixels.shape[2]) == (np.uint8, 3, 3)


def missing(folder: Path) -> Path:
    return folder / "missing.png"


def a_folder(folder: Path) -> Path:
    (folder / "folder.png").mkdir()
    return folder / "folder.png"


def text_file(folder: Path) -> Path:
    (folder / "text.jpg").write_text("<html>404 not found</html>")
    return folder / "text.jpg"


def empty_file(folder: Path) -> Path:
    (folder / "empty.png").touch()
    return folder / "empty.png"


def cut(path: Path, left: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(left * len(data))])
    return path


def cut_jpeg(folder: Path) -> Path:
    return cut(saved(folder / "cut.jpg", Image.fromarray(colors(200, 200))), 0.6)


def cut_png(folder: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return cut(saved(folder / "cut.png", Image.fromarray(noise)), 0.6)


def one_pixel(folder: Path) -> Path:
    return saved(folder / "dot.png", Image.new("RGB", (1, 1)))


def thin(folder: Path) -> Path:
    return saved(folder / "thin.png", Image.new("RGB", (300, 7)))


def small_bomb(folder: Path) -> Path:
    """A PNG of 200 bytes whose pixels are just few enough for Pillow."""
    return bomb(folder, 13_000)


def bomb(folder: Path, side: int = 20_000) -> Path:
    """A PNG of 200 bytes that claims so many pixels a side."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    (folder / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data)
    return folder / "bomb.png"


BAD = {
    missing: ("does not exist", "a picture file"),
    a_folder: ("is a folder", "name the files in it"),
    text_file: ("is not a picture Pillow can read", "replace or remove the file"),
    empty_file: ("is not a picture Pillow can read", "replace or remove the file"),
    cut_jpeg: ("is broken or truncated", "copy it again or remove it"),
    cut_png: ("is broken or truncated", "copy it again or remove it"),
    one_pixel: ("is 1 x 1 pixels; expected at least 8 x 8", "remove the file"),
    thin: ("is 300 x 7 pixels; expected at least 8 x 8", "remove the file"),
    bomb: ("exceeds limit", "scale it down"),
    small_bomb: ("is 13000 x 13000 pixels; expected at most 100 megapixels", "scale it down"),
    floats: ("is a floating-point image, whose black and white points", "convert the file"),
    integers: ("is a 32-bit integer image, whose black and white points", "convert the file"),
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("convert", [False, True])
@pytest.mark.parametrize("make", BAD)
def test_bad_files_are_refused_whatever_is_asked_for(make, convert, tmp_path):
    found, remedy = BAD[make]
    text = refusal(make(tmp_path), convert=convert)
    assert found in text
    assert text.endswith(remedy)


@pytest.mark.parametrize("convert", [False, True])
@pytest.mark.parametrize("make", BAD)
def test_header_and_end_tell(make, convert, tmp_path):
    path = make(tmp_path)
    assert refusal(path, convert=convert, read=check_image) == refusal(path, convert=convert)


@pytest.mark.parametrize("read", [read_image, check_image])
@pytest.mark.parametrize("make", [*ODD, *(make for make in BAD if make not in (missing, a_folder))])
def test_content_without_a_file_is_judged_like_the_file(make, read, tmp_path):
    path = make(tmp_path)
    wanted, content = refusal(path, read=read), io.BytesIO(path.read_bytes())
    path.unlink()
    assert refusal(path, read=partial(read, file=content)) == wanted


def test_content_without_a_file_has_the_same_pixels(tmp_path):
    path = saved(tmp_path / "a.png", Image.fromarray(colors()))
    content = io.BytesIO(path.read_bytes())
    path.unlink()
    assert check_image(path, file=content) is None
    assert np.array_equal(read_image(path, file=content), colors())


def test_damage_inside_needs_the_pixels(tmp_path):
    path = cut_png(tmp_path)
    path.write_bytes(path.read_bytes() + b"IEND")
    assert check_image(path) is None
    assert "broken or truncated" in refusal(path)


@pytest.mark.parametrize("convert", [False, True])
@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.ppm", "a.webp"])
def test_plain_rgb_passes_unchanged(name, convert, tmp_path):
    options = {"lossless": True} if name == "a.webp" else {}
    path = saved(tmp_path / name, Image.fromarray(colors()), **options)
    assert np.array_equal(read_image(path, convert=convert), colors())
    assert check_image(path, convert=convert) is None


@pytest.mark.parametrize("convert", [False, True])
@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif"])
def test_plain_grey_is_repeated_three_times(name, convert, tmp_path):
    grey = colors()[..., 1]
    path = saved(tmp_path / name, Image.fromarray(grey))
    assert np.array_equal(read_image(path, convert=convert), np.stack([grey] * 3, axis=-1))


@pytest.mark.parametrize("convert", [False, True])
def test_real_photographs_are_what_pillow_reads(elpv_photos, convert):
    for file in elpv_photos[:3]:
        wanted = np.asarray(Image.open(file).convert("RGB"))
        assert np.array_equal(read_image(file, convert=convert), wanted)


@pytest.mark.parametrize("convert", [False, True])
def test_a_jpeg_with_an_upright_flag_is_plain(convert, tmp_path):
    path = saved(tmp_path / "a.jpg", Image.fromarray(colors()), exif=turned(1), quality=95)
    assert np.abs(read_image(path, convert=convert).astype(int) - colors()).mean() < 3


TURNS = {
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: np.rot90(p, 1),
}


@pytest.mark.parametrize("orientation", TURNS)
def test_the_rotation_flag_is_obeyed(orientation, tmp_path):
    path = saved(tmp_path / "a.png", Image.fromarray(colors()), exif=turned(orientation))
    assert f"carries EXIF orientation {orientation} " in refusal(path)
    assert np.array_equal(read_image(path, convert=True), TURNS[orientation](colors()))


def test_a_rotation_flag_behind_the_pixels_is_found(tmp_path):
    path = turned_behind_the_pixels(tmp_path)
    assert "carries EXIF orientation 6 " in refusal(path)
    assert np.array_equal(read_image(path, convert=True), TURNS[6](colors()))


def test_alpha_is_laid_on_white(tmp_path):
    pixels = read_image(rgba(tmp_path), convert=True).astype(int)
    assert (pixels[:8] == 255).all()
    assert np.abs(pixels[8:16] - (colors()[8:16].astype(int) + 255) / 2).max() <= 1.5
    assert np.array_equal(pixels[16:], colors()[16:])


@pytest.mark.parametrize(
    "make", [grey_with_alpha, grey_with_clear_value, rgb_with_clear_value], ids=lambda m: m.__name__
)
def test_clear_pixels_become_white(make, tmp_path):
    pixels = read_image(make(tmp_path), convert=True)
    assert (pixels[:8] == 255).all()
    assert (pixels[8:] == 40).all()


PALETTE = np.array([(10, 20, 30), (250, 0, 0), (0, 250, 0), (0, 0, 250), (99, 98, 97)])
INDICES = np.arange(SIDE * SIDE).reshape(SIDE, SIDE) % 256 % 5


@pytest.mark.parametrize(
    ("make", "changed"),
    [
        (palette, {}),
        (palette_with_clear_entry, {1: (255, 255, 255)}),
        (palette_with_alphas, {1: (255, 255, 255), 2: (127, 252, 127)}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_palette_colours_are_exact(make, changed, tmp_path):
    wanted = PALETTE.copy()
    for index, color in changed.items():
        wanted[index] = color
    assert np.abs(read_image(make(tmp_path), convert=True).astype(int) - wanted[INDICES]).max() <= (
        1 if changed else 0
    )


def test_the_first_picture_of_an_animation_counts(tmp_path):
    assert (read_image(animation(tmp_path), convert=True) == (255, 0, 0)).all()


@pytest.mark.parametrize("make", [deep_grey, deep_grey_tiff])
def test_sixteen_bits_are_divided_by_257(make, tmp_path):
    wanted = np.round(deep_grey_values() / 257)
    pixels = read_image(make(tmp_path), convert=True)
    assert np.array_equal(pixels, np.stack([wanted] * 3, axis=-1))
    assert (pixels.min(), pixels.max()) == (0, 255)


def test_a_clear_value_of_sixteen_bits_becomes_white(tmp_path):
    wanted = np.round(deep_grey_values() / 257)
    wanted[deep_grey_values() == 0] = 255
    pixels = read_image(deep_grey_with_clear_value(tmp_path), convert=True)
    assert np.array_equal(pixels[..., 0], wanted)


def test_sixteen_bit_colours_keep_their_order_and_range(tmp_path):
    pixels = read_image(deep_rgb(tmp_path), convert=True)
    assert np.abs(pixels - deep_rgb_values() / 257).max() <= 1


@pytest.mark.parametrize("make", [cmyk, printed_tiff])
def test_print_colours_are_pillows(make, tmp_path):
    path = make(tmp_path)
    wanted = np.asarray(Image.open(path).convert("RGB"))
    assert np.array_equal(read_image(path, convert=True), wanted)
    assert np.abs(wanted.astype(int) - colors()).mean() < 20


def test_bits_become_black_and_white(tmp_path):
    wanted = np.where(colors()[..., :1] > 100, 255, 0)
    assert np.array_equal(read_image(one_bit(tmp_path), convert=True), np.repeat(wanted, 3, axis=2))


@pytest.mark.parametrize("mode", ["RGBA", "RGBa"])
def test_an_open_image_is_converted_and_not_closed(mode):
    image = Image.fromarray(colors()).convert("RGBA")
    image.putalpha(0)
    image = image.convert(mode)
    assert (to_rgb(image) == 255).all()
    assert image.size == (SIDE + 6, SIDE)


@pytest.mark.parametrize("mode", ["F", "I", "La"])
def test_an_open_image_without_a_range_or_a_way_to_rgb_is_refused(mode):
    with pytest.raises(InputError, match=r"^image is .*; convert the file$"):
        to_rgb(Image.new(mode, (SIDE, SIDE)))


def _encoded() -> dict[str, bytes]:
    image = Image.fromarray(colors())
    kinds = {
        "a.jpg": {"exif": turned(6)},
        "a.png": {"exif": turned(6)},
        "a.tif": {"compression": "tiff_lzw"},
        "a.webp": {"exif": turned(6)},
        "a.gif": {},
        "a.bmp": {},
        "a.ppm": {},
    }
    found = {}
    for name, options in kinds.items():
        buffer = io.BytesIO()
        image.save(buffer, Image.registered_extensions()[Path(name).suffix], **options)
        found[name] = buffer.getvalue()
    return found


ENCODED = _encoded()


@pytest.mark.parametrize("name", ENCODED)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
def test_whatever_is_in_a_file_it_is_pixels_or_one_error(name, tmp_path_factory):
    path = tmp_path_factory.mktemp("damaged") / name

    @settings(max_examples=150)
    @given(
        place=st.integers(0, 250) | st.integers(0, len(ENCODED[name]) - 1),
        value=st.binary(min_size=0, max_size=4),
        kept=st.floats(0, 1) | st.just(1.0),
        convert=st.booleans(),
    )
    def damage(place, value, kept, convert):
        data = ENCODED[name][:place] + value + ENCODED[name][place + len(value) :]
        path.write_bytes(data[: int(kept * len(data))])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                pixels = read_image(path, convert=convert)
            except InputError as error:
                check_text(str(error))
            else:
                assert (pixels.ndim, pixels.shape[2], pixels.dtype) == (3, 3, np.uint8)

    def check_text(text: str):
        assert len(text.splitlines()) == 1
        assert str(path) in text

    damage()


@pytest.mark.parametrize("kind", [struct.error, IndexError, TypeError, KeyError, EOFError])
def test_whatever_a_decoder_raises_the_file_is_broken(kind, tmp_path, monkeypatch):
    def fail(image):
        raise kind("odd bytes")

    monkeypatch.setattr("edge_fgir.runtime.images._orientation", fail)
    path = saved(tmp_path / "a.png", Image.fromarray(colors()))
    assert "is broken or truncated (" in refusal(path)


@pytest.mark.parametrize("name", ["a.jpg", "b.JPEG", "c.png", "d.webp", "e.TIF", "f.gif", "g.bmp"])
def test_picture_names(name):
    assert is_picture(Path(name))


@pytest.mark.parametrize("name", [".a.jpg", "._a.jpg", "a.txt", "jpg", "a.jpg.part", "a.mp4", ""])
def test_other_names(name):
    assert not is_picture(Path(name))


@pytest.fixture
def album(tmp_path):
    """A folder with two pictures and much that is none."""
    for name in ("b.png", "a/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(colors()).save(tmp_path / name)
    for name in (".hidden.png", ".thumbnails/t.png", "a/.ipynb_checkpoints/c.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    return tmp_path


def test_hidden_files_and_folders_are_passed_over(album):
    assert pictures_below(album) == [album / "a" / "c.jpg", album / "b.png"]
    assert find_pictures(album) == pictures_below(album)


def test_a_folder_inside_a_hidden_one_can_be_named(tmp_path):
    (tmp_path / ".cache" / "photos").mkdir(parents=True)
    path = saved(tmp_path / ".cache" / "photos" / "a.png", Image.fromarray(colors()))
    assert find_pictures(path.parent) == [path]


def test_find_pictures_takes_a_file_as_it_is(tmp_path):
    assert find_pictures(text_file(tmp_path)) == [tmp_path / "text.jpg"]


def test_find_pictures_says_what_is_missing(tmp_path):
    with pytest.raises(InputError, match="no does not exist; expected a picture file or a folder"):
        find_pictures(tmp_path / "no")
    (tmp_path / "a.txt").touch()
    with pytest.raises(InputError, match=r"holds no pictures; expected files such as \.jpg, "):
        find_pictures(tmp_path)
