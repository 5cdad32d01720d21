from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bundles import LABELS, UNKNOWN_THRESHOLD, expected_probabilities, make_bundle, zip_bundle
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edge_fgir import Classifier, EdgeFgirError, InputError
from edge_fgir.runtime import READING, READING_KEY, Bundle, compiled
from edge_fgir.runtime.runtimes.openvino import engine as openvino_engine
from edge_fgir.runtime.runtimes.openvino import openvino_core

pytestmark = pytest.mark.export

COLORS = {"red": (250, 20, 30), "green": (40, 200, 60), "blue": (10, 50, 180)}


@pytest.fixture(scope="module", params=["openvino", "arm"])
def model(request):
    """The same graph, opened in OpenVINO and in ONNX Runtime."""
    path = request.getfixturevalue("tiny_bundle" if request.param == "openvino" else "arm_bundle")
    with Classifier.open(path) as opened:
        yield opened


@pytest.fixture(scope="module")
def openvino(tiny_bundle):
    with Classifier.open(tiny_bundle) as opened:
        yield opened


def plain(color, height: int = 48, width: int = 64):
    return np.full((height, width, 3), color, np.uint8)


def noise(height: int, width: int):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", COLORS)
def test_a_frame_is_blue_green_red_unless_said_otherwise(model, name):
    rgb = plain(COLORS[name])
    for result in (model(rgb[..., ::-1]), model(rgb, color="rgb"), model(rgb[..., ::-1], "bgr")):
        assert (result.label, result.index) == (name, LABELS.index(name))
        wanted = expected_probabilities(rgb, 3)
        assert result.probabilities == pytest.approx(wanted, abs=1e-4)
        assert result.score == pytest.approx(wanted.max(), abs=1e-4)


def test_the_wrong_order_gives_another_answer(model):
    assert model(plain(COLORS["red"]), color="bgr").label == "blue"


@pytest.mark.parametrize("size", [(32, 32), (48, 64), (300, 200), (8, 8), (1, 1)])
def test_an_array_a_pillow_image_and_a_file_give_the_same(model, size, tmp_path):
    rgb = noise(*size)
    by_array = model(rgb, color="rgb")
    assert np.array_equal(model(Image.fromarray(rgb)).probabilities, by_array.probabilities)
    if min(size) < 8:
        return
    Image.fromarray(rgb).save(tmp_path / "a.png")
    for path in (tmp_path / "a.png", str(tmp_path / "a.png")):
        assert np.array_equal(model(path).probabilities, by_array.probabilities)


def test_the_colour_option_is_for_arrays_alone(model, tmp_path):
    image = Image.fromarray(plain(COLORS["red"]))
    image.save(tmp_path / "a.png")
    assert model(image, color="bgr").label == model(tmp_path / "a.png", "rgb").label == "red"


def test_a_real_photograph(model, elpv_photos):
    result = model(elpv_photos[0])
    assert result.is_unknown  # grey
    assert result.probabilities == pytest.approx([1 / 3] * 3, abs=1e-4)


def test_odd_files_are_refused_or_converted(model, tmp_path):
    path = tmp_path / "logo.png"
    Image.fromarray(plain((0, 0, 0))).convert("RGBA").save(path)
    with pytest.raises(InputError, match=r"is an image with transparency.*--convert"):
        model(path)
    assert not np.isnan(model(path, convert=True).score)


def test_a_bundle_of_today_converts_odd_files(tmp_path):
    path = tmp_path / "logo.png"
    Image.fromarray(plain((255, 0, 0))).convert("RGBA").save(path)
    versions = {"edge-fgir": "0.1.0", READING_KEY: READING}
    with Classifier.open(make_bundle(tmp_path / "new.fgir", versions=versions)) as model:
        assert model(path).label == "red"
        assert model.predict_batch([path, path])[1].label == "red"
        with pytest.raises(InputError, match="is an image with transparency"):
            model(path, convert=False)


def test_what_the_model_sees(openvino):
    rgb = noise(100, 80)
    wanted = np.asarray(Image.fromarray(rgb).resize((32, 32), resample=Image.Resampling.BILINEAR))
    assert np.array_equal(openvino.prepare(rgb, "rgb"), wanted)
    assert np.array_equal(openvino.prepare(rgb[..., ::-1]), wanted)
    assert np.array_equal(openvino.prepare(Image.fromarray(rgb)), wanted)
    assert openvino.prepare(rgb).flags.c_contiguous


def test_a_frame_of_the_models_size_is_not_resized(openvino):
    rgb = noise(32, 32)
    assert np.array_equal(openvino.prepare(rgb, "rgb"), rgb)
    assert np.array_equal(openvino.prepare(rgb), rgb[..., ::-1])


def test_the_callers_frame_is_left_alone(model):
    frame = noise(32, 32)
    before = frame.copy()
    model(frame)
    assert np.array_equal(frame, before)


@given(st.integers(1, 6))
def test_top_is_sorted_and_a_part_of_one(openvino, k):
    result = openvino(plain((90, 120, 60)), color="rgb")
    top = result.top(k)
    scores = [score for _, score in top]
    assert len(top) == min(k, 3)
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) <= 1 + 1e-5
    assert top[0] == (result.label, result.score)
    assert {label: result.probabilities[LABELS.index(label)] for label, _ in top} == dict(top)


def test_all_classes_sum_to_one(model):
    assert sum(score for _, score in model(noise(50, 50)).top(3)) == pytest.approx(1, abs=1e-5)


def test_top_lists_five_by_default(tmp_path):
    labels = tuple("abcdefg")
    with Classifier.open(make_bundle(tmp_path / "seven.fgir", labels=labels)) as model:
        result = model(plain(COLORS["red"]), "rgb")
        assert len(result.top()) == 5
        assert sorted(label for label, _ in result.top(7)) == list(labels)
        assert sum(p for _, p in result.top(7)) == pytest.approx(1, abs=1e-5)


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_unknown_is_a_score_below_the_threshold(openvino, color):
    result = openvino(plain(color, 32, 32), color="rgb")
    assert result.is_unknown == (result.score < UNKNOWN_THRESHOLD)
    assert result.score == result.probabilities.max()


def test_a_threshold_that_is_just_met_is_known(openvino, tiny_bundle, tmp_path):
    frame = plain((90, 120, 60))
    score = openvino(frame).score
    values = json.loads((tiny_bundle / "calibration.json").read_text())
    for threshold, unknown in ((score, False), (np.nextafter(score, 1), True), (0.0, False)):
        data = json.dumps({**values, "unknown_threshold": float(threshold)}).encode()
        path = tmp_path / f"{threshold}.fgir"
        with Classifier.open(make_bundle(path, replaced={"calibration.json": data})) as model:
            assert model(frame).is_unknown == unknown


def test_a_batch_is_answered_in_order_and_answers_do_not_share_memory(model):
    frames = [plain(color) for color in COLORS.values()]
    results = model.predict_batch(frames, color="rgb")
    assert [result.label for result in results] == list(COLORS)
    for frame, result in zip(frames, results, strict=True):
        assert result.probabilities == pytest.approx(expected_probabilities(frame, 3), abs=1e-4)
    assert [r.label for r in model.predict_batch([f[..., ::-1] for f in frames])] == list(COLORS)
    assert model.predict_batch([]) == []


class BatchEngine:
    """Takes batches, and notes how large they were."""

    description = "batches"

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def infer(self, batch):
        self.sizes.append(len(batch))
        return np.stack([expected_probabilities(image, 3) for image in batch])

    def close(self) -> None:
        pass


def test_a_graph_that_takes_batches_is_given_them(tmp_path):
    spec = {"name": "image", "shape": (8, 32, 32, 3)}
    engine = BatchEngine()
    model = Classifier(Bundle(make_bundle(tmp_path / "x.fgir", input=spec)), engine)
    frames = [plain(color) for color in COLORS.values()]
    engine.sizes.clear()
    results = model.predict_batch(frames, color="rgb")
    assert engine.sizes == [len(frames)]
    assert [result.label for result in results] == list(COLORS)
    assert all(result.timing.total_ms > 0 for result in results)


def test_a_batch_of_files_may_be_converted(model, tmp_path):
    path = tmp_path / "cmyk.jpg"
    Image.new("CMYK", (40, 30), (0, 255, 255, 0)).save(path)
    assert all("CMYK" in str(error) for error in model.predict_batch([path, path]))
    assert [one.label for one in model.predict_batch([path, path], convert=True)] == ["red", "red"]


def test_infer_takes_any_number_of_prepared_frames(model):
    frames = np.stack([plain(color, 32, 32) for color in COLORS.values()])
    together = model.infer(frames)
    assert (together.shape, together.dtype) == ((3, 3), np.float32)
    for frame, answer in zip(frames, together, strict=True):
        assert np.array_equal(model.infer(frame[None])[0], answer)


def test_timing_is_positive_and_adds_up(model):
    timing = model(noise(480, 640)).timing
    assert timing.preprocess_ms > 0
    assert timing.infer_ms > 0
    assert timing.total_ms == timing.preprocess_ms + timing.infer_ms


def test_info_says_what_is_open(tiny_bundle, arm_bundle):
    with Classifier.open(tiny_bundle) as model:
        assert model.info.pop("engine").startswith("openvino 20")
        assert {**model.info, "engine": ""} == {
            "bundle": str(tiny_bundle),
            "variant": None,
            "name": "openvino.fgir",
            "target": "openvino",
            "precision": "fp32",
            "engine": "",
            "image_size": 32,
            "classes": 3,
        }
        assert model.image_size == 32
        assert model.labels == LABELS
    with Classifier.open(arm_bundle) as model:
        assert model.info["engine"].startswith("onnxruntime 1.")
        assert model.info["engine"].endswith(" CPU")


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            np.zeros((32, 32), np.uint8),
            r"shape \(32, 32\); expected \(height, width, 3\); .*GRAY2",
        ),
        (np.zeros((32, 32, 4), np.uint8), r"frame of shape \(32, 32, 4\).*frame\[..., :3\]"),
        (np.zeros((3, 32, 32), np.uint8), r"frame of shape \(3, 32, 32\).*transpose\(1, 2, 0\)"),
        (np.zeros((1, 32, 32, 3), np.uint8), r"frame of shape \(1, 32, 32, 3\).*frames\[0\]"),
        (np.zeros((0, 32, 3), np.uint8), r"frame of shape \(0, 32, 3\).*inside the picture"),
        (
            np.zeros((32, 32, 3), np.float32),
            r"type float32; expected an HWC uint8 array; \(frame \*",
        ),
        (np.zeros((32, 32, 3), np.uint16), "frame of type uint16.*frame >> 8"),
        (None, "frame of type NoneType; expected an HWC uint8 array, a PIL image or a path; cv2"),
        ([[0, 0, 0]], "frame of type list"),
        (b"data", "frame of type bytes"),
        (Path("no.jpg"), "no.jpg does not exist"),
        ("no.jpg", "no.jpg does not exist"),
        (Image.new("F", (32, 32)), "image is a floating-point image"),
    ],
)
def test_what_is_no_frame_is_refused(openvino, frame, message):
    with pytest.raises(InputError, match=message) as caught:
        openvino(frame)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("color", ["BGR", "gray", None])
def test_an_unknown_channel_order_is_refused(openvino, color):
    with pytest.raises(InputError, match=r"^color .*; expected 'bgr' or 'rgb'$"):
        openvino(noise(32, 32), color)


def test_after_the_block_it_is_closed(tiny_bundle):
    with Classifier.open(tiny_bundle) as model:
        assert model(noise(32, 32)).label in LABELS
    with pytest.raises(EdgeFgirError, match="closed: open the bundle again"):
        model(noise(32, 32))
    model.close()


def test_an_error_in_the_block_closes_it_and_passes(arm_bundle):
    with pytest.raises(ZeroDivisionError), Classifier.open(arm_bundle) as model:
        raise ZeroDivisionError
    with pytest.raises(EdgeFgirError, match="closed"):
        model(noise(32, 32))


def test_the_engine_is_freed_once(tiny_bundle, monkeypatch):
    from edge_fgir.runtime.runtimes.openvino.engine import OpenVinoEngine

    freed = []
    monkeypatch.setattr(OpenVinoEngine, "close", lambda engine: freed.append(engine))
    with Classifier.open(tiny_bundle) as model:
        model.close()
    model.close()
    assert len(freed) == 1


def test_both_engines_answer_the_same(tiny_bundle, arm_bundle):
    with Classifier.open(tiny_bundle) as first, Classifier.open(arm_bundle) as second:

        @given(st.integers(0, 2**32 - 1))
        def agree(seed):
            frame = np.random.default_rng(seed).integers(0, 256, (40, 33, 3), dtype=np.uint8)
            tinted = frame // np.array([1, 1 + seed % 3, 1 + seed % 5], np.uint8)
            one, other = first(tinted), second(tinted)
            assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
            assert one.probabilities == pytest.approx(
                expected_probabilities(first.prepare(tinted), 3), abs=1e-4
            )

        agree()


def test_a_zip_answers_as_its_folder(tiny_bundle, tmp_path):
    path = zip_bundle(tiny_bundle, tmp_path / "a.fgir")
    with Classifier.open(path) as zipped, Classifier.open(tiny_bundle) as folder:
        frame = noise(60, 60)
        assert np.array_equal(zipped(frame).probabilities, folder(frame).probabilities)


def test_a_jetson_bundle_can_be_replayed_on_a_cpu(jetson_bundle):
    with Classifier.open(jetson_bundle, device="cpu") as model:
        assert model(plain(COLORS["green"]), "rgb").label == "green"
        assert model.info["engine"].startswith("onnxruntime")


@pytest.mark.skipif(importlib.util.find_spec("tensorrt") is not None, reason="TensorRT is here")
@pytest.mark.parametrize("device", ["auto", "trt"])
def test_a_jetson_bundle_elsewhere_says_where_it_runs(jetson_bundle, device):
    with pytest.raises(InputError) as caught:
        Classifier.open(jetson_bundle, device=device)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert text.startswith(
        f"{jetson_bundle} is for target jetson; TensorRT is not installed here; "
        "expected a Jetson with JetPack; "
    )
    assert "edge-fgir doctor --target jetson" in text
    assert "--device cpu" in text


@pytest.mark.parametrize(
    ("target", "device", "legal", "remedy"),
    [
        ("arm", "npu", "auto, cpu", "choose another --device, or export with --target openvino"),
        ("arm", "gpu", "auto, cpu", "choose another --device, or export with --target openvino"),
        ("arm", "trt", "auto, cpu", "choose another --device, or export with --target jetson"),
        ("openvino", "trt", "auto, cpu, gpu, npu", "or export with --target jetson"),
        ("jetson", "npu", "auto, trt, cpu", "or export with --target openvino"),
        ("arm", "tpu", "auto, cpu", "choose another --device"),
    ],
)
def test_a_device_the_target_does_not_have(request, target, device, legal, remedy):
    bundle = "tiny_bundle" if target == "openvino" else f"{target}_bundle"
    path = request.getfixturevalue(bundle)
    with pytest.raises(InputError) as caught:
        Classifier.open(path, device=device)
    text = str(caught.value)
    assert text.startswith(
        f"{path} is for target {target} and has no device {device!r}; expected one of {legal}; "
    )
    assert text.endswith(remedy)


@pytest.mark.parametrize("device", ["gpu", "npu"])
def test_a_device_this_machine_does_not_have(tiny_bundle, device):
    if any(name.startswith(device.upper()) for name in openvino_core().available_devices):
        pytest.skip(f"this machine has a {device}")
    with pytest.raises(
        InputError, match=rf"OpenVINO sees no {device.upper()} here; expected one of CPU.*--device"
    ):
        Classifier.open(tiny_bundle, device=device)


@pytest.mark.parametrize(("target", "library"), [("openvino", "openvino"), ("arm", "onnxruntime")])
def test_a_library_that_is_not_installed(request, target, library, monkeypatch):
    path = request.getfixturevalue("tiny_bundle" if target == "openvino" else "arm_bundle")
    monkeypatch.setitem(sys.modules, library, None)
    # The process has its OpenVINO core already: ask for a new one.
    monkeypatch.setattr(openvino_engine, "openvino_core", openvino_core.__wrapped__)
    # Nor may it share what another test has open.
    monkeypatch.setattr(compiled, "_opened", compiled._Opened())
    with pytest.raises(
        InputError,
        match=rf'{library} is not installed; .*; run: pip install "edge-fgir\[{target}\]"',
    ):
        Classifier.open(path)


def test_answers_stay_theirs_and_survive_a_wrong_batch(openvino):
    size = openvino.image_size
    red, blue = (np.zeros((1, size, size, 3), np.uint8) for _ in range(2))
    red[..., 0], blue[..., 2] = 250, 250
    first = openvino.infer(red)
    kept = first.copy()
    second = openvino.infer(blue)
    assert np.array_equal(first, kept)
    assert first.argmax() != second.argmax()
    with pytest.raises(Exception, match=r"(?i)shape"):
        openvino.infer(np.zeros((1, size + 1, size, 3), np.uint8))
    assert np.array_equal(openvino.infer(red), kept)
    assert np.array_equal(openvino.infer(blue), second)


def test_signals_are_survived_after_classifiers_are_closed_in_any_order(tiny_bundle: Path) -> None:
    code = (
        "import gc, os, signal, sys\n"
        "from edge_fgir import Classifier\n"
        "first, second = (Classifier.open(sys.argv[1]) for _ in range(2))\n"
        "first.close(); del first; gc.collect()\n"
        "second.close(); del second; gc.collect()\n"
        "signal.signal(signal.SIGUSR1, lambda number, frame: print('heard'))\n"
        "os.kill(os.getpid(), signal.SIGUSR1)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tiny_bundle], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr
