"""Frigate's contract, replayed: a crop of a frame, 224 x 224 uint8 in, uint8 scores out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from targets import exported, loosened

from edge_fgir import Classifier, GateError, InputError
from edge_fgir.data import DataSet, Sample, open_data
from edge_fgir.exporting import ExportOptions, check_program, export, read_target
from edge_fgir.exporting.calibration import Validation
from edge_fgir.exporting.frigate import compare_frigate, frigate_answers, frigate_files
from edge_fgir.exporting.frigate_graph import NO_BIRD, SIDE, Scores, axis_weights, frigate_model
from edge_fgir.exporting.tflite import operators_in, read, run_tflite, values_of
from edge_fgir.exporting.tflite_edit import Editor
from edge_fgir.results import FrigateReport
from edge_fgir.runtime import Bundle, Calibration, Pixels, Preprocess, verify
from edge_fgir.runtime.formats import check_tflite
from edge_fgir.runtime.targets import operators_of

pytestmark = pytest.mark.export
pytest.importorskip("ai_edge_quantizer", reason="edge-fgir[export-litert] is not installed")

FLOAT32, INT8 = 0, 9


def photograph(height: int = 300, width: int = 400, seed: int = 0) -> Pixels:
    """Smooth areas with edges, as a camera's frame has, and a cast of some colour."""
    random = np.random.default_rng(seed)
    areas = random.integers(0, 256, (12, 16, 3)) * random.uniform(0.2, 1, 3)
    small = Image.fromarray(areas.astype(np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def model_of(bundle: Bundle) -> bytes:
    return bundle.read("model.tflite")


def made_of(bundle: Bundle, scores: Scores, threshold: float) -> bytes:
    classes = len(bundle.labels)
    return frigate_model(model_of(bundle), bundle.preprocess, scores, classes, threshold)


@pytest.mark.parametrize(
    "preprocess",
    [
        Preprocess(size=96),
        Preprocess(size=112, kernel="bicubic", crop_fraction=0.875),
        Preprocess(size=256, shrink="blocks"),
        Preprocess(size=64, shrink="blocks"),
        Preprocess(size=96, antialias=False),
        Preprocess(size=224),
        Preprocess(size=96, view_size=160, kernel="bicubic"),
    ],
    ids=lambda one: f"{one.size}-{one.kernel}-{one.shrink}-{one.antialias}-{one.view_size}",
)
def test_the_products_resize_as_preprocessing_does(preprocess: Preprocess) -> None:
    picture = photograph(SIDE, SIDE)
    weights = axis_weights(preprocess)
    rows = np.einsum("yh,hwc->ywc", weights, picture.astype(np.float32))
    found = np.einsum("xw,ywc->yxc", weights, rows)
    apart = np.abs(found.clip(0, 255) - preprocess.apply(picture))
    # Blocks are taken to be single pixels, and of two steps the first is not rounded.
    of_blocks = preprocess.shrink == "blocks" and preprocess.size < 82
    assert apart.max() < (3 if of_blocks else 2 if preprocess.view_size else 1.2)


def test_the_graph_sees_the_pixels_that_the_bundle_sees(litert_bundle: Path) -> None:
    bundle = Bundle(litert_bundle)
    picture = photograph(SIDE, SIDE)
    own = operators_in(read(model_of(bundle)))[0].output  # of the cast to float
    model = made_of(bundle, Scores.custom(bundle.labels), 0.0)
    ((pixels,),) = values_of(model, picture[None], [own])
    assert np.abs(pixels[0] - bundle.preprocess.apply(picture)).max() < 1.2


def test_it_scores_what_the_bundle_says(litert_bundle: Path) -> None:
    bundle = Bundle(litert_bundle)
    labels = bundle.labels
    model = made_of(bundle, Scores.custom(labels), 0.0)
    check_tflite(model, operators_of("litert"))
    pictures = np.stack([photograph(SIDE, SIDE, seed) for seed in range(4)])
    scores = run_tflite(model, pictures)
    assert (scores.dtype, scores.shape) == (np.uint8, (4, len(labels) + 1))
    with Classifier.open(bundle.path) as classifier:
        told = np.stack([classifier(one, color="rgb").probabilities for one in pictures])
    assert np.abs(scores[:, :-1] / 256 - told).max() < 0.01
    assert not scores[:, -1].any()


@pytest.mark.parametrize("has_none", [False, True])
def test_a_low_score_is_none_alone(litert_bundle: Path, has_none: bool) -> None:
    bundle = Bundle(litert_bundle)
    labels = tuple("none" if has_none and not i else name for i, name in enumerate(bundle.labels))
    scores = Scores.custom(labels)
    picture = photograph(SIDE, SIDE)
    with Classifier.open(bundle.path) as classifier:
        best = classifier(picture, color="rgb").probabilities.max()
    below, above = (
        run_tflite(made_of(bundle, scores, bound), picture[None])
        for bound in (best - 0.01, best + 0.01)
    )
    assert below[0].max() == pytest.approx(256 * best, abs=2)
    names = labels if has_none else (*labels, "none")
    assert above[0].tolist() == [255 * (name == "none") for name in names]


@pytest.mark.parametrize("has_none", [False, True])
def test_the_bird_classification_finds_no_bird_at_its_place(
    litert_bundle: Path, has_none: bool
) -> None:
    bundle = Bundle(litert_bundle)
    labels = tuple("none" if has_none and not i else name for i, name in enumerate(bundle.labels))
    scores, picture = Scores.bird(labels), photograph(SIDE, SIDE)
    with Classifier.open(bundle.path) as classifier:
        told = classifier(picture, color="rgb").probabilities
    birds = told[1:] if has_none else told
    sure = made_of(bundle, scores, 0.0)
    check_tflite(sure, operators_of("litert"))
    (found,) = run_tflite(sure, picture[None])
    assert (len(found), NO_BIRD) == (965, 964)
    assert np.abs(found[: len(birds)] / 256 - birds).max() < 0.01
    assert found[NO_BIRD] / 256 == pytest.approx(told[0] if has_none else 0, abs=0.01)
    assert not found[len(birds) : NO_BIRD].any()
    (unsure,) = run_tflite(made_of(bundle, scores, 1.1), picture[None])
    assert np.flatnonzero(unsure).tolist() == [NO_BIRD]


def test_more_birds_than_frigate_knows_go_on_behind() -> None:
    labels = tuple(f"bird {number}" for number in range(1000))
    scores = Scores.bird(labels)
    assert len(scores.sources) == 1001
    assert (scores.sources[963], scores.sources[964], scores.sources[965]) == (963, None, 964)


def test_a_line_of_the_birds_is_read_as_frigate_reads_it(litert_bundle: Path) -> None:
    bundle = Bundle(litert_bundle)
    labels = ("Parus major (Great Tit)", "none", "robin")
    files = frigate_files(
        model_of(bundle), bundle.preprocess, labels, calibration_of(bundle, 0.5), "frigate-bird"
    )
    assert set(files) == {
        f"frigate/{name}" for name in ("bird.tflite", "birdmap.txt", "config.yml")
    }
    lines = files["frigate/birdmap.txt"].decode().splitlines(keepends=True)
    names = [line[line.find("(") + 1 : line.find(")")] for line in lines]
    assert names == ["Parus major [Great Tit]", "robin", *["background"] * 963]
    assert b"threshold: 0.5" in files["frigate/config.yml"]


def test_linear_layers_have_float_weights(litert_bundle: Path) -> None:
    """As tflite_runtime 2.14 answers wrongly where theirs are INT8 with one scale a channel."""
    bundle = Bundle(litert_bundle)
    rounded = with_rounded_weights(model_of(bundle))
    model, plain = (
        frigate_model(content, bundle.preprocess, Scores.custom(bundle.labels), 3, 0.0)
        for content in (rounded, model_of(bundle))
    )
    assert types_of_weights(rounded) == [INT8]
    assert types_of_weights(model) == [FLOAT32] * 3  # one an axis, and the classifier
    picture = photograph(SIDE, SIDE)[None]
    apart = run_tflite(model, picture).astype(int) - run_tflite(plain, picture)
    assert np.abs(apart).max() <= 3


def types_of_weights(content: bytes) -> list[int]:
    model = read(content)
    layers = [one for one in operators_in(model) if one.is_layer]
    return [model.subgraphs[0].tensors[one.inputs[1]].type for one in layers]


def with_rounded_weights(content: bytes) -> bytes:
    """Round the weights of the one linear layer by channel, as dynamic INT8 does."""
    editor = Editor(content)
    (layer,) = (one for one in operators_in(editor.model) if one.is_layer)
    weights = editor.graph.tensors[layer.inputs[1]]
    data = bytes(editor.model.buffers[weights.buffer].data)
    real = np.frombuffer(data, np.float32).reshape(weights.shape)
    scales = np.abs(real).max(axis=1, keepdims=True) / 127
    rule = editor.schema.QuantizationParametersT()
    rule.scale, rule.zeroPoint, rule.quantizedDimension = scales[:, 0], [0] * len(scales), 0
    weights.buffer = editor.buffer(np.round(real / scales).astype(np.int8))
    weights.type, weights.quantization = INT8, rule
    return editor.written()


def test_a_crop_of_a_frame_is_answered_by_name_and_score(litert_bundle: Path) -> None:
    bundle = Bundle(litert_bundle)
    files = frigate_files(
        model_of(bundle), bundle.preprocess, bundle.labels, calibration_of(bundle, 0.0)
    )
    names = files["frigate/labelmap.txt"].decode().split("\n")[:-1]
    assert names == [*bundle.labels, "none"]
    frame = photograph(720, 1280)
    crops = [frame[100:340, 200:440], frame[300:320, 50:75], frame[:300, 600:900]]
    with Classifier.open(bundle.path) as classifier:
        for crop, answer in zip(
            crops, frigate_answers(files["frigate/model.tflite"], crops), strict=True
        ):
            told = classifier(np.ascontiguousarray(crop), color="rgb")
            assert told.probabilities[answer.line] == pytest.approx(told.score, abs=0.02)
            assert answer.score == pytest.approx(told.score, abs=0.03)


def calibration_of(bundle: Bundle, threshold: float) -> Calibration:
    return bundle.calibration.model_copy(
        update={"unknown_threshold": threshold, "temperature": 1.0}
    )


def test_what_loses_more_than_the_bound_is_refused(litert_bundle: Path, tmp_path: Path) -> None:
    bundle = Bundle(litert_bundle)
    data, samples = folder_of(tmp_path, 42)
    with Classifier.open(bundle.path) as classifier:
        told = [classifier(one.path) for one in samples]
    logits = np.log(np.stack([one.probabilities for one in told]).clip(1e-30))
    labels = np.asarray([one.index for one in told])  # so that the bundle is always right
    validation = Validation(np.empty(0, np.uint8), labels, samples)
    calibration = calibration_of(bundle, 0.0)
    files = frigate_files(model_of(bundle), bundle.preprocess, bundle.labels, calibration)
    model = files["frigate/model.tflite"]
    report = compare_frigate(model, data, validation, bundle.labels, logits, calibration, 0.5)
    assert (report.bundle_top1, report.images, report.none_is_a_class) == (100, 42, False)
    assert report.frigate_top1 > 90
    assert [each.images for each in report.classes] == np.bincount(labels, minlength=3).tolist()
    right = sum(each.right for each in report.classes)
    assert 100 * right / 42 == pytest.approx(report.frigate_top1)
    for each in report.classes:
        assert sum(each.taken_for.values()) == each.images - each.right
        assert each.visits == each.images  # as their names tell of none
    assert "there is no class none" in report.lines[-1]
    strict = calibration_of(bundle, 1.1)  # to which everything is unknown
    files = frigate_files(model_of(bundle), bundle.preprocess, bundle.labels, strict)
    with pytest.raises(GateError, match=r"gate 'frigate' failed .* try --max-drop") as refused:
        compare_frigate(
            files["frigate/model.tflite"], data, validation, bundle.labels, logits, calibration, 0.5
        )
    assert len(str(refused.value).splitlines()) == 1


def folder_of(root: Path, count: int) -> tuple[DataSet, list[Sample]]:
    """A folder as Frigate fills it, webp files of three classes, and all of its pictures."""
    for place, name in enumerate(("robin", "none", "great_tit")):
        (root / name).mkdir()
        for number in range(count // 3):
            seed = 3 * number + place
            crop = Image.fromarray(photograph(40 + number, 60, seed))
            crop.save(root / name / f"{number}-robin-0.9.webp", lossless=True)
    data = open_data(str(root))
    samples = [one for part in ("train", "val", "test") for one in data.split(part)]
    assert len(samples) == count
    return data, samples


def test_it_is_for_litert_alone() -> None:
    check_program(read_target("litert"), "frigate")
    check_program(read_target("arm"), None)
    with pytest.raises(InputError, match=r"--for frigate with target arm.*use --target litert"):
        check_program(read_target("arm"), "frigate")
    with pytest.raises(InputError, match=r"--for frigate with target web, whose files"):
        check_program(read_target("web"), "frigate")
    with pytest.raises(InputError, match=r"--for cockatoo.*one of frigate"):
        check_program(read_target("litert"), "cockatoo")


@pytest.mark.parametrize("target", [exported("litert")])
def test_the_bundle_carries_it(tiny_run: Path, photos: Path, tmp_path: Path, target: str) -> None:
    out = tmp_path / "birds.fgir"
    told: list[object] = []
    options = ExportOptions(precision="fp32", program="frigate")
    bundle = export(tiny_run, loosened(target), open_data(str(photos)), out, options, told.append)
    assert all(check.ok for check in verify(out))
    report = FrigateReport.of(bundle)
    assert report in told
    assert report.images == 36
    assert report.frigate_top1 >= report.bundle_top1 - 10
    files = [f"frigate/{name}" for name in ("model.tflite", "labelmap.txt", "config.yml")]
    assert all(bundle.read(name) for name in files)
