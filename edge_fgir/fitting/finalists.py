"""Finalists: exported through the gates and measured on the device before one is chosen."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from edge_fgir._errors import GateError
from edge_fgir._files import sha256
from edge_fgir.benchmarking import DeviceHandle, Protocol, WarmUp
from edge_fgir.data import DataSet, Split
from edge_fgir.deploying import export_with_qat
from edge_fgir.evaluation import BundlePredictor, Floats, Labels, Visits, answers, evaluate
from edge_fgir.exporting import ExportOptions, Target, export
from edge_fgir.fitting.clock import Clock
from edge_fgir.fitting.judging import Judge
from edge_fgir.fitting.networks import Candidate
from edge_fgir.fitting.shortlist import Considered, Shortlist
from edge_fgir.fitting.trainings import Trained
from edge_fgir.profiling import bench_mode, measured_cost
from edge_fgir.results import (
    Budget,
    Cost,
    Evaluation,
    Latency,
    ParityReport,
    QuantizationReport,
    Stage,
    Verdict,
    read_result,
)
from edge_fgir.runs import Run
from edge_fgir.runtime import Bundle, Classifier, Precision, find_runtime, is_int8, open_engine

BUNDLES, _LATENCY, _DRAFTS = "bundles", ".latency.json", "drafts"
_BENCH = Protocol(runs=400, seconds=4.0, warm_up=WarmUp(most_s=5.0))
_DIGITS = 12
_LEAST = 1e-30
"""A probability below it says no more."""
_BENCHES = 3
"""How often a bundle is measured, at most, while other work disturbs it."""
_CLOSE = 8
"""How often, where a part of a measurement keeps the budget: its accuracy is worth the seconds."""
_SURPRISING = 1.25
"""A measurement of so many times what was predicted is disturbed, whether or not that shows."""
_SIZES = 3
"""How often a bundle that turns out too slow is built at a smaller size."""
_MOST_LOST = 5.0
"""Points that INT8 may lose where nothing else is left; what loses more is broken."""


@dataclass(frozen=True)
class Finalist:
    """A bundle that was measured.

    Attributes:
        trained: What it was made of.
        candidate: At the size that it was exported at.
        bundle: Where it lies.
        latency: On the device.
        validation: Of the bundle on the validation split.
        logits: (N, K) what the bundle says of it: logarithms of its probabilities.
        labels: (N,).
        cost: Measured.
        fits: It keeps the budget.
        judged: Accuracy that choices are made by, percent.
        crossed: Nothing: bundles are compared on validation pictures.
    """

    trained: Trained
    candidate: Candidate
    bundle: Path
    latency: Latency
    validation: Evaluation
    logits: Floats
    labels: Labels
    cost: Cost
    fits: bool
    judged: float
    crossed: None = None

    @property
    def precision(self) -> Precision:
        """What it computes in."""
        return Bundle(self.bundle).manifest.precision

    @property
    def agreement(self) -> float:
        """Share of the validation pictures on which it answers as torch does, percent."""
        return self._parity.agreement

    @property
    def loss(self) -> Verdict | None:
        """What it loses against torch."""
        return self._parity.verdict

    @property
    def _parity(self) -> Stage:
        return ParityReport.of(Bundle(self.bundle)).stages[-1]


@dataclass(frozen=True)
class Builder:
    """Exports trained candidates and measures them.

    Attributes:
        data: The pictures.
        target: How the device runs networks.
        device: Where bundles are measured.
        budget: The bounds.
        unknown: Folder of pictures that the model shall not know, to be measured.
        golden: Folder of pictures that bundles carry; None: some of the validation split.
        shortlist: Says what fits.
        folder: The fit's work folder.
        clock: Quantization-aware training needs time left.
        by_macro: Choices are made by the macro accuracy.
        probe: Trains a head for a candidate, on its own weights or on those of a training.
        tell: Gets a line for the user.
        program: Another program that bundles carry files for.
        kept: Candidates of which a bundle kept the budget.
    """

    data: DataSet
    target: Target
    device: DeviceHandle
    budget: Budget
    unknown: Path | None
    golden: Path | None
    shortlist: Shortlist
    folder: Path
    clock: Clock
    by_macro: bool
    probe: Callable[[Candidate, Path | None], Trained]
    tell: Callable[[str], None]
    program: str | None = None
    kept: set[Candidate] = field(default_factory=set)

    def finalist(self, trained: Trained, sizes: float = math.inf) -> Finalist | str:
        """Export and measure what was trained; at a smaller size where it turns out too slow.

        Args:
            trained: It.
            sizes: How many there is time to build; one is built.

        Returns:
            The finalist, within the budget or not, or why there is none.
        """
        considered: Considered | None = self.shortlist.at(trained.candidate)
        made, refused, of = None, "", trained
        for _ in range(int(min(max(sizes, 1), _SIZES))):
            if considered is None:
                break
            precision = self._precision(considered)
            if considered.candidate != of.candidate and of.candidate.architecture.has_head:
                # A head of its own takes little time.
                start = None if trained.record.method == "probe" else trained.weights
                of = self.probe(considered.candidate, start)
            try:
                made = self._built(of, considered.candidate, precision)
            except GateError as error:
                refused = str(error)
                self.tell(f"{considered.candidate.name} in {precision}: {refused}")
                if precision != "int8":
                    break
                considered = self._in_float(considered)
                continue
            self.tell(
                f"built {made.candidate.name} in {made.precision}: "
                f"{made.latency.scopes.frame_to_decision.p50_ms:.2f} ms, "
                f"top-1 {made.validation.top1:.1f} % of the validation pictures"
            )
            if made.fits:
                self.kept.add(made.candidate)
                return made
            considered = self._smaller(considered, made)
        return made or refused or "it does not fit at any size"

    def last_resort(self, trained: Trained) -> Finalist | str:
        """Build what the gates refused: in INT8 with what that costs, else in float, however slow.

        Returns:
            The finalist, or why there is none: both are broken.
        """
        candidate, refused = trained.candidate, ""
        bound = max(_MOST_LOST, self.target.gates.max_top1_drop)
        lenient = replace(self, target=self.target.allowing(bound))
        forms = [(self, self.target.float_precision)]
        if "int8" in self.target.precisions:
            forms.insert(0, (lenient, "int8"))
        for builder, precision in forms:
            try:
                made = builder._built(trained, candidate, precision)
            except GateError as error:
                refused = str(error)
                self.tell(f"{candidate.name} in {precision}: {refused}")
            else:
                lost = f" It loses {made.loss}." if made.loss and precision == "int8" else ""
                self.tell(f"nothing else is left: {candidate.name} in {precision} is taken.{lost}")
                return made
        return refused

    def settled(self, head: Trained) -> Candidate:
        """Return a candidate at the size at which it will keep the budget once it is built.

        Gates may refuse the fastest form of its own weights, and random weights tell nothing of
        that. So the head is built before minutes are spent; what it takes tells of smaller sizes,
        and of larger ones where it is less than was predicted.

        Args:
            head: Of the candidate.

        Returns:
            It, at its own size or another one; where none is known to be small enough, as it is.
        """
        if not self.budget.model_copy(update={"min_accuracy": None}).text:
            return head.candidate
        made = self.finalist(head, sizes=1)
        considered = self.shortlist.at(head.candidate)
        if isinstance(made, str):
            kept = [each for each in self.kept if each.form == head.candidate.form]
            if kept:
                return max(kept, key=lambda each: each.image_size)
            smaller = self._in_float(considered)
        elif made.fits:
            taken = made.latency.scopes.frame_to_decision.p50_ms
            self.shortlist.learn(made.candidate, made.precision, taken)
            return self.shortlist.larger(made.candidate, made.precision)
        else:
            smaller = self._smaller(considered, made)
        return head.candidate if smaller is None else smaller.candidate

    def _precision(self, considered: Considered) -> str:
        """Return what to export in: the choice is the export's where INT8 and float both fit."""
        fitting = [each.precision for each in considered.latencies if each.fits]
        if len(fitting) == len(considered.latencies) > 1:
            return "auto"
        return fitting[0] if fitting else considered.latencies[0].precision

    def _in_float(self, considered: Considered) -> Considered | None:
        """Return the largest size at which float fits, where INT8 was refused."""
        smaller: Considered | None = considered
        while smaller is not None:
            if any(each.fits and each.precision != "int8" for each in smaller.latencies):
                only = tuple(each for each in smaller.latencies if each.precision != "int8")
                return Considered(smaller.candidate, only)
            smaller = self.shortlist.smaller(smaller.candidate)
        return None

    def _smaller(self, larger: Considered, made: Finalist) -> Considered | None:
        """Return the largest size that fits if it takes as much more as a larger one took."""
        if not list(self.budget.excess(made.cost.model_copy(update={"size_mb": None}))):
            return None  # weights take as many bytes at any size

        def predicted(each: Considered) -> float:
            known = {latency.precision: latency.ms for latency in each.latencies}
            return known.get(made.precision, each.ms)

        slower = max(made.cost.latency_ms / predicted(larger), 1.0)
        bound = self.budget.latency_ms or math.inf
        considered = self.shortlist.smaller(larger.candidate)
        while considered is not None:
            if considered.candidate in self.kept or predicted(considered) * slower <= bound:
                break
            considered = self.shortlist.smaller(considered.candidate)
        return considered

    def _built(self, trained: Trained, candidate: Candidate, precision: str) -> Finalist:
        facts = [Run(trained.run).weights_hash, candidate.setting, precision, self.target.name]
        facts += [f"{self.target.gates.max_top1_drop:g}"]
        facts += [] if self.unknown is None else [str(self.unknown.resolve())]
        facts += [] if self.golden is None else ["golden", str(self.golden.resolve())]
        facts += [] if self.program is None else [self.program]
        key = sha256(json.dumps(facts).encode())[:_DIGITS]
        out = self.folder / BUNDLES / f"{key}.fgir"
        if not out.exists():
            # Until it is whole, a bundle lies where no resumed fit takes it for one that is.
            draft = out.parent / _DRAFTS / out.name
            self._export(trained, candidate, precision, draft)
            draft.replace(out)
        latency = self._timed(Bundle(out), candidate)
        with opened(out) as model:
            validation = evaluate(BundlePredictor(model), self.data, "val")
            said = answers(BundlePredictor(model), self.data, "val")
        cost = measured_cost(latency, Bundle(out), self.budget)
        return Finalist(
            trained=trained,
            candidate=candidate,
            bundle=out,
            latency=latency,
            validation=validation,
            logits=np.log(np.maximum(said.probabilities, _LEAST)),
            labels=said.labels,
            cost=cost,
            fits=not list(self.budget.excess(cost)),
            judged=validation.macro if self.by_macro else validation.top1,
        )

    def _timed(self, bundle: Bundle, candidate: Candidate) -> Latency:
        """Return what a bundle takes; where it was measured already, what it took then.

        Weights take no time, so a measurement of a bundle that computes the same with others counts
        as well: a shared machine may be slower now than it was a while ago. Which layers of a
        scheme stay in float depends on the weights.
        """
        facts = [candidate.name, self.target.name, bundle.manifest.precision]
        if is_int8(bundle.manifest.precision):
            report = QuantizationReport.of(bundle)
            facts += [report.chosen, bundle.path.name] if report.is_mixed else [report.chosen]
        key = sha256(json.dumps(facts).encode())[:_DIGITS]
        # What was measured without frames back to back tells no energy.
        mode = bench_mode(self.budget)
        ending = _LATENCY if mode == "burst" else f".{mode}{_LATENCY}"
        same = self.folder / BUNDLES / f"same-{key}{ending}"
        kept = bundle.path.with_suffix(ending)
        earlier = [read_result(file, Latency) for file in (same, kept) if file.exists()]
        if not kept.exists():
            precision = bundle.manifest.precision
            predicted = {each.precision: each.ms for each in self.shortlist.at(candidate).latencies}
            ms = predicted.get(precision, math.inf)
            earlier.append(self._benched(bundle, earlier, ms))
            earlier[-1].write(kept)
        best = self._best(earlier, bundle)
        best.write(same)
        return best

    def _benched(
        self, bundle: Bundle, earlier: Sequence[Latency] = (), predicted_ms: float = math.inf
    ) -> Latency:
        """Measure a bundle, and again where the machine may be why the budget is not kept.

        Other work and a host's neighbours only ever add time, so the fastest measurement counts.

        Args:
            bundle: It.
            earlier: Measurements that count as well: with one that keeps the budget, none is
                repeated.
            predicted_ms: Its median from a decoded frame to the label.
        """
        own: list[Latency] = []
        most = _BENCHES
        while len(own) < most:
            latency = self.device.bench(
                bundle, seconds=_BENCH.seconds, mode=bench_mode(self.budget), protocol=_BENCH
            )
            own.append(latency)
            kept = any(self._keeps(each, bundle) for each in (*earlier, latency))
            reason = _disturbance(latency) or _surprise(latency, predicted_ms)
            if kept or not reason:
                break
            if self._is_close(latency):
                most = _CLOSE
            if len(own) < most:
                self.tell(f"{reason}: measured again")
        return self._best(own, bundle)

    def _best(self, latencies: Sequence[Latency], bundle: Bundle) -> Latency:
        """Return the fastest measurement, of those that keep the whole budget if there are any."""
        keeping = [each for each in latencies if self._keeps(each, bundle)]
        return min(
            keeping or latencies,
            key=lambda each: measured_cost(each, bundle, self.budget).latency_ms,
        )

    def _keeps(self, latency: Latency, bundle: Bundle) -> bool:
        return not list(self.budget.excess(measured_cost(latency, bundle, self.budget)))

    def _is_close(self, latency: Latency) -> bool:
        """Say whether the median of one of a measurement's repeats keeps the budget."""
        if self.budget.percentile == "p99":
            return False  # repeats have no tail of their own
        repeats, bound = latency.repeats_p50_ms.get("frame_to_decision"), self.budget.latency_ms
        return repeats is not None and bound is not None and min(repeats) <= bound

    def _export(self, trained: Trained, candidate: Candidate, precision: str, out: Path) -> None:
        as_trained = candidate == trained.candidate
        setting = None if as_trained else candidate.setting
        options = ExportOptions(
            precision=precision,
            setting=setting,
            unknown=self.unknown,
            golden=self.golden,
            program=self.program,
        )
        epoch = trained.record.seconds / max(trained.record.epochs, 1)
        may_be_int8 = precision == "auto" or is_int8(precision)
        if may_be_int8 and trained.record.epochs and self.clock.left > 3 * epoch:
            export_with_qat(
                trained.run,
                self.target,
                self.data,
                out,
                1,
                options,
                lambda event: self.clock.tick(),
                self.tell,
            )
            return
        export(trained.run, self.target, self.data, out, options, lambda event: self.clock.tick())


def _disturbance(latency: Latency) -> str:
    """Say what a bench was disturbed by; nothing if it was not."""
    bounds = latency.certified_if
    if (other := latency.watch.other_work or 0.0) >= bounds.other_work_below:
        return f"other work took {100 * other:.0f} % of the processors"
    if repeats := latency.repeats_p50_ms.get("frame_to_decision"):
        apart = max(repeats) / min(repeats) - 1
        if apart > bounds.repeats_apart_at_most:
            return f"two repeats are {100 * apart:.0f} % apart"
    return ""


def _surprise(latency: Latency, predicted_ms: float) -> str:
    """Say that a bench took much longer than was predicted; nothing if it did not."""
    more = latency.scopes.frame_to_decision.p50_ms / predicted_ms - 1
    return f"{100 * more:.0f} % more than predicted" if more > _SURPRISING - 1 else ""


def opened(bundle: Path) -> Classifier:
    """Return a bundle that computes on this machine, whatever its target."""
    sealed = Bundle(bundle)
    device = find_runtime(sealed.manifest.runtime).gate_device
    return Classifier(sealed, open_engine(sealed, device))


def evaluated(
    bundle: Path, data: DataSet, split: Split, visits: Visits | None = None
) -> Evaluation:
    """Return what a bundle answers to a split, computed on this machine."""
    with opened(bundle) as model:
        return evaluate(BundlePredictor(model), data, split, visits=visits)


def chosen(finalists: Sequence[Finalist], budget: Budget, judge: Judge) -> Finalist:
    """Return the best: within the budget, accurate, and of equally accurate ones the cheaper.

    Where an accuracy is asked for, it is the fastest of those that reach it.
    """
    fitting = [each for each in finalists if each.fits] or list(finalists)
    least = budget.min_accuracy
    enough = [each for each in fitting if least is not None and each.validation.top1 >= least]
    if enough:
        return min(enough, key=lambda each: each.cost.latency_ms)
    best = judge.best(fitting)
    rivals = [each for each in fitting if each is best or _as_good(each, best, judge)]
    return min(rivals, key=lambda each: each.cost.latency_ms)


_AS_GOOD = 0.25
"""Points that are no difference on any validation split."""
_CHEAPER = 0.9
"""Share of the latency from which something is worth those points."""


def _as_good(each: Finalist, best: Finalist, judge: Judge) -> bool:
    cheaper = each.cost.latency_ms <= _CHEAPER * best.cost.latency_ms
    return cheaper and judge.lead(best, each) <= _AS_GOOD
