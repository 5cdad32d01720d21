import numpy as np
import pytest

from edge_fgir import GateError
from edge_fgir.exporting.gates import ParityGates
from edge_fgir.exporting.target import Gates

pytestmark = pytest.mark.unit

GATES = Gates(max_delta_logit=1e-3, max_top1_drop=1.0, golden_tolerance=0.1)
LABELS = np.arange(100) % 4
RIGHT = np.eye(4, dtype=np.float32)[LABELS] * 4


def report() -> ParityGates:
    return ParityGates(RIGHT.copy(), LABELS, GATES)


def with_wrong(count: int) -> np.ndarray:
    logits = RIGHT.copy()
    logits[:count] = np.roll(logits[:count], 1, axis=1)
    return logits


def test_an_equal_stage_passes_and_is_recorded() -> None:
    found = report()
    stage = found.add("onnx", RIGHT + 7, exact=True)  # a constant on all logits changes nothing
    assert (stage.top1, stage.top1_drop, stage.agreement) == (100, 0, 100)
    assert found.report().stages[0].name == "onnx"


@pytest.mark.parametrize(
    ("logits", "exact", "message"),
    [
        (RIGHT * 1.01, True, r"logits differ by .*at most 0\.001"),
        (with_wrong(11), False, r"top-1 falls by .*points \(95 %: .*at most 1;"),
        (RIGHT * np.nan, False, r"not numbers"),
    ],
)
def test_a_broken_bound_closes_the_gate(logits: np.ndarray, exact: bool, message: str) -> None:
    with pytest.raises(GateError, match=message) as caught:
        report().add("int8", logits, exact=exact)
    assert "no bundle was written" in str(caught.value)


@pytest.mark.parametrize(
    ("stage", "remedy"), [("onnx", "no option helps"), ("int8", "try --precision auto")]
)
def test_what_to_do_depends_on_the_stage(stage: str, remedy: str) -> None:
    with pytest.raises(GateError, match=remedy):
        report().add(stage, with_wrong(50))


def test_what_a_few_images_do_not_prove_is_not_refused_and_not_certified() -> None:
    stage = report().add("int8", with_wrong(2))
    assert stage.top1_drop == pytest.approx(2.0)
    assert stage.verdict is not None
    assert stage.verdict.state == "undecided"
    low, high = stage.verdict.interval
    assert low < GATES.max_top1_drop < high
    assert not stage.certified


def test_a_form_that_is_torch_to_the_last_digits_needs_no_evidence() -> None:
    assert report().add("fp32", RIGHT * (1 + 1e-5), exact=True).certified
    assert not report().add("fp16", RIGHT * (1 + 1e-5)).certified  # 100 images


def test_rare_classes_have_a_gate_of_their_own() -> None:
    rng = np.random.default_rng(0)
    labels = np.where(np.arange(2000) < 100, 3, np.arange(2000) % 3)
    reference = (np.eye(4) * 6)[labels] + rng.normal(size=(2000, 4))
    lost = reference.copy()
    lost[:16, [0, 3]] = lost[:16, [3, 0]]
    gates = ParityGates(reference, labels, GATES, few_shot=labels == 3)
    with pytest.raises(GateError, match=r"top-1 of rare classes falls by .*at most 2;"):
        gates.add("int8", lost)
    verdict = gates.stages[0].verdict
    assert verdict is not None
    assert verdict.state != "refused"  # 16 images of 2,000
    loose = GATES.model_copy(update={"max_top1_drop": 50.0})
    assert ParityGates(reference, labels, loose, labels == 3).add("int8", lost)
    assert ParityGates(reference, labels, GATES).add("int8", lost).few_shot is None


def test_a_bundle_is_what_it_was_made_of() -> None:
    gates = report()
    gates.add("int8", RIGHT + 0.01)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=RIGHT.shape)
    assert gates.add_bundle(RIGHT + 0.01 * noise, RIGHT, exact=False, views=None).name == "bundle"
    gates.stages.pop()
    with pytest.raises(GateError, match=r"apart from those of the int8 form that it was made of"):
        gates.add_bundle(RIGHT + 0.5 * noise, RIGHT, exact=False, views=None)


def test_gates_on_some_images_record_their_stages_among_the_others() -> None:
    gates = report()
    rows = gates.few
    assert len(rows) == 64
    assert (rows[0], rows[-1]) == (0, len(LABELS) - 1)
    stage = gates.on(rows).add("onnx", gates.reference[rows], exact=True)
    assert stage.images == 64
    assert gates.add("fp32", gates.reference, exact=True).images is None
    assert [each.name for each in gates.report().stages] == ["onnx", "fp32"]
    assert gates.report().images == len(LABELS)
    with pytest.raises(GateError, match="failed on 64 validation images: logits differ"):
        gates.on(rows).add("onnx", gates.reference[rows] * 1.01, exact=True)


def test_a_bundle_that_is_asked_about_some_images_is_held_to_those() -> None:
    gates = report()
    gates.add("int8", RIGHT + 0.01)
    rng = np.random.default_rng(0)
    noise, rows = rng.normal(size=RIGHT.shape)[gates.few], gates.few
    form = with_wrong(1)
    stage = gates.add_bundle(form[rows], form, exact=False, views=None, rows=rows)
    assert (stage.images, stage.top1) == (None, 99)
    gates.stages.pop()
    with pytest.raises(GateError, match="gate 'bundle' failed: its logits are"):
        gates.add_bundle(form[rows] + 0.3 * noise, form, exact=False, views=None, rows=rows)
