import numpy as np
import pytest

from edge_fgir import GateError
from edge_fgir.exporting.gates import ParityGates
from edge_fgir.exporting.target import Gates

pytestmark = pytest.mark.unit

GATES = Gates(max_delta_logit=1e-3, min_agreement=90, max_top1_drop=1.0, golden_tolerance=0.1)
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
        (with_wrong(11), False, r"89\.0 % of the labels agree.*at least 90"),
        (with_wrong(2), False, r"top-1 falls by 2\.00 points.*at most 1"),
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


def test_one_wrong_image_in_a_hundred_is_within_the_bound() -> None:
    assert report().add("int8", with_wrong(1)).top1_drop == pytest.approx(1.0)
