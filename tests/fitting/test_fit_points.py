from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from edge_fgir.fitting.networks import FROM_SCRATCH, PRETRAINED, Candidate
from edge_fgir.fitting.result import fit_points, why
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
