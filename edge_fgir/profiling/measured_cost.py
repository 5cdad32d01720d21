"""What a bundle that was measured takes, in the units of a budget."""

from __future__ import annotations

from edge_fgir._errors import InputError
from edge_fgir.benchmarking import BenchMode
from edge_fgir.results import Budget, Cost, Latency
from edge_fgir.runtime import Bundle


def bench_mode(budget: Budget) -> BenchMode:
    """Return how bundles are measured: only frames back to back tell the energy of one."""
    return "burst" if budget.energy_mj is None else "sustained"


def measured_cost(latency: Latency, bundle: Bundle, budget: Budget) -> Cost:
    """Return what a bundle takes.

    Args:
        latency: Its measurement, in the mode that the budget asks for.
        bundle: It.
        budget: Says which percentile counts, and what has to be known.

    Raises:
        InputError: The device does not tell what a bound is for; no other bundle would.
    """
    frame, joules = latency.scopes.frame_to_decision, latency.energy.joules_per_frame
    cost = Cost(
        latency_ms=frame.p99_ms if budget.percentile == "p99" else frame.p50_ms,
        memory_mb=latency.peak_memory_mb,
        # A machine that was not quiet at rest seems to spend less than nothing on a frame.
        energy_mj=None if joules is None else max(1e3 * joules, 0.0),
        size_mb=bundle.model_size / 1e6,
    )
    if unknown := budget.unknown(cost):
        reasons = {"memory_mb": latency.peak_memory_note, "energy_mj": latency.energy.reason}
        why = "; ".join(filter(None, (reasons.get(name) for name in unknown)))
        raise InputError(
            f"a bound for {', '.join(unknown)}, which this device does not tell: {why}",
            "a device that tells it",
            "leave that bound out",
        )
    return cost
