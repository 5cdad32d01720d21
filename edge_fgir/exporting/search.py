"""INT8 by search: schemes are tried on a network, and the evidence chooses one.

What may have broken a bound is looked at on more and more views of the validation images, until it
is certified or refused, or there are enough. The fastest that is certified is taken; where none is,
the one with the smallest error that is not refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from edge_fgir._errors import GateError
from edge_fgir._progress import progress
from edge_fgir.benchmarking import Protocol, WarmUp, measure
from edge_fgir.evaluation import Views
from edge_fgir.exporting.builders import Backend, refusals
from edge_fgir.exporting.calibration import CalibrationSet
from edge_fgir.exporting.gates import ParityGates
from edge_fgir.exporting.graph import Logits
from edge_fgir.exporting.target import Quantization, Scheme
from edge_fgir.exporting.views import view_of
from edge_fgir.results import IN_FLOAT, QuantizationReport, SchemeFailure, SchemeTrial, Stage
from edge_fgir.runtime import Pixels, Precision

_SENSITIVITY_IMAGES = 32
_PROTOCOL = Protocol(runs=60, seconds=0.3, warm_up=WarmUp(least_s=0.2, most_s=1.0))
_AS_FAST = 1.03
"""Latencies closer than this are taken as equal; the smaller error then decides."""
_AS_GOOD = 1.25
"""Errors closer than this cost the same as far as pictures can tell; the latency then decides."""
_LOOKED_AT, _AT_ONCE, _PICTURES, _SECONDS = 3, 400, 1500, 8.0
"""How many forms are shown views, about how many at once, up to how many pictures with the images,
and how long each form."""


@dataclass(frozen=True)
class Trial:
    """One form of the network, compared with torch on the validation split.

    Attributes:
        name: The scheme, or the float precision.
        precision: What it computes in.
        backend: The network.
        correction: (K,) added to its logits: what it lacks on average on the calibration images.
        logits: (N, K) on the validation split, corrected.
        stage: Those compared with torch's.
        broken: Why it cannot be chosen: the bound it breaks, or one with the same operations and a
            smaller error; empty if it can.
        error: Root mean square of the logits' differences on validation and calibration images.
        p50_ms: Median latency of the network on this machine; None where its runtime is not here.
        views: What it and torch say of more pictures; None: that was not needed.
    """

    name: str
    precision: Precision
    backend: Backend
    correction: Logits
    logits: Logits
    stage: Stage
    broken: str
    error: float
    p50_ms: float | None = None
    views: Views | None = None

    @classmethod
    def of(
        cls,
        name: str,
        precision: Precision,
        backend: Backend,
        parity: ParityGates,
        images: Pixels,
        left: Logits | None = None,
    ) -> Trial:
        """Run a network on the validation ``images`` and compare it with torch.

        Args:
            name: For the report.
            precision: What it computes in.
            backend: The network.
            parity: Torch's answers, and the bounds.
            images: (N, S, S, 3).
            left: (M, K) what its logits lack on other images: their mean is added to all.
        """
        if left is None:
            left = np.zeros((1, parity.reference.shape[1]), np.float32)
        correction = left.mean(axis=0)
        logits = backend.run(images) + correction
        stage = parity.compared(name, logits)
        errors = np.concatenate([parity.reference - logits, left - correction])
        error = float(np.sqrt(np.square(errors - errors.mean(axis=1, keepdims=True)).mean()))
        broken = parity.broken(stage)
        return cls(name, precision, backend, correction, logits, stage, broken, error)

    def shown(self, pixels: Pixels, wanted: Logits, parity: ParityGates) -> Trial:
        """Return it with further views of all validation images; torch says ``wanted`` of them."""
        logits = self.backend.run(pixels) + self.correction
        fresh = Views(wanted, logits, np.arange(len(pixels)) % len(parity.labels))
        views = fresh if self.views is None else self.views.and_these(fresh)
        stage = parity.compared(self.name, self.logits, views)
        return replace(self, views=views, stage=stage, broken=parity.broken(stage))

    def row(self) -> SchemeTrial:
        """Return its row of the report."""
        figures = self.stage.model_dump(exclude={"name", "class_drops", "certified"})
        return SchemeTrial(
            name=self.name,
            precision=self.precision,
            p50_ms=self.p50_ms,
            broken=self.broken,
            **figures,
        )


@dataclass(frozen=True)
class Choice:
    """What is exported, and all that was tried.

    Attributes:
        trial: The winner.
        trials: All, in the order of trying; the float one first.
        why: One line.
        failed: What could not be made or run.
    """

    trial: Trial
    trials: list[Trial]
    why: str
    failed: tuple[SchemeFailure, ...] = ()

    def report(self) -> QuantizationReport:
        """Return the report of the search."""
        return QuantizationReport(
            chosen=self.trial.name,
            precision=self.trial.precision,
            why=self.why,
            trials=tuple(trial.row() for trial in self.trials),
            failed=self.failed,
        )


@dataclass(frozen=True)
class Search:
    """Tries the schemes of a target on one network.

    Args:
        float32: The network in float32, whose answers to views are taken for torch's.
        base: What the schemes quantize: the same, or with float layers in bfloat16.
        fallback: The network in the target's best float precision.
        fallback_precision: That precision.
        parity: Torch's answers on the validation split, and the bounds.
        validation: (N, S, S, 3) its images.
        calibration: The images that ranges are measured on.
        wanted: (M, K) torch's logits of some of those (``few``).
        foreign: The target's processors are of another kind than this machine's: the fastest scheme
            here says whether INT8 helps, but not which is fastest there.
        tell: Called with each trial, and with what failed.
        int8: What the schemes give: INT8 beside the runtime's own float, or beside bfloat16.
        in_bfloat16: Returns a backend with float layers in bfloat16; None: it is not to be tried.
        view: Makes a view of each image; of the images and how many views were made before.
    """

    float32: Backend
    base: Backend
    fallback: Backend
    fallback_precision: Precision
    parity: ParityGates
    validation: Pixels
    calibration: CalibrationSet
    wanted: Logits
    foreign: bool = False
    tell: Callable[[Trial | SchemeFailure], None] = lambda event: None
    int8: Precision = "int8"
    in_bfloat16: Callable[[Backend], Backend] | None = None
    view: Callable[[Pixels, int], Pixels] = view_of
    _seen: list[tuple[Pixels, Logits]] = field(default_factory=list, init=False)
    _failed: list[SchemeFailure] = field(default_factory=list, init=False)

    def run(self, quantization: Quantization, *, transformer: bool, float_too: bool) -> Choice:
        """Try all schemes and choose.

        Args:
            quantization: The target's schemes.
            transformer: Which of them.
            float_too: The float form may win: where every scheme is refused or none is faster.

        Raises:
            GateError: No scheme could be run and float may not win, or float cannot be run either.
        """
        schemes = quantization.transformer if transformer else quantization.cnn
        precision = self.fallback_precision
        few = self.parity.few
        parity, images = self.parity.on(few), self.validation[few]
        with refusals(f"the network cannot be run in {precision}"):
            first = Trial.of(precision, precision, self.fallback, parity, images)
        self.tell(first)
        tried: list[Trial] = []
        with progress("INT8 schemes", len(schemes)) as meter:
            for name, scheme in schemes.items():
                tried += self._int8(name, scheme)
                meter.advance(note=name)
        if not tried:
            return self._none(first, float_too=float_too)
        trials = self._looked_at([first, *self._and_in_bfloat16(_judged(tried))])
        if all(trial.broken for trial in trials[1:]):
            best = min(tried, key=lambda trial: trial.error)
            scheme = schemes[best.name]
            for trial in self._relaxed(best, scheme, quantization.most_float_layers):
                trials = self._looked_at([*trials, *self._and_in_bfloat16([trial])])
                if _good(trials[1:]):
                    break
        choice = self._chosen(trials, float_too=float_too)
        return replace(choice, failed=tuple(self._failed))

    def _int8(self, name: str, scheme: Scheme, float_layers: tuple[str, ...] = ()) -> list[Trial]:
        """Return the scheme's trial; none where the target's library refuses the graph."""
        found: list[Trial] = []
        with self._recorded(name, self.int8):
            images = self.calibration.images
            backend = self.base.quantized(scheme, images, float_layers)
            found.append(self._corrected(name, self.int8, backend))
        return found

    @contextmanager
    def _recorded(self, name: str, precision: Precision) -> Iterator[None]:
        """Record it as a scheme that failed where the target's library refuses what is done."""
        try:
            with refusals(f"{name} in {precision} cannot be made or run"):
                yield
        except GateError as error:
            failure = SchemeFailure(name=name, reason=str(error))
            self._failed.append(failure)
            self.tell(failure)

    def _corrected(self, name: str, precision: Precision, backend: Backend) -> Trial:
        left = self.wanted - backend.run(self.calibration.few)
        trial = Trial.of(name, precision, backend, self.parity, self.validation, left)
        self.tell(trial)
        return trial

    def _none(self, first: Trial, *, float_too: bool) -> Choice:
        """Take float, where no scheme could be run."""
        if not float_too:
            raise GateError(self._failed[0].reason)
        choice = self._float(first, [], f"no INT8 scheme can be run: {self._failed[0].reason}")
        return replace(choice, failed=tuple(self._failed))

    def _and_in_bfloat16(self, trials: list[Trial]) -> list[Trial]:
        """Add the best INT8 form once more, with bfloat16 in the place of its float layers."""
        good = _good(trials)
        if self.in_bfloat16 is None or not good:
            return trials
        best = min(good, key=lambda trial: trial.error)
        name, found = f"{best.name}, bfloat16", list(trials)
        with self._recorded(name, "int8-bf16"):
            backend = self.in_bfloat16(best.backend)
            if self._is_faster(backend, best.backend):
                found.append(self._corrected(name, "int8-bf16", backend))
        return found

    def _is_faster(self, backend: Backend, other: Backend) -> bool:
        """Say whether a form is faster here than another, by more than chance makes it seem."""
        latencies = self._latencies({"new": backend, "old": other})
        return latencies != {} and latencies["new"] * _AS_FAST < latencies["old"]

    def _float_in_bfloat16(self, first: Trial) -> Iterator[Trial]:
        """Yield the float form once more, in bfloat16."""
        if self.in_bfloat16 is None:
            return
        found: list[Trial] = []
        with self._recorded("bf16", "bf16"):
            backend = self.in_bfloat16(first.backend)
            found.append(Trial.of("bf16", "bf16", backend, self.parity, self.validation))
        for trial in found:
            self.tell(trial)
            yield trial

    def _relaxed(self, trial: Trial, scheme: Scheme, most: int) -> Iterator[Trial]:
        """Yield the scheme with 1, 2, 4 ... of its most sensitive layers in float."""
        few = slice(_SENSITIVITY_IMAGES)
        with refusals("the layers cannot be ranked"):
            ranked = trial.backend.sensitive_layers(self.calibration.few[few], self.wanted[few])
        count = 1
        while count <= min(most, len(ranked)):
            name = f"{trial.name}, {count}{IN_FLOAT}"
            yield from self._int8(name, scheme, tuple(ranked[:count]))
            count *= 2

    def _looked_at(self, trials: list[Trial]) -> list[Trial]:
        """Measure those that may be chosen, and show the fastest of them more pictures until one is
        certified."""
        measured = {trial.name: trial for trial in self._timed(_good(trials))}
        for name in [trial.name for trial in self._ranked(list(measured.values()))][:_LOOKED_AT]:
            measured[name] = self._shown(measured[name])
            if measured[name].stage.certified:
                break
        return [measured.get(trial.name, trial) for trial in trials]

    def _shown(self, trial: Trial) -> Trial:
        """Show a form one round of views after another, until that decides."""
        start, images = time.monotonic(), len(self.validation)
        rounds = max(_PICTURES - images, 0) // (images * self._views_at_once)
        for number in range(rounds):
            decided = trial.broken or trial.stage.certified
            if decided or time.monotonic() - start > _SECONDS:
                break
            trial = trial.shown(*self._round(number), self.parity)
        return trial

    @property
    def _views_at_once(self) -> int:
        """How many views of each image are shown at once: a network takes time to be opened."""
        return max(_AT_ONCE // len(self.validation), 1)

    def _round(self, number: int) -> tuple[Pixels, Logits]:
        """Return views of all validation images, and the float network's logits of them, which the
        gates have found to be torch's."""
        if number == len(self._seen):
            count = self._views_at_once
            drawn = range(number * count, (number + 1) * count)
            pixels = np.concatenate([self.view(self.validation, each) for each in drawn])
            self._seen.append((pixels, self.float32.run(pixels)))
        return self._seen[number]

    def _ranked(self, trials: list[Trial]) -> list[Trial]:
        """Sort what may be chosen: the fastest first, of equally fast ones the smallest error."""
        good = [trial for trial in trials if trial.precision != self.fallback_precision]
        times = {trial.name: trial.p50_ms for trial in good if trial.p50_ms is not None}
        if not times or self.foreign:
            return good
        limit = _AS_FAST * min(times.values())

        def rank(trial: Trial) -> tuple[bool, float]:
            fast = times[trial.name] <= limit
            return not fast, trial.error if fast else times[trial.name]

        return sorted(good, key=rank)

    def _chosen(self, trials: list[Trial], *, float_too: bool) -> Choice:
        first, *tried = trials
        good = _good(tried)
        if not good:
            best = min(tried, key=lambda trial: trial.error)
            if float_too:
                return self._float(first, tried, f"every INT8 scheme is refused: {best.broken}")
            return Choice(best, trials, "the smallest error; the evidence is against it")
        certified = [trial for trial in good if trial.stage.certified]
        least = _AS_GOOD * min(trial.error for trial in good)
        best = self._ranked(certified or [trial for trial in good if trial.error <= least])[0]
        reason = self._reason(best)
        if best.p50_ms is None or first.p50_ms is None:
            return Choice(best, trials, f"{reason}; no latency is known")
        compared = f"{best.name} {best.p50_ms:.2f} ms, {first.name} {first.p50_ms:.2f} ms"
        if self.foreign:
            compared = f"on this machine, whose processor is not the target's, {compared}"
        fastest = min(trial.p50_ms for trial in good if trial.p50_ms is not None)
        if float_too and (fastest if self.foreign else best.p50_ms) >= first.p50_ms:
            first = self._whole(first)
            return Choice(first, [first, *tried], f"INT8 is not faster: {compared}")
        return Choice(best, trials, f"{reason}: {compared}")

    def _reason(self, trial: Trial) -> str:
        if trial.stage.certified:
            which = "first" if self.foreign else "fastest"
            return f"the {which} that is sure to keep the bounds"
        return "the smallest error of those that are not refused"

    def _float(self, first: Trial, tried: Sequence[Trial], why: str) -> Choice:
        """Take the float form, or bfloat16 where that is not refused and faster."""
        first = self._whole(first)
        if not (more := list(self._float_in_bfloat16(first))):
            return Choice(first, [first, *tried], why)
        first, half = self._timed([first, *more])
        faster = (half.p50_ms or 0) < (first.p50_ms or 0)
        return Choice(half if faster and not half.broken else first, [first, half, *tried], why)

    def _whole(self, first: Trial) -> Trial:
        """Return the float form, which is taken, on all validation images."""
        whole = Trial.of(first.name, first.precision, first.backend, self.parity, self.validation)
        return replace(whole, p50_ms=first.p50_ms)

    def _timed(self, trials: list[Trial]) -> list[Trial]:
        """Measure the latencies side by side."""
        latencies = self._latencies({trial.name: trial.backend for trial in trials})
        return [replace(trial, p50_ms=latencies.get(trial.name)) for trial in trials]

    def _latencies(self, backends: Mapping[str, Backend]) -> dict[str, float]:
        """Return medians, ms, of what runs here."""
        image = self.validation[:1]
        with refusals("what was quantized cannot be opened"):
            calls = {name: backend.call(image) for name, backend in backends.items()}
        here = {name: call for name, call in calls.items() if call is not None}
        return (
            {name: each.p50_ms for name, each in measure(here, _PROTOCOL).items()} if here else {}
        )


def _judged(trials: Sequence[Trial]) -> list[Trial]:
    """Pass over all but the smallest error among those that compute the same operations.

    They take equal time, and what few pictures say of the drop is chance: a larger error that is
    not refused where a smaller one is was lucky.
    """
    kinds = [trial.backend.operations() for trial in trials]
    best: dict[Hashable, Trial] = {}
    for kind, trial in zip(kinds, trials, strict=True):
        best[kind] = min(best.get(kind, trial), trial, key=lambda each: each.error)
    return [
        trial
        if trial is best[kind] or trial.broken
        else replace(trial, broken=f"{best[kind].name} computes the same with a smaller error")
        for kind, trial in zip(kinds, trials, strict=True)
    ]


def _good(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if not trial.broken]
