"""The best candidates are built and measured before one of them is chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_fgir._errors import GateError, InputError
from edge_fgir.benchmarking.bundle_bench import FRAME
from edge_fgir.data import DataSet, labels_of, prepared_images
from edge_fgir.evaluation import answers_of, top_k, wilson_interval
from edge_fgir.exporting import Target, export
from edge_fgir.profiling.accuracies import Accuracy
from edge_fgir.profiling.budget import Budget, Cost
from edge_fgir.profiling.candidates import Candidate, Candidates, Way, described
from edge_fgir.profiling.plan import Option
from edge_fgir.profiling.rigs import Rig
from edge_fgir.runtime import Bundle, Classifier, find_runtime, open_engine

AT_ONCE, ROUNDS = 3, 3
"""Finalists of a round; another round begins where none of them keeps the budget."""

_BENCH_S = 5.0


@dataclass(frozen=True)
class Finalist:
    """A candidate whose cost is known as well as it can be.

    Attributes:
        candidates: The run it is of.
        way: Setting and precision.
        accuracy: Of the bundle on the validation split; without one, torch's.
        cost: Measured; without a device at hand, estimated.
        bench: The body of the ``latency`` result; None: it was not built.
        bundle: Where it lies for now.
    """

    candidates: Candidates
    way: Way
    accuracy: Accuracy
    cost: Cost
    bench: dict[str, Any] | None = None
    bundle: Path | None = None

    def option(self) -> Option:
        """Return it as the plan has it."""
        scope = self.bench["scopes"][FRAME] if self.bench is not None else None
        size, rate, method = self.way.setting
        return Option(
            image_size=size,
            keep_rate=rate,
            method=method,
            precision=self.way.precision,
            top1=self.accuracy.top1,
            top1_interval=(self.accuracy.low, self.accuracy.high),
            latency_ms=scope["p50_ms"] if scope else self.cost.latency_ms,
            p99_ms=scope["p99_ms"] if scope else None,
            measured=scope is not None,
            certified=self.bench is not None and bool(self.bench["certified"]),
        )

    def rank(self, budget: Budget) -> tuple[bool, float, float]:
        """Return what sorts finalists, the best first."""
        over = bool(list(budget.excess(self.cost)))
        if budget.min_accuracy is None:
            return (over, -self.accuracy.top1, self.cost.latency_ms)
        over = over or self.accuracy.top1 < budget.min_accuracy
        return (over, self.cost.latency_ms, -self.accuracy.top1)


def estimated(candidates: Sequence[Candidate], budget: Budget) -> list[Finalist]:
    """Return the best candidates where no device is at hand: nothing is built."""
    found = []
    for candidate in candidates[:AT_ONCE]:
        way = next(candidate.of.fitting(candidate.setting, budget))
        cost = candidate.of.cost(way, budget)
        found.append(Finalist(candidate.of, way, candidate.accuracy, cost))
    return found


def built(
    candidates: Sequence[Candidate],
    budget: Budget,
    target: Target,
    data: DataSet,
    rig: Rig,
    folder: Path,
    tell: Callable[[str], None],
) -> list[Finalist]:
    """Build and measure the best candidates until one keeps the budget; return the best first.

    Args:
        candidates: The best first.
        budget: The bounds.
        target: How the device runs them.
        data: For the export.
        rig: The device.
        folder: For the bundles.
        tell: Gets a line for the user.

    Raises:
        InputError: No candidate passed the gates of the export.
    """
    found: list[Finalist] = []
    for place, candidate in enumerate(candidates):
        if place % AT_ONCE == 0 and any(not one.rank(budget)[0] for one in found):
            break
        # What was measured since may have moved the predictions.
        ways = list(candidate.of.fitting(candidate.setting, budget))
        if not ways:
            continue
        out = folder / f"{place}.fgir"
        try:
            finalist = _build(candidate, ways, budget, target, data, rig, out)
        except GateError as error:
            tell(f"{described(candidate.setting)} {ways[0].precision}: {error}")
            continue
        found.append(finalist)
        option = finalist.option()
        tell(
            f"built {described(candidate.setting)} {option.precision}: p50 "
            f"{option.latency_ms:.3f} ms, p99 {option.p99_ms:.3f} ms, top-1 {option.top1:.2f} %"
        )
    if not found:
        raise InputError(
            "no candidate passed the gates of the export",
            "one that survives quantization",
            "widen the budget so that float fits, or try: edge-fgir export --max-drop",
        )
    return sorted(found, key=lambda one: one.rank(budget))


def _build(
    candidate: Candidate,
    ways: Sequence[Way],
    budget: Budget,
    target: Target,
    data: DataSet,
    rig: Rig,
    out: Path,
) -> Finalist:
    candidates, setting = candidate.of, candidate.setting
    everything_fits = len(ways) == len(candidates.speeds) > 1
    bundle = export(
        candidates.run,
        target,
        data,
        out,
        precision="auto" if everything_fits else ways[0].precision,
        image_size=setting.image_size,
        keep_rate=setting.keep_rate,
        method=setting.method,
    )
    body = rig.bench(bundle, _BENCH_S)
    scope = body["scopes"][FRAME]
    way = Way(setting, bundle.manifest.precision)
    candidates.learn(way, scope["p50_ms"])
    top1 = float(bundle.report("parity")["stages"][-1]["top1"])
    joules = body["energy"]["joules_per_frame"]
    return Finalist(
        candidates=candidates,
        way=way,
        accuracy=Accuracy(top1, *wilson_interval(top1, candidates.accuracies.images)),
        cost=Cost(
            latency_ms=scope[f"{budget.percentile}_ms"],
            memory_mb=body["peak_memory_mb"],
            energy_mj=None if joules is None else 1e3 * joules,
            size_mb=bundle.model_size / 1e6,
        ),
        bench=body,
        bundle=out,
    )


def on_test(finalist: Finalist, data: DataSet) -> dict[str, Any] | None:
    """Return a bundle's accuracy on the test split, which chose nothing; None without one."""
    samples = data.splits.get("test")
    if not samples or finalist.bundle is None:
        return None
    bundle = Bundle(finalist.bundle)
    device = find_runtime(bundle.manifest.runtime).gate_device
    with Classifier(bundle, open_engine(bundle, device)) as model:
        answers = answers_of(model, prepared_images(data, samples, bundle.preprocess))
    top1 = top_k(answers, labels_of(samples), 1)
    return {"split": "test", "top1": top1, "images": len(samples)}
