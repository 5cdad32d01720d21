from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from edge_fgir.fitting.networks import FROM_SCRATCH, PRETRAINED, Candidate
from edge_fgir.fitting.result import advice, fit_candidates, fit_points, why
from edge_fgir.fitting.shortlist import Shortlist
from edge_fgir.results import Budget, Verdict

pytestmark = pytest.mark.unit


def finalist(trained_at: Candidate, built_at: Candidate) -> Any:
    """What was built of a training, as far as a result looks."""
    scope = SimpleNamespace(p50_ms=2.5, p99_ms=3.0)
    return SimpleNamespace(
        trained=SimpleNamespace(candidate=trained_at),
        candidate=built_at,
        precision="int8",
        latency=SimpleNamespace(
            scopes=SimpleNamespace(frame_to_decision=scope, network=scope), certified=False
        ),
        cost=SimpleNamespace(size_mb=3.9),
        validation=SimpleNamespace(top1=60.0, top1_interval=(55.0, 65.0), macro=59.0, images=296),
        agreement=99.0,
        fits=True,
        judged=59.0,
    )


def test_a_head_that_was_trained_anew_for_a_smaller_size_belongs_to_its_network() -> None:
    large = Candidate(PRETRAINED[0], 144)
    own = Candidate(FROM_SCRATCH[0], 160)
    small: Any = finalist(replace(large, image_size=112), replace(large, image_size=112))
    considered: Any = [SimpleNamespace(candidate=own), SimpleNamespace(candidate=large)]
    (point,) = fit_points([small], small, considered)
    assert point.candidate == 1
    assert point.setting.image_size == 112


def test_the_choice_says_what_its_export_costs_beyond_the_bound() -> None:
    built = Candidate(PRETRAINED[0], 64)
    made: Any = finalist(built, built)
    for low, said in ((-0.5, False), (0.88, True)):
        made.loss = Verdict(drop=2.51, interval=(low, 4.13), bound=5.0, images=394)
        sentence = why(made, [made], Budget(latency_ms=3), 0.2)
        assert (
            "loses 2.51 points (95 %: 0.88 to 4.13) of top-1, more than 0.2" in sentence
        ) == said


@pytest.mark.parametrize(
    ("bounds", "reason", "said"),
    [
        ({"latency_ms": 4.0}, "too slow", "From 5.2 ms, "),
        ({"latency_ms": 4.0, "percentile": "p99"}, "too slow (p99)", "From 7.8 ms (p99), "),
        ({"size_mb": 3.0}, "files too large", ""),
        ({"latency_ms": 4.0, "size_mb": 3.0}, "too slow and files too large", ""),
        ({"latency_ms": 4.0, "size_mb": 8.0}, "too slow", "From 5.2 ms, "),
        ({"latency_ms": 15.0, "size_mb": 3.0}, "files too large", ""),
        ({"latency_ms": 9.0}, "", ""),
    ],
)
def test_only_what_is_too_slow_would_be_tried_with_more_milliseconds(
    bounds: dict[str, Any], reason: str, said: str
) -> None:
    """At any size 5 ms in INT8, and 8 ms in float, a tail half above; 4 MB and 16 MB."""

    def predict(candidate: Candidate, precision: str) -> Any:
        ms, size = (5.0, 4.0) if precision == "int8" else (8.0, 16.0)
        return SimpleNamespace(ms=ms, tail=1.5, size_mb=size, measured=True)

    shortlist = Shortlist(Budget(**bounds), ("int8", "fp32"), predict)
    considered = shortlist.of([PRETRAINED[0]])
    course: Any = SimpleNamespace(done={}, left_out={}, teacher=None)
    (candidate,) = fit_candidates(
        considered, course, [each.candidate for each in considered], 3, shortlist
    )
    assert candidate.left_out == reason
    chosen: Any = finalist(Candidate(FROM_SCRATCH[0], 96), Candidate(FROM_SCRATCH[0], 96))
    data: Any = SimpleNamespace(classes=("a",), counts=lambda _: [50], split=lambda _: range(300))
    sentences = advice(course, considered, chosen, data, shortlist)
    size = considered[0].candidate.name
    assert sentences == ((f"{said}{size} would be tried as well.",) if said else ())
