"""The choice among INT8 schemes, on networks whose errors and latencies are set by hand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from edge_fgir._errors import GateError
from edge_fgir.exporting.calibration import CalibrationSet
from edge_fgir.exporting.gates import ParityGates
from edge_fgir.exporting.search import Choice, Search
from edge_fgir.exporting.target import Gates, QdqScheme, Quantization
from edge_fgir.exporting.traces import Trace

pytestmark = pytest.mark.unit

GATES = Gates(max_delta_logit=1e-3, max_top1_drop=1.0, golden_tolerance=0.1)
LABELS = np.arange(100) % 4
LOGITS = np.eye(4, dtype=np.float32)[LABELS] * 4
IMAGES = np.arange(100, dtype=np.uint8)[:, None, None, None].repeat(3, axis=3)
SCHEME = QdqScheme(tool="qdq", ops=("Conv",))


@dataclass
class Network:
    """Answers ``wrong`` images wrongly and takes ``ms``; one layer less in INT8 rights ten."""

    wrong: int = 0
    ms: float | None = 1.0
    noise: float = 0.0
    kind: str | None = None
    half: "Network | None" = None
    schemes: dict[str, "Network"] = field(default_factory=dict)
    model_file = "model"

    def quantized(
        self, scheme: QdqScheme, images: np.ndarray, float_layers: Sequence[str] = ()
    ) -> "Network":
        form = self.schemes[scheme.ops[0]]
        wrong = max(form.wrong - 10 * len(float_layers), 0)
        return Network(wrong, form.ms, form.noise, form.kind, form.half)

    def in_bfloat16(self) -> "Network":
        assert self.half is not None
        return self.half

    def sensitive_layers(self, images: np.ndarray, wanted: np.ndarray) -> list[str]:
        return ["worst", "worse", "bad"]

    def run(self, images: np.ndarray) -> np.ndarray:
        logits = LOGITS.copy()
        logits[: self.wrong] = np.roll(logits[: self.wrong], 1, axis=1)
        logits[:, 0] += self.noise * np.resize([1, -1], len(logits))
        return logits[images[:, 0, 0, 0]]

    def operations(self) -> object:
        return self.kind or id(self)

    def call(self, image: np.ndarray) -> Callable[[], object] | None:
        return None if self.ms is None else Call(self.ms)

    def trace(self, images: np.ndarray) -> Trace:
        raise AssertionError("nobody asked")

    def files(self, head: object, metadata: dict[str, str]) -> dict[str, bytes]:
        raise AssertionError("nobody asked")


@dataclass(frozen=True)
class Call:
    """One inference, which no machine's load makes slower."""

    p50_ms: float

    def __call__(self) -> None:
        raise AssertionError("nobody measures")


@pytest.fixture(autouse=True)
def latencies_as_set(monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_fgir.exporting import search

    monkeypatch.setattr(search, "measure", lambda calls, protocol: calls)


def choose(
    base: Network,
    *,
    plain: Network | None = None,
    float_too: bool = True,
    foreign: bool = False,
    bfloat16: bool = False,
) -> Choice:
    schemes = {name: QdqScheme(tool="qdq", ops=(name,)) for name in base.schemes}
    return Search(
        float32=plain or base,
        base=base,
        fallback=base,
        fallback_precision="fp32",
        parity=ParityGates(LOGITS, LABELS, GATES),
        validation=IMAGES,
        calibration=CalibrationSet(IMAGES, "0" * 64),
        wanted=LOGITS,
        foreign=foreign,
        view=lambda images, number: images,
        in_bfloat16=Network.in_bfloat16 if bfloat16 else None,
    ).run(
        Quantization(cnn=schemes, transformer={"unused": SCHEME}),
        transformer=False,
        float_too=float_too,
    )


def test_the_fastest_that_keeps_the_gates_wins() -> None:
    schemes = {"slow": Network(ms=16), "fast": Network(ms=4), "wrong": Network(wrong=9, ms=1)}
    found = choose(Network(ms=40, schemes=schemes))
    assert found.trial.name == "fast"
    assert "the fastest that is sure to keep the bounds" in found.why
    rows = {row.name: row for row in found.report().trials}
    assert list(rows) == ["fp32", "slow", "fast", "wrong"]
    assert rows["wrong"].p50_ms is None
    assert "top-1 falls by" in rows["wrong"].broken
    assert rows["fast"].p50_ms < rows["slow"].p50_ms < rows["fp32"].p50_ms


def test_of_the_same_operations_the_smallest_error_is_judged() -> None:
    small = Network(ms=9, noise=0.1, kind="INT8")
    same = {"large": Network(ms=4, noise=0.5, kind="INT8"), "small": small}
    found = choose(Network(ms=20, schemes={**same, "other": Network(ms=12)}))
    assert found.trial.name == "small"  # equal networks are equally fast, whatever a clock says
    rows = {row.name: row for row in found.report().trials}
    assert rows["large"].broken == "small computes the same with a smaller error"
    assert rows["large"].p50_ms is None


def test_a_larger_error_that_keeps_a_gate_was_lucky() -> None:
    unlucky = Network(wrong=9, ms=2, kind="INT8")
    lucky = Network(ms=2, noise=3.9, kind="INT8")
    found = choose(Network(ms=8, schemes={"unlucky": unlucky, "lucky": lucky}))
    assert found.trial.name == "unlucky, 1 in float"
    assert found.trials[2].broken == "unlucky computes the same with a smaller error"


def test_int8_that_is_no_faster_loses_unless_it_was_asked_for() -> None:
    base = Network(ms=2, schemes={"slow": Network(ms=8)})
    found = choose(base)
    assert (found.trial.precision, found.why[:18]) == ("fp32", "INT8 is not faster")
    assert choose(base, float_too=False).trial.precision == "int8"


def test_times_of_another_processor_do_not_rank_the_schemes() -> None:
    base = Network(ms=20, schemes={"a": Network(ms=8), "b": Network(ms=4)})
    assert choose(base).trial.name == "b"
    found = choose(base, foreign=True)
    assert (found.trial.name, found.why[:9]) == ("a", "the first")
    # A scheme whose kernels are slow here alone is no reason to give INT8 up.
    slow = Network(ms=6, schemes={"a": Network(ms=12), "b": Network(ms=2)})
    assert choose(slow, foreign=True).trial.name == "a"
    slow = Network(ms=2, schemes={"a": Network(ms=8), "b": Network(ms=12)})
    assert choose(slow, foreign=True).trial.precision == "fp32"


def test_bfloat16_beside_int8_is_tried_on_the_best_scheme() -> None:
    rough = Network(ms=4, noise=0.5, half=Network(ms=1))
    fine = Network(ms=4, noise=0.1, half=Network(ms=2, noise=0.2))
    base = Network(ms=20, schemes={"rough": rough, "fine": fine})
    found = choose(base, bfloat16=True)
    assert (found.trial.name, found.trial.precision) == ("fine, bfloat16", "int8-bf16")
    assert [trial.name for trial in found.trials] == ["fp32", "rough", "fine", "fine, bfloat16"]
    assert choose(base).trial.precision == "int8"


def test_bfloat16_that_is_no_faster_or_breaks_a_gate_is_left() -> None:
    slow = Network(ms=4, half=Network(ms=8))
    assert choose(Network(ms=20, schemes={"a": slow}), bfloat16=True).trial.precision == "int8"
    wrong = Network(ms=4, half=Network(wrong=9, ms=1))
    found = choose(Network(ms=20, schemes={"a": wrong}), bfloat16=True)
    assert found.trial.precision == "int8"
    assert "top-1 falls by" in found.report().trials[-1].broken


def test_float_is_asked_about_few_images_unless_it_is_taken() -> None:
    beaten = choose(Network(ms=40, schemes={"a": Network(ms=4)})).trials[0]
    assert (len(beaten.logits), beaten.stage.images) == (64, 64)
    for name in ("slow", "wrong"):
        form = Network(ms=80) if name == "slow" else Network(wrong=90, ms=4)
        found = choose(Network(ms=40, schemes={name: form}))
        assert (found.trial.precision, found.trial.p50_ms) == ("fp32", 40)
        assert (len(found.trial.logits), found.trial.stage.images) == (100, None)
        assert found.trials[0] is found.trial


def test_where_int8_fails_bfloat16_may_take_the_place_of_float() -> None:
    bad = {"a": Network(wrong=90, ms=2)}
    found = choose(Network(ms=20, half=Network(ms=10), schemes=bad), bfloat16=True)
    assert (found.trial.name, found.trial.precision) == ("bf16", "bf16")
    assert "every INT8 scheme is refused" in found.why
    slow = choose(Network(ms=5, half=Network(ms=15), schemes=bad), bfloat16=True)
    wrong = choose(Network(ms=20, half=Network(wrong=9, ms=1), schemes=bad), bfloat16=True)
    assert slow.trial.precision == wrong.trial.precision == "fp32"


def test_without_latencies_the_first_good_one_wins() -> None:
    schemes = {"wrong": Network(wrong=9, ms=None), "a": Network(ms=None), "b": Network(ms=None)}
    found = choose(Network(ms=None, schemes=schemes))
    assert found.trial.name == "a"
    assert "no latency is known" in found.why


def test_where_none_is_certified_the_smallest_error_wins() -> None:
    """A third of a point on 100 images: more of them and their views would not certify it."""
    hasty, careful = Network(wrong=1, ms=2, noise=1.0), Network(wrong=1, ms=16, noise=0.1)
    found = choose(Network(ms=40, schemes={"hasty": hasty, "careful": careful}))
    assert found.trial.name == "careful"
    assert "the smallest error of those that are not refused" in found.why
    assert all(trial.views is not None for trial in found.trials[1:])


def test_views_are_shown_until_the_bound_is_certified() -> None:
    found = choose(Network(ms=40, schemes={"good": Network(ms=2), "slow": Network(ms=30)}))
    first, good, slow = found.trials
    assert good.stage.certified
    assert good.views is not None
    assert len(good.views.of) == 400  # four views of each image are enough for 1 point
    assert first.views is None
    assert slow.views is None  # nobody asked further


def test_views_are_compared_with_float32_whatever_is_quantized() -> None:
    half = Network(wrong=1, schemes={"a": Network(wrong=1)})
    views = choose(half, plain=Network(), float_too=False).trial.views
    assert views is not None
    assert (views.reference.argmax(axis=1) == LABELS[views.of]).all()
    assert (views.candidate.argmax(axis=1) != LABELS[views.of]).any()


def test_sensitive_layers_go_back_to_float_until_a_gate_is_kept() -> None:
    found = choose(Network(ms=8, schemes={"a": Network(wrong=40, ms=2), "b": Network(20, ms=2)}))
    assert found.trial.name == "b, 2 in float"
    assert [t.name for t in found.trials] == ["fp32", "a", "b", "b, 1 in float", "b, 2 in float"]


def test_where_nothing_helps_float_is_taken_and_the_report_says_why() -> None:
    base = Network(ms=8, schemes={"a": Network(wrong=90, ms=2)})
    found = choose(base)
    assert found.trial.precision == "fp32"
    assert "every INT8 scheme is refused" in found.why
    forced = choose(base, float_too=False)
    assert forced.trial.precision == "int8"
    assert forced.trial.broken


def test_a_mean_shift_is_corrected_and_what_varies_is_not() -> None:
    class Shifted(Network):
        def run(self, images: np.ndarray) -> np.ndarray:
            return super().run(images) + np.asarray([3, 0, 0, 0], np.float32)

    found = choose(Network(ms=9, schemes={"a": Network(ms=1, noise=0.25)}), float_too=False)
    assert found.trial.stage.rms_delta_logit == pytest.approx(0.25 * 0.75**0.5 / 2, rel=0.05)
    base = Network(ms=9)
    base.quantized = lambda *arguments: Shifted(ms=1)  # type: ignore[method-assign]
    base.schemes = {"a": base}
    assert choose(base).trial.stage.max_delta_logit < 1e-5


class Refused(Network):
    """A form that its library does not run."""

    def run(self, images: np.ndarray) -> np.ndarray:
        raise RuntimeError("Exception from src/core.cpp:1:\nCheck failed\nno kernel for it\n")


class Choosy(Network):
    """Its INT8 forms are as they are given."""

    def quantized(
        self, scheme: QdqScheme, images: np.ndarray, float_layers: Sequence[str] = ()
    ) -> Network:
        return self.schemes[scheme.ops[0]]


def test_a_scheme_that_does_not_run_is_refused_in_one_line() -> None:
    base = Choosy(ms=20, schemes={"bad": Refused(ms=1), "good": Network(ms=4)})
    found = choose(base)
    assert found.trial.name == "good"
    [failed] = found.report().failed
    assert failed.reason == "bad in int8 cannot be made or run: no kernel for it"


def test_bfloat16_that_does_not_run_is_refused_and_int8_stays() -> None:
    found = choose(Network(ms=20, schemes={"a": Network(ms=4, half=Refused(ms=1))}), bfloat16=True)
    assert found.trial.precision == "int8"
    assert [each.name for each in found.failed] == ["a, bfloat16"]


def test_where_no_scheme_runs_float_is_taken_or_one_line_says_why() -> None:
    base = Choosy(ms=20, schemes={"bad": Refused(ms=1)})
    found = choose(base)
    assert (found.trial.precision, len(found.trial.logits)) == ("fp32", 100)
    assert found.why == "no INT8 scheme can be run: " + found.failed[0].reason
    with pytest.raises(GateError, match="no kernel for it"):
        choose(base, float_too=False)
    with pytest.raises(GateError, match="the network cannot be run in fp32: no kernel for it"):
        choose(Refused(ms=1, schemes={"a": Network()}))
