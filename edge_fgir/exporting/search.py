"""INT8 by search: schemes are tried on a network, and the fastest that keeps the gates is taken."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge_fgir._progress import progress
from edge_fgir.benchmarking import Protocol, WarmUp, measure
from edge_fgir.exporting.builders import Backend
from edge_fgir.exporting.calibration import CalibrationSet
from edge_fgir.exporting.gates import ParityGates, compare
from edge_fgir.exporting.graph import Logits
from edge_fgir.exporting.target import Quantization, Scheme
from edge_fgir.results import QuantizationReport, SchemeTrial, Stage
from edge_fgir.runtime import Pixels, Precision

_SENSITIVITY_IMAGES = 32
_PROTOCOL = Protocol(runs=60, seconds=1.0, warm_up=WarmUp(most_s=5.0))
_AS_FAST = 1.03
"""Latencies closer than this are taken as equal; the smaller error then decides."""


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
        p50_ms: Median latency of the network on this machine; None where its runtime is not here.
    """

    name: str
    precision: Precision
    backend: Backend
    correction: Logits
    logits: Logits
    stage: Stage
    broken: str
    p50_ms: float | None = None

    @classmethod
    def of(
        cls,
        name: str,
        precision: Precision,
        backend: Backend,
        parity: ParityGates,
        images: Pixels,
        correction: Logits | None = None,
    ) -> Trial:
        """Run a network on the validation ``images`` and compare it with torch."""
        if correction is None:
            correction = np.zeros(parity.reference.shape[1], np.float32)
        logits = backend.run(images) + correction
        stage = compare(name, parity.reference, logits, parity.labels)
        return cls(name, precision, backend, correction, logits, stage, parity.broken(stage))

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
    """

    trial: Trial
    trials: list[Trial]
    why: str

    def report(self) -> QuantizationReport:
        """Return the report of the search."""
        return QuantizationReport(
            chosen=self.trial.name,
            precision=self.trial.precision,
            why=self.why,
            trials=tuple(trial.row() for trial in self.trials),
        )


@dataclass(frozen=True)
class Search:
    """Tries the schemes of a target on one network.

    Args:
        float32: The network in float32.
        fallback: The network in the target's best float precision.
        fallback_precision: That precision.
        parity: Torch's answers on the validation split, and the bounds.
        validation: (N, S, S, 3) its images.
        calibration: The images that ranges are measured on.
        wanted: (M, K) torch's logits of those.
        foreign: The target's processors are of another kind than this machine's: the fastest scheme
            here says whether INT8 helps, but not which is fastest there.
        tell: Called with each trial.
        int8: What the schemes give: INT8 beside the runtime's own float, or beside bfloat16.
        in_bfloat16: Returns a backend with float layers in bfloat16; None: it is not to be tried.
    """

    float32: Backend
    fallback: Backend
    fallback_precision: Precision
    parity: ParityGates
    validation: Pixels
    calibration: CalibrationSet
    wanted: Logits
    foreign: bool = False
    tell: Callable[[Trial], None] = lambda trial: None
    int8: Precision = "int8"
    in_bfloat16: Callable[[Backend], Backend] | None = None

    def run(self, quantization: Quantization, *, transformer: bool, float_too: bool) -> Choice:
        """Try all schemes and choose.

        Args:
            quantization: The target's schemes.
            transformer: Which of them.
            float_too: The float form may win: where no scheme keeps the gates or none is faster.
        """
        schemes = quantization.transformer if transformer else quantization.cnn
        precision = self.fallback_precision
        first = Trial.of(precision, precision, self.fallback, self.parity, self.validation)
        self.tell(first)
        tried = []
        with progress("INT8 schemes", len(schemes)) as meter:
            for name, scheme in schemes.items():
                tried.append(self._int8(name, scheme))
                meter.advance(note=name)
        trials = _judged(tried)
        if all(trial.broken for trial in trials):
            best = min(trials, key=_error)
            scheme = schemes[best.name]
            for trial in self._relaxed(best, scheme, quantization.most_float_layers):
                trials.append(trial)
                if not trial.broken:
                    break
        good = [trial for trial in trials if not trial.broken]
        if good:
            trials += self._int8_in_bfloat16(min(good, key=_error))
        return self._choose([first, *trials], float_too=float_too)

    def _int8(self, name: str, scheme: Scheme, float_layers: tuple[str, ...] = ()) -> Trial:
        backend = self.float32.quantized(scheme, self.calibration.images, float_layers)
        return self._corrected(name, self.int8, backend)

    def _int8_in_bfloat16(self, trial: Trial) -> Iterator[Trial]:
        """Yield an INT8 form once more, with bfloat16 in the place of its float layers."""
        if self.in_bfloat16 is not None:
            backend = self.in_bfloat16(trial.backend)
            yield self._corrected(f"{trial.name}, bfloat16", "int8-bf16", backend)

    def _float_in_bfloat16(self, first: Trial) -> Iterator[Trial]:
        """Yield the float form once more, in bfloat16."""
        if self.in_bfloat16 is not None:
            backend = self.in_bfloat16(first.backend)
            trial = Trial.of("bf16", "bf16", backend, self.parity, self.validation)
            self.tell(trial)
            yield trial

    def _corrected(self, name: str, precision: Precision, backend: Backend) -> Trial:
        correction = (self.wanted - backend.run(self.calibration.images)).mean(axis=0)
        trial = Trial.of(name, precision, backend, self.parity, self.validation, correction)
        self.tell(trial)
        return trial

    def _relaxed(self, trial: Trial, scheme: Scheme, most: int) -> Iterator[Trial]:
        """Yield the scheme with 1, 2, 4 ... of its most sensitive layers in float."""
        few = slice(_SENSITIVITY_IMAGES)
        ranked = trial.backend.sensitive_layers(self.calibration.images[few], self.wanted[few])
        count = 1
        while count <= min(most, len(ranked)):
            name = f"{trial.name}, {count} in float"
            yield self._int8(name, scheme, tuple(ranked[:count]))
            count *= 2

    def _choose(self, trials: list[Trial], *, float_too: bool) -> Choice:
        good = [trial for trial in trials[1:] if not trial.broken]
        measured = self._timed([trials[0], *good])
        by_name = {trial.name: trial for trial in measured}
        trials = [by_name.get(trial.name, trial) for trial in trials]
        first, *good = measured
        if not good:
            best = min(trials[1:], key=_error)
            if float_too:
                why = f"no INT8 scheme keeps the gates: {best.broken}"
                return self._float(first, trials[1:], why)
            return Choice(best, trials, "the smallest error; it breaks a gate")
        times = {trial.name: trial.p50_ms for trial in measured if trial.p50_ms is not None}
        if not times:
            return Choice(good[0], trials, "the first that keeps the gates; no latency is known")
        limit = _AS_FAST * min(times[trial.name] for trial in good)
        fastest = min((t for t in good if times[t.name] <= limit), key=_error)
        compared = f"{fastest.name} {fastest.p50_ms:.2f} ms, {first.name} {first.p50_ms:.2f} ms"
        if float_too and times[fastest.name] >= times[first.name]:
            return Choice(first, trials, f"INT8 is not faster: {compared}")
        if self.foreign:
            why = f"the first that keeps the gates; on this machine's other processor {compared}"
            return Choice(good[0], trials, why)
        return Choice(fastest, trials, f"the fastest that keeps the gates: {compared}")

    def _float(self, first: Trial, tried: Sequence[Trial], why: str) -> Choice:
        """Take the float form, or bfloat16 where that keeps the gates and is faster."""
        if not (more := list(self._float_in_bfloat16(first))):
            return Choice(first, [first, *tried], why)
        first, half = self._timed([first, *more])
        faster = (half.p50_ms or 0) < (first.p50_ms or 0)
        return Choice(half if faster and not half.broken else first, [first, half, *tried], why)

    def _timed(self, trials: list[Trial]) -> list[Trial]:
        """Measure the latencies side by side."""
        image = self.validation[:1]
        calls = {trial.name: trial.backend.call(image) for trial in trials}
        here = {name: call for name, call in calls.items() if call is not None}
        if not here:
            return trials
        found = measure(here, _PROTOCOL)
        return [replace(trial, p50_ms=found[trial.name].p50_ms) for trial in trials]


def _judged(trials: Sequence[Trial]) -> list[Trial]:
    """Pass over all but the smallest error among those that compute the same operations.

    They take equal time, and the drop on few pictures is chance: a larger error that keeps a gate
    which a smaller one breaks was lucky.
    """
    kinds = [trial.backend.operations() for trial in trials]
    best: dict[Hashable, Trial] = {}
    for kind, trial in zip(kinds, trials, strict=True):
        best[kind] = min(best.get(kind, trial), trial, key=_error)
    return [
        trial
        if trial is best[kind] or trial.broken
        else replace(trial, broken=f"{best[kind].name} computes the same with a smaller error")
        for kind, trial in zip(kinds, trials, strict=True)
    ]


def _error(trial: Trial) -> float:
    error = trial.stage.rms_delta_logit
    return float("inf") if error is None else error
