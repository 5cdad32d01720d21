"""A bundle that seems too slow while other work runs is measured again."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import samples

from edge_fgir.fitting.finalists import Builder
from edge_fgir.results import Budget, Latency

pytestmark = pytest.mark.unit


def latency(p50: float, other_work: float) -> Latency:
    fields = samples.latency("openvino", p50)
    fields["watch"] = {**fields["watch"], "other_work": other_work}
    return Latency.model_validate({**fields, "environment": samples.ENVIRONMENT})


def benched(answers: list[Latency]) -> tuple[Latency, int]:
    """Return what a builder with a budget of 5 ms takes from a device's answers; how many."""
    left = iter(answers)
    lines: list[str] = []
    nothing: Any = None
    builder = Builder(
        data=nothing,
        target=nothing,
        device=SimpleNamespace(bench=lambda *_, **__: next(left)),
        budget=Budget(latency_ms=5.0),
        unknown=None,
        shortlist=nothing,
        folder=Path(),
        clock=nothing,
        by_macro=False,
        probe=nothing,
        tell=lines.append,
    )
    taken = builder._benched(SimpleNamespace(model_size=1))
    return taken, len(lines) + 1


QUICK, SLOW = 2.0, 8.0  # two more milliseconds are the frame's


@pytest.mark.parametrize(
    ("answers", "index"),
    [
        ([(QUICK, 0.5)], 0),  # within the budget even so
        ([(SLOW, 0.0)], 0),  # too slow, and nothing else ran
        ([(SLOW, 0.5), (QUICK, 0.0)], 1),
        ([(SLOW, 0.5), (SLOW, 0.5), (SLOW, 0.5)], 2),  # it stays disturbed
    ],
)
def test_only_a_disturbed_bench_beyond_the_budget_is_repeated(
    answers: list[tuple[float, float]], index: int
) -> None:
    latencies = [latency(*each) for each in answers]
    taken, count = benched(latencies)
    assert taken is latencies[index]
    assert count == index + 1
