"""The ``profile`` result: everything that the report draws."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from edge_fgir.data import DataSet
from edge_fgir.models.setting import Setting
from edge_fgir.profiling.accuracies import Accuracy
from edge_fgir.profiling.candidates import Candidate, Candidates, Way, described
from edge_fgir.profiling.finalists import Finalist
from edge_fgir.profiling.measured import MeasuredModel
from edge_fgir.profiling.place import Place
from edge_fgir.profiling.plan import Plan
from edge_fgir.profiling.rigs import fingerprint
from edge_fgir.profiling.speeds import Speed
from edge_fgir.runtime.manifest import Precision

_STEPS = 64


class Profiled(NamedTuple):
    """One run, and what was found of it."""

    candidates: Candidates
    best: list[Candidate]
    known: Mapping[Setting, Accuracy]


def body_of(
    plan: Plan,
    place: Place,
    data: DataSet,
    profiled: Sequence[Profiled],
    finalists: Sequence[Finalist],
    test: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return the body of a ``profile`` result.

    Args:
        plan: The choice.
        place: The device.
        data: The pictures.
        profiled: The runs.
        finalists: The best first.
        test: The chosen bundle's accuracy on the test split.
    """
    points = [point for one in profiled for point in _points(one, finalists)]
    return {
        "device": place.name,
        "device_name": place.title,
        "target": plan.target,
        "measured": not plan.estimate,
        "scope": "frame_to_decision",
        "budget": plan.budget.model_dump(),
        "data": data.info.model_dump(),
        "images": profiled[0].candidates.accuracies.images,
        "runs": [_run(one.candidates) for one in profiled],
        "points": points,
        "costs": _costs(points),
        "why": plan.why,
        "test": test,
    }


def _run(candidates: Candidates) -> dict[str, Any]:
    return {
        "name": candidates.title,
        "architecture": candidates.trained.network.name,
        "params": candidates.load.params,
        "models": [
            _model(candidates, precision, speed) for precision, speed in candidates.speeds.items()
        ],
    }


def _model(candidates: Candidates, precision: Precision, speed: Speed) -> dict[str, Any]:
    if not isinstance(speed, MeasuredModel):
        return {
            "precision": precision,
            "fingerprint": "",
            "error_percent": None,
            "seconds": 0.0,
            "estimate": True,
            "staircase": None,
            "probes": [],
        }
    load = candidates.load
    probes = []
    for probe in speed.probes:
        work = load.of(probe.setting)
        found = speed.model.predict([work])[0]
        probes.append(
            {
                "name": described(probe.setting),
                "image_size": probe.image_size,
                "tokens": sum(work.attention),
                "pixels": work.pixels,
                "ms": probe.ms,
                "predicted_ms": found.ms,
                "low_ms": found.low,
                "high_ms": found.high,
                "disturbed": probe.disturbed,
            }
        )
    return {
        "precision": precision,
        "fingerprint": fingerprint(speed.device),
        "error_percent": 100 * speed.model.error,
        "seconds": speed.seconds,
        "estimate": False,
        "staircase": _staircase(speed),
        "probes": probes,
    }


def _staircase(speed: MeasuredModel) -> dict[str, Any] | None:
    if not speed.model.dim:
        return None
    most = int(speed.model.knots.tokens[-1])
    tokens = sorted({max(1, round(most * step / _STEPS)) for step in range(1, _STEPS + 1)})
    return {"tokens": tokens, "block_ms": speed.model.block_ms(tokens)}


def _points(profiled: Profiled, finalists: Sequence[Finalist]) -> Iterator[dict[str, Any]]:
    candidates = profiled.candidates
    own = {one.way: one for one in finalists if one.candidates is candidates}
    ways = {Way(setting, p): None for setting in profiled.known for p in candidates.speeds}
    for way in [*ways, *(way for way in own if way not in ways)]:
        finalist = own.get(way)
        known = way.precision in candidates.speeds
        prediction = candidates.predict([way])[0] if known else None
        accuracy = finalist.accuracy if finalist is not None else profiled.known[way.setting]
        option = finalist.option() if finalist is not None else None
        size, rate, method = way.setting
        yield {
            "run": candidates.title,
            "name": described(way.setting),
            "setting": {"image_size": size, "keep_rate": rate, "method": method},
            "precision": way.precision,
            "predicted": prediction._asdict() if prediction is not None else None,
            "measured": {
                "p50_ms": option.latency_ms,
                "p99_ms": option.p99_ms,
                "certified": option.certified,
            }
            if option is not None and option.measured
            else None,
            "accuracy": accuracy._asdict(),
            "accuracy_of": "bundle" if option is not None and option.measured else "torch",
            "role": _role(finalist, finalists),
        }


def _role(finalist: Finalist | None, finalists: Sequence[Finalist]) -> str:
    if finalist is None:
        return ""
    return "chosen" if finalist is finalists[0] else "runner-up"


def _costs(points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the most accurate point for each latency, ascending."""

    def ms(point: Mapping[str, Any]) -> float:
        known = point["measured"]
        return float(known["p50_ms"] if known else point["predicted"]["ms"])

    found: list[dict[str, Any]] = []
    costs = [(ms(point), -point["accuracy"]["top1"]) for point in points]
    for place in sorted(range(len(points)), key=costs.__getitem__):
        top1 = points[place]["accuracy"]["top1"]
        if not found or top1 > found[-1]["top1"]:
            found.append({"latency_ms": ms(points[place]), "top1": top1, "point": place})
    return found
