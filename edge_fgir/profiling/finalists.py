"""The best candidates are built and measured before one of them is chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_fgir._errors import GateError, InputError
from edge_fgir.benchmarking import DeviceHandle, Protocol
from edge_fgir.data import DataSet, Split
from edge_fgir.evaluation import Answers, BundlePredictor, answers, compare_answers, top_k
from edge_fgir.exporting import ExportOptions, Target, export
from edge_fgir.profiling.accuracies import top_one
from edge_fgir.profiling.candidates import Candidate, Candidates, Variant, described
from edge_fgir.profiling.measured_cost import bench_mode, measured_cost
from edge_fgir.profiling.plan import Option
from edge_fgir.results import Budget, Cost, HeldOut, Latency, TopOne, Verdict
from edge_fgir.runtime import Bundle, Classifier, find_runtime, open_engine

AT_ONCE, ROUNDS = 3, 3
"""Finalists of a round; another round begins where none of them keeps the budget."""
_ALIKE = 0.5
"""Points that a finalist is expected to lose, at most, where being faster may outweigh them."""


@dataclass(frozen=True)
class Finalist:
    """A candidate whose cost is known as well as it can be.

    Attributes:
        candidates: The run it is of.
        variant: Setting and precision.
        accuracy: Of the bundle on the validation split; without one, torch's.
        cost: Measured; without a device at hand, estimated.
        latency: Measured on the device; None: it was not built.
        bundle: Where it lies for now.
        answers: What the bundle says of the validation split; None: it was not built.
    """

    candidates: Candidates
    variant: Variant
    accuracy: TopOne
    cost: Cost
    latency: Latency | None = None
    bundle: Path | None = None
    answers: Answers | None = None

    def option(self) -> Option:
        """Return it as the plan has it."""
        frame = self.latency.scopes.frame_to_decision if self.latency is not None else None
        size, rate, method = self.variant.setting
        return Option(
            image_size=size,
            keep_rate=rate,
            method=method,
            precision=self.variant.precision,
            top1=self.accuracy.top1,
            top1_interval=(self.accuracy.low, self.accuracy.high),
            latency_ms=frame.p50_ms if frame is not None else self.cost.latency_ms,
            p99_ms=frame.p99_ms if frame is not None else None,
            measured=frame is not None,
            certified=self.latency is not None and self.latency.certified,
        )

    def loss(self, better: Finalist) -> Verdict | None:
        """Say how much accuracy it loses against another one; None: one of them was not built."""
        if better.answers is None or self.answers is None:
            return None
        return compare_answers(better.answers, self.answers)

    def rank(self, budget: Budget) -> tuple[bool, float, float, float]:
        """Return what sorts finalists by their figures alone, the best first.

        The first of it says whether a bound is broken. Where an accuracy is, the nearest comes
        first, not the fastest.
        """
        over = bool(list(budget.excess(self.cost)))
        if budget.min_accuracy is None:
            return (over, 0.0, -self.accuracy.top1, self.cost.latency_ms)
        missing = max(budget.min_accuracy - self.accuracy.top1, 0.0)
        return (over or missing > 0, missing, self.cost.latency_ms, -self.accuracy.top1)


def ranked(finalists: Sequence[Finalist], budget: Budget) -> list[Finalist]:
    """Sort finalists, the best first.

    Where accuracy is what is sought, the fastest comes first of those within the budget that the
    validation split cannot tell from the most accurate one.
    """
    order = sorted(finalists, key=lambda each: each.rank(budget))
    if budget.min_accuracy is not None:
        return order
    best = order[0]
    alike = [
        each
        for each in order[1:]
        if each.rank(budget)[0] == best.rank(budget)[0]
        and (loss := each.loss(best)) is not None
        and loss.state != "refused"
        and loss.drop <= _ALIKE
    ]
    fastest = min([best, *alike], key=lambda each: each.cost.latency_ms)
    return [fastest, *(each for each in order if each is not fastest)]


def estimated_finalists(candidates: Sequence[Candidate], budget: Budget) -> list[Finalist]:
    """Return the best candidates where no device is at hand: nothing is built."""
    finalists = []
    for candidate in candidates[:AT_ONCE]:
        variant = next(candidate.of.fitting(candidate.setting, budget))
        cost = candidate.of.cost(variant, budget)
        finalists.append(Finalist(candidate.of, variant, candidate.accuracy, cost))
    return finalists


@dataclass(frozen=True)
class FinalistBuilder:
    """Builds and measures candidates on a device.

    Attributes:
        budget: The bounds.
        target: How the device runs them.
        data: For the export.
        device: Where they are measured.
        protocol: How.
        folder: For the bundles.
        tell: Gets a line for the user.
    """

    budget: Budget
    target: Target
    data: DataSet
    device: DeviceHandle
    protocol: Protocol
    folder: Path
    tell: Callable[[str], None]

    def finalists(self, candidates: Sequence[Candidate]) -> list[Finalist]:
        """Build candidates, the best first, until one keeps the budget; return the best first.

        Raises:
            InputError: No candidate passed the gates of the export, or the device does not tell
                what a bound is for.
        """
        finalists: list[Finalist] = []
        for number, candidate in enumerate(candidates):
            if number % AT_ONCE == 0 and any(not each.rank(self.budget)[0] for each in finalists):
                break
            # What was measured since may have moved the predictions.
            variants = list(candidate.of.fitting(candidate.setting, self.budget))
            if not variants:
                continue
            name = described(candidate.setting)
            try:
                finalist = self._built(candidate, variants, self.folder / f"{number}.fgir")
            except GateError as error:
                self.tell(f"{name} {variants[0].precision}: {error}")
                continue
            finalists.append(finalist)
            option = finalist.option()
            self.tell(
                f"built {name} {option.precision}: p50 {option.latency_ms:.3f} ms, p99 "
                f"{option.p99_ms:.3f} ms, top-1 {option.top1:.2f} %"
            )
        if not finalists:
            raise InputError(
                "no candidate passed the gates of the export",
                "one that survives quantization",
                "widen the budget so that float fits, or try: edge-fgir export --max-drop",
            )
        return ranked(finalists, self.budget)

    def _built(self, candidate: Candidate, variants: Sequence[Variant], out: Path) -> Finalist:
        candidates, setting = candidate.of, candidate.setting
        everything_fits = len(variants) == len(candidates.predictors) > 1
        bundle = export(
            candidates.run,
            self.target,
            self.data,
            out,
            ExportOptions(
                precision="auto" if everything_fits else variants[0].precision, setting=setting
            ),
        )
        latency = self.device.bench(
            bundle,
            seconds=self.protocol.seconds,
            mode=bench_mode(self.budget),
            protocol=self.protocol,
        )
        cost = measured_cost(latency, bundle, self.budget)
        frame = latency.scopes.frame_to_decision
        variant = Variant(setting, bundle.manifest.precision)
        candidates.learn(variant, frame.p50_ms)
        accuracy = float(bundle.report("parity")["stages"][-1]["top1"])
        return Finalist(
            candidates=candidates,
            variant=variant,
            accuracy=top_one(accuracy, candidates.accuracies.images),
            cost=cost,
            latency=latency,
            bundle=out,
            answers=bundle_answers(out, self.data, "val"),
        )


def held_out_accuracy(finalist: Finalist, data: DataSet) -> HeldOut | None:
    """Return a bundle's accuracy on the test split, which chose nothing; None without one."""
    samples = data.splits.get("test")
    if not samples or finalist.bundle is None:
        return None
    found = bundle_answers(finalist.bundle, data, "test")
    return HeldOut(top1=top_k(found.probabilities, found.labels, 1), images=len(samples))


def bundle_answers(path: Path, data: DataSet, split: Split) -> Answers:
    """Ask a bundle about every picture of a split, here."""
    bundle = Bundle(path)
    device = find_runtime(bundle.manifest.runtime).gate_device
    with Classifier(bundle, open_engine(bundle, device)) as model:
        return answers(BundlePredictor(model), data, split)
