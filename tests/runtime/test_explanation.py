"""What a model that looks twice says of a picture, in every runtime, and the picture of it."""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bundles import (
    GRID,
    LABELS,
    LOOK,
    edit_manifest,
    expected_probabilities,
    make_bundle,
    needs_runtime,
)
from hypothesis import given
from hypothesis import strategies as st
from jetson import FakeCuda
from PIL import Image

from edge_fgir import Classifier, InputError
from edge_fgir.runtime import Bundle, Manifest, Preprocess, Region, open_engine, verify
from edge_fgir.runtime.overlay import chosen, heat_map, overlay
from edge_fgir.runtime.runtimes.tensorrt import plan as tensorrt_plan

pytestmark = pytest.mark.export

SIZE = 32


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("twice")

    def make(target: str) -> Path:
        needs_runtime(target)
        path = folder / f"{target}.fgir"
        return path if path.exists() else make_bundle(path, target=target, looks_twice=True)

    return make


@pytest.fixture(params=["openvino", "arm", "jetson"])
def path(request, bundles) -> Path:
    return bundles(request.param)


def opened(path: Path) -> Classifier:
    return Classifier.open(path, "cpu")


def photo(height: int = 60, width: int = 80):
    pixels = np.random.default_rng(0).integers(0, 120, (height, width, 3), dtype=np.uint8)
    pixels[: height // 2, : width // 2] += 100
    return pixels


def brightness(pixels):
    size = SIZE // GRID
    return pixels.reshape(GRID, size, GRID, size, 3).mean(axis=(1, 3, 4)) / 255


def test_a_result_says_where_in_the_photo(path):
    with opened(path) as model:
        found = model(photo(), "rgb")
        assert found.region == pytest.approx(
            [LOOK[0] * 80 / SIZE, LOOK[1] * 60 / SIZE, LOOK[2] * 80 / SIZE, LOOK[3] * 60 / SIZE]
        )
        assert isinstance(found.region, Region)
        prepared = model.prepare(photo(), "rgb")
        assert found.map == pytest.approx(brightness(prepared), abs=1e-5)
        assert found.probabilities == pytest.approx(expected_probabilities(prepared, 3), abs=1e-4)
        assert np.array_equal(found.probabilities, model.infer(prepared[None])[0])


def test_of_a_file_an_image_and_frames_alike(path, tmp_path):
    pixels = photo()
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with opened(path) as model:
        wanted = model(pixels, "rgb")
        for picture in (tmp_path / "a.png", Image.fromarray(pixels), pixels[..., ::-1]):
            found = model(picture)
            assert found.region == wanted.region
            assert np.array_equal(found.map, wanted.map)
        (streamed,) = model.stream([pixels[..., ::-1]], drop="none")
        assert streamed.region == wanted.region


def test_a_turned_photo_is_answered_in_upright_pixels(path, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photo(60, 80)).save(tmp_path / "a.jpg", exif=exif)
    with opened(path) as model:
        region = model(tmp_path / "a.jpg", convert=True).region
    assert region.right == pytest.approx(LOOK[2] * 60 / SIZE)
    assert region.bottom == pytest.approx(LOOK[3] * 80 / SIZE)


def test_results_are_not_overwritten_by_the_next(path):
    with opened(path) as model:
        first = model(photo(), "rgb")
        before = first.map.copy()
        model(np.zeros((40, 40, 3), np.uint8))
        assert np.array_equal(first.map, before)


def test_models_that_look_once_say_nothing(tiny_bundle):
    with opened(tiny_bundle) as model:
        found = model(photo())
        assert (found.region, found.map) == (None, None)
        for ask in (
            lambda: model.explain(model.prepare(photo())),
            lambda: model.overlay(photo(), found),
        ):
            with pytest.raises(InputError, match=r"looks at a picture once; expected one with GL"):
                ask()


def test_verify_replays_it(path):
    assert all(check.ok for check in verify(path, "cpu"))


def test_the_manifest_declares_it(path):
    text = (path / "manifest.json").read_bytes()
    declared = Manifest.parse(text, "x").explanation
    assert declared is not None
    assert (declared.region, declared.similarity, declared.grid) == ("region", "similarity", GRID)


def test_a_manifest_from_before_is_still_canonical():
    text = (Path(__file__).parents[1] / "golden" / "manifest.json").read_bytes()
    assert "explanation" not in json.loads(text)
    assert Manifest.parse(text, "x").dump().encode() == text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"grid": 5}, r"gives maps of shape .*\(1, 4, 4\).*expected .*\(1, 5, 5\)"),
        ({"grid": 100_000}, r"explanation\.grid: Input should be less than"),
        ({"region": None}, r"explanation\.region: Input should be a valid string"),
        ({"picture": "x"}, r"unknown key explanation\.picture"),
    ],
)
def test_a_manifest_that_lies_is_one_line(change, words, tmp_path):
    path = make_bundle(tmp_path / "a.fgir", looks_twice=True)
    edit_manifest(path, lambda values: values["explanation"].update(change))
    with pytest.raises(InputError, match=words) as caught:
        opened(path)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("target", ["openvino", "arm"])
def test_an_output_that_is_not_there_is_one_line(target, tmp_path):
    needs_runtime(target)
    path = make_bundle(tmp_path / "a.fgir", target=target, looks_twice=True)
    edit_manifest(path, lambda values: values["explanation"].update(region="nowhere"))
    with pytest.raises(InputError, match=r"has no output 'nowhere'") as caught:
        opened(path)
    assert len(str(caught.value).splitlines()) == 1


# TensorRT, with a stand-in for library, GPU and plan.


class Context:
    """Writes all three outputs, as TensorRT does; an output without an address is an error."""

    def __init__(self) -> None:
        self.addresses: dict[str, int] = {}

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        pixels = np.frombuffer(FakeCuda.memory[self.addresses["image"]], np.uint8)  # type: ignore[call-overload]
        pixels = pixels.reshape(SIZE, SIZE, 3)
        for name, value in {
            "probabilities": expected_probabilities(pixels, 3),
            "region": np.array(LOOK, np.float32),
            "similarity": brightness(pixels).astype(np.float32),
        }.items():
            assert len(FakeCuda.memory[self.addresses[name]]) == value.nbytes
            ctypes.memmove(self.addresses[name], value.ctypes.data, value.nbytes)
        FakeCuda.calls.append("execute")
        return True


@pytest.fixture
def tensorrt(cuda, monkeypatch):
    engine = SimpleNamespace(create_execution_context=Context)
    fake = SimpleNamespace(
        __version__="10.3.0",
        Logger=lambda level: level,
        Runtime=lambda logger: SimpleNamespace(deserialize_cuda_engine=lambda plan: engine),
    )
    fake.Logger.ERROR = "error"
    monkeypatch.setitem(sys.modules, "tensorrt", fake)
    monkeypatch.setattr(tensorrt_plan, "build_apart", lambda *arguments: b"plan")


def test_a_jetson_brings_back_what_is_asked_for(tensorrt, bundles):
    with Classifier.open(bundles("jetson")) as model:
        assert len(FakeCuda.memory) == 4
        prepared = model.prepare(photo(), "rgb")
        FakeCuda.calls.clear()
        found = model(photo(), "rgb")
        assert FakeCuda.calls == ["to_device", "execute", *["to_host"] * 3, "synchronize"]
        assert found.map == pytest.approx(brightness(prepared), abs=1e-5)
        assert found.region.right == LOOK[2] * 80 / SIZE
        FakeCuda.calls.clear()
        batch = np.stack([prepared, 255 - prepared])
        answers = model.infer(batch)
        assert FakeCuda.calls == ["to_device", "execute", "to_host", "synchronize"] * 2
        for image, answer in zip(batch, answers, strict=True):
            assert answer == pytest.approx(expected_probabilities(image, 3))
    assert FakeCuda.memory == {}


@pytest.mark.parametrize("target", ["openvino", "arm"])
def test_engines_return_the_rest_only_when_asked(target, bundles):
    engine = open_engine(Bundle(bundles(target)))
    batch = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    assert engine.infer(batch).shape == (1, 3)
    found = engine.observe(batch)
    given = [part for part in found if part is not None]
    assert [part.shape for part in given] == [(1, 3), (1, 4), (1, GRID, GRID)]
    assert all(part.dtype == np.float32 for part in given)
    assert found.features is None
    assert engine.infer(batch).shape == (1, 3)


# Geometry.


@given(
    size=st.integers(16, 64),
    crop_fraction=st.floats(0.3, 1.0),
    width=st.integers(20, 300),
    height=st.integers(20, 300),
    data=st.data(),
)
def test_a_region_in_the_photo_is_what_the_model_saw(size, crop_fraction, width, height, data):
    preprocess = Preprocess(size=size, crop_fraction=crop_fraction, antialias=False)
    across = np.linspace(0, 255, width).astype(np.uint8)
    down = np.linspace(0, 255, height).astype(np.uint8)[:, None]
    shades = np.stack(np.broadcast_arrays(across, down, np.uint8(0)), axis=2)
    seen = preprocess.apply(shades).astype(float)
    x = data.draw(st.integers(0, size - 1))
    y = data.draw(st.integers(0, size - 1))
    region = preprocess.to_photo(Region(x, y, x + 1, y + 1), width, height)
    # The shade at the middle of a pixel of the input tells which place of the photo it shows.
    for middle, shade, length in (
        ((region.left + region.right) / 2, seen[y, x, 0], width),
        ((region.top + region.bottom) / 2, seen[y, x, 1], height),
    ):
        place = min(max(middle - 0.5, 0), length - 1)
        assert abs(place / (length - 1) * 255 - shade) < 2 + 255 / length


def test_the_whole_input_is_the_centre_of_the_photo():
    for view_size in (None, 224):
        preprocess = Preprocess(size=112, crop_fraction=0.875, view_size=view_size)
        whole = preprocess.to_photo(Region(0, 0, 112, 112), 256, 128)
        assert whole == (16, 8, 240, 120)


# Pictures.


def test_heat_goes_from_blue_to_red():
    values = np.array([[-1.0, 0.0], [0.5, 1.0]], np.float32)
    heat = heat_map(values, 200, 200).astype(int)
    assert heat.shape == (200, 200, 3)
    assert tuple(heat[0, 0]) == (0, 0, 128)
    assert tuple(heat[-1, -1]) == (128, 0, 0)
    assert heat[0, -1, 1] == 255  # the middle is green
    steady = heat_map(np.zeros((3, 3), np.float32), 9, 9)
    assert (steady == steady[0, 0]).all()


def test_contrast_does_not_make_the_unlike_shine():
    values = np.array([[-0.9, 0.1], [0.1, 0.8]], np.float32)
    heat = heat_map(values, 2, 2, contrast=True)
    assert tuple(heat[0, 0]) == (0, 0, 128)
    assert tuple(heat[1, 1]) == (128, 0, 0)


def test_what_is_chosen():
    values = np.array([[0.1, 0.9], [0.5, 0.3]], np.float32)
    assert chosen(values, 2).tolist() == [[False, True], [True, False]]
    assert chosen(values, 99).all()


def drawn(region: Region, height: int = 160, width: int = 240, **options):
    pixels = np.full((height, width, 3), 90, np.uint8)
    values = np.zeros((GRID, GRID), np.float32)
    values[0, 0] = 1
    seen = Region(0, 0, width, height)
    return np.asarray(overlay(pixels, region, seen, values, 1, **options)).astype(int)


def test_an_overlay_shows_the_box_the_heat_and_the_crop():
    sheet = drawn(Region(60, 40, 120, 80))
    assert sheet.shape == (320, 480 + 8 + 480 + 8 + 320, 3)
    plain, hot, again = sheet[:, :480], sheet[:, 488:968], sheet[:, 976:]
    box = np.argwhere((plain == 255).all(axis=2))
    assert box.min(axis=0).tolist() == [80, 120]
    assert box.max(axis=0).tolist() == [160, 240]
    assert hot[20, 20, 0] > hot[20, 20, 2]  # red over the patch that is alike
    assert hot[300, 460, 2] > hot[300, 460, 0]
    assert (again == 90).all()


@pytest.mark.parametrize(
    "region",
    [(-50, -50, -10, -10), (500, 500, 900, 900), (50, 50, 50, 50), (9, 9, 2, 2), (np.nan,) * 4],
)
def test_a_box_out_of_bounds_is_drawn_all_the_same(region):
    assert drawn(Region(*region)).shape[0] == 320


@pytest.mark.parametrize("shape", [(8, 2000), (2000, 8)])
def test_odd_shapes_are_drawn(shape):
    assert drawn(Region(0, 0, 8, 8), *shape).shape[0] == 320


# The command.


def test_predict_draws(run_cli, bundles, tmp_path):
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    for file in files:
        Image.fromarray(photo()).save(file)
    out = tmp_path / "seen"
    done = run_cli("predict", bundles("arm"), *files, "--explain", out, "--json")
    assert done.code == 0, done.err
    assert [entry["region"] for entry in done.json] == [[20, 7.5, 60, 37.5]] * 2
    assert done.json[0]["label"] in LABELS
    for name in ("000-a.png", "001-b.png"):
        with Image.open(out / name) as picture:
            assert picture.size == (427 + 8 + 427 + 8 + 320, 320)


def test_predict_refuses_before_it_begins(run_cli, tiny_bundle, tmp_path):
    Image.fromarray(photo()).save(tmp_path / "a.png")
    out = tmp_path / "seen"
    done = run_cli("predict", tiny_bundle, tmp_path / "a.png", "--explain", out)
    assert (done.code, done.out) == (2, "")
    assert "looks at a picture once" in done.err
    assert not out.exists()
    plain = run_cli("predict", tiny_bundle, tmp_path / "a.png", "--json")
    assert "region" not in plain.json[0]
