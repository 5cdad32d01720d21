"""The ``profile`` result: everything that the report draws."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from edge_fgir.models import Setting
from edge_fgir.profiling.candidates import Candidate, Candidates, Variant, described
from edge_fgir.profiling.finalists import Finalist
from edge_fgir.profiling.fit import FittedModel, Probe
from edge_fgir.profiling.latency_models import Predictor
from edge_fgir.results import (
    CostStep,
    LatencyFit,
    MeasuredLatency,
    PointSetting,
    PredictedLatency,
    ProbeFit,
    ProfiledRun,
    ProfilePoint,
    Staircase,
    TopOne,
)
from edge_fgir.runtime import Precision

_STEPS = 64


class Profiled(NamedTuple):
    """One run: all that it offers, its best candidates, and every accuracy that is known."""

    candidates: Candidates
    best: list[Candidate]
    known: Mapping[Setting, TopOne]


def profiled_run(candidates: Candidates) -> ProfiledRun:
    """Return a run and what predicts its latency."""
    return ProfiledRun(
        name=candidates.title,
        architecture=candidates.trained.network.name,
        params=candidates.load.params,
        models=tuple(
            _latency_fit(candidates, precision, predictor)
            for precision, predictor in candidates.predictors.items()
        ),
    )


def _latency_fit(candidates: Candidates, precision: Precision, predictor: Predictor) -> LatencyFit:
    if not isinstance(predictor, FittedModel):
        return LatencyFit(precision=precision, estimate=True)
    return LatencyFit(
        precision=precision,
        fingerprint=predictor.device.fingerprint,
        error_percent=100 * predictor.model.error,
        seconds=predictor.seconds,
        staircase=_staircase(predictor),
        probes=tuple(_probe_fit(candidates, predictor, probe) for probe in predictor.probes),
    )


def _probe_fit(candidates: Candidates, fitted: FittedModel, probe: Probe) -> ProbeFit:
    work = candidates.load.of(probe.setting)
    predicted = fitted.model.predict([work])[0]
    return ProbeFit(
        name=described(probe.setting),
        image_size=probe.image_size,
        tokens=sum(work.attention),
        pixels=work.pixels,
        ms=probe.ms,
        predicted_ms=predicted.ms,
        low_ms=predicted.low,
        high_ms=predicted.high,
        disturbed=probe.disturbed,
    )


def _staircase(fitted: FittedModel) -> Staircase | None:
    if not fitted.model.dim:
        return None
    most = int(fitted.model.knots.tokens[-1])
    tokens = sorted({max(1, round(most * step / _STEPS)) for step in range(1, _STEPS + 1)})
    return Staircase(tokens=tuple(tokens), block_ms=tuple(fitted.model.block_ms(tokens)))


def points_of(profiled: Profiled, finalists: Sequence[Finalist]) -> Iterator[ProfilePoint]:
    """Yield all candidates of a run whose accuracy is known.

    Args:
        profiled: The run.
        finalists: Of all runs, the best first.
    """
    candidates = profiled.candidates
    ours = {each.variant: each for each in finalists if each.candidates is candidates}
    variants = {
        Variant(setting, precision): None
        for setting in profiled.known
        for precision in candidates.predictors
    }
    for variant in variants | dict.fromkeys(ours):
        finalist = ours.get(variant)
        point = _point(candidates, variant, finalist, profiled.known.get(variant.setting))
        yield point if finalist is not finalists[0] else point.model_copy(update={"role": "chosen"})


def _point(
    candidates: Candidates, variant: Variant, finalist: Finalist | None, known: TopOne | None
) -> ProfilePoint:
    measured, predicted = None, None
    if finalist is not None and finalist.latency is not None:
        frame = finalist.latency.scopes.frame_to_decision
        measured = MeasuredLatency(
            p50_ms=frame.p50_ms, p99_ms=frame.p99_ms, certified=finalist.latency.certified
        )
    if variant.precision in candidates.predictors:
        predicted = PredictedLatency(**candidates.predict([variant])[0]._asdict())
    accuracy = known if finalist is None else finalist.accuracy
    assert accuracy is not None
    return ProfilePoint(
        run=candidates.title,
        name=described(variant.setting),
        setting=PointSetting(**variant.setting._asdict()),
        precision=variant.precision,
        predicted=predicted,
        measured=measured,
        accuracy=accuracy,
        accuracy_of="torch" if measured is None else "bundle",
        role="" if finalist is None else "runner-up",
    )


def cost_steps(points: Sequence[ProfilePoint]) -> tuple[CostStep, ...]:
    """Return the most accurate point for each latency, ascending."""
    costs = [(point.median_ms, -point.accuracy.top1) for point in points]
    steps: list[CostStep] = []
    for index in sorted(range(len(points)), key=costs.__getitem__):
        top1 = points[index].accuracy.top1
        if not steps or top1 > steps[-1].top1:
            steps.append(CostStep(latency_ms=points[index].median_ms, top1=top1, point=index))
    return tuple(steps)
