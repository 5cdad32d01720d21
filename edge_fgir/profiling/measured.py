"""A latency model and where it comes from: the probes, the device; kept as JSON."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from edge_fgir._errors import InputError
from edge_fgir._files import sha256, to_json, write_atomic
from edge_fgir._refusal import validated
from edge_fgir.exporting import Target
from edge_fgir.models.reduction import KeepRate, ReductionName
from edge_fgir.models.setting import Setting
from edge_fgir.models.trained import TrainedModel
from edge_fgir.profiling.builds import build_probes
from edge_fgir.profiling.design import Knots
from edge_fgir.profiling.latency_model import LatencyModel, Prediction
from edge_fgir.profiling.probes import MOST_PROBES, TRANSFER_PROBES, choose_probes
from edge_fgir.profiling.rigs import Rig, Timed
from edge_fgir.profiling.work import Work, Workload
from edge_fgir.runtime import Bundle
from edge_fgir.runtime.manifest import Precision

SCHEMA: Literal["edge-fgir/latency-model/1"] = "edge-fgir/latency-model/1"
_AT_ONCE_BYTES = 1_500_000_000
"""Model files that are open at the same time."""
_DIGITS = 16


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Probe(_Part):
    """One setting that was timed."""

    image_size: int
    keep_rate: KeepRate | None
    method: ReductionName | None
    ms: Annotated[float, Field(gt=0, description="network alone, median")]
    frame_ms: Annotated[float, Field(gt=0, description="frame to decision, median")]
    tail: Annotated[float, Field(ge=1, description="p99 over p50")]
    disturbed: bool

    @property
    def setting(self) -> Setting:
        """What was timed."""
        return Setting(self.image_size, self.keep_rate, self.method)


class MeasuredModel(_Part):
    """How fast one architecture is on one device, runtime and precision."""

    schema_: Annotated[Literal["edge-fgir/latency-model/1"], Field(alias="schema")] = SCHEMA
    architecture: Annotated[str, Field(description="hash of what the graph is built from")]
    blocks: Annotated[int, Field(ge=0, description="of the transformer; 0: a CNN")]
    device: Annotated[dict[str, Any], Field(description="identity")]
    target: str
    precision: Precision
    versions: Annotated[dict[str, str], Field(description="of the runtimes there")]
    probes: tuple[Probe, ...]
    model: LatencyModel
    seconds: Annotated[float, Field(description="that probing took")]

    def predict_frames(self, works: Sequence[Work], sizes: Sequence[int]) -> list[Prediction]:
        """Return predictions from frame to decision.

        Args:
            works: What to predict.
            sizes: Their input sides, pixels.
        """
        known = sorted({probe.image_size for probe in self.probes})
        # What comes on top of the network by input side: resizing the frame, the answer.
        extra = [
            float(np.median([p.frame_ms - p.ms for p in self.probes if p.image_size == size]))
            for size in known
        ]
        on_top = np.interp(sizes, known, extra)
        return [
            Prediction(*(value + above for value in prediction))
            for above, prediction in zip(on_top.tolist(), self.model.predict(works), strict=True)
        ]

    @property
    def tail(self) -> float:
        """The typical 99th percentile over the median."""
        tails = sorted(probe.tail for probe in self.probes)
        return tails[len(tails) // 2]

    def save(self, path: Path) -> None:
        """Write it."""
        write_atomic(path, to_json(self.model_dump(mode="json", by_alias=True)))

    @classmethod
    def read(cls, path: Path) -> MeasuredModel:
        """Read one.

        Raises:
            InputError: It is none.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}", "a latency model") from error
        return validated(cls, content, path, f"schema {SCHEMA}")

    def check(self, identity: dict[str, Any], target: str, source: Path) -> None:
        """Raise InputError unless it is about this device and target."""
        if target != self.target:
            raise InputError(f"{source} is for target {self.target}", target)
        if identity and identity != self.device:
            theirs, ours = _told_apart(self.device, identity)
            raise InputError(
                f"{source} was measured on {theirs}",
                f"this device, {ours}",
                "leave --calibration out to measure here",
            )


def architecture_key(trained: TrainedModel) -> str:
    """Return a hash of what a network's speed depends on beside its setting."""
    network = trained.network
    if network.reduction is not None:
        anywhere = network.reduction.model_copy(update={"keep_rate": 1.0, "method": "none"})
        network = network.model_copy(update={"reduction": anywhere})
    facts = [network.key(trained.num_classes), trained.preprocess.model_dump(exclude={"size"})]
    return sha256(json.dumps(facts, sort_keys=True).encode())[:_DIGITS]


def measure_model(
    trained: TrainedModel,
    settings: Sequence[Setting],
    target: Target,
    precision: Precision,
    rig: Rig,
    graphs: Path,
    relative: MeasuredModel | None = None,
) -> MeasuredModel:
    """Probe a device and fit its latency model.

    Args:
        trained: The model.
        settings: All that may be asked for.
        target: How the device runs it.
        precision: One of the target's.
        rig: The device.
        graphs: Folder of the probes' graphs, by :func:`~edge_fgir.profiling.builds.build_probes`.
        relative: What was measured there of the same architecture in another width: then four
            probes are enough.
    """
    began = time.monotonic()
    load = Workload(trained)
    works = [load.of(setting) for setting in settings]
    count = MOST_PROBES if relative is None else TRANSFER_PROBES
    chosen = [settings[place] for place in choose_probes(works, load, count)]
    timed = _timed(trained, chosen, target, precision, rig, graphs)
    # A probe that something else disturbed is kept and flagged, but the fit does without it.
    steady = [place for place, one in enumerate(timed) if not one.disturbed]
    used = steady if len(steady) > len(timed) // 2 else list(range(len(timed)))
    found = [load.of(chosen[place]) for place in used]
    ms = [timed[place].network_ms for place in used]
    model = (
        LatencyModel.fit(found, ms, load.dim, Knots.over(works))
        if relative is None
        else relative.model.transferred(found, ms, load.dim)
    )
    return MeasuredModel(
        architecture=architecture_key(trained),
        blocks=len(works[0].attention),
        device=rig.identity(),
        target=target.name,
        precision=precision,
        versions=rig.versions(),
        probes=tuple(
            Probe(
                image_size=setting.image_size,
                keep_rate=setting.keep_rate,
                method=setting.method,
                ms=one.network_ms,
                frame_ms=one.frame_ms,
                tail=max(one.tail, 1.0),
                disturbed=one.disturbed,
            )
            for setting, one in zip(chosen, timed, strict=True)
        ),
        model=model,
        seconds=time.monotonic() - began,
    )


def _timed(
    trained: TrainedModel,
    settings: Sequence[Setting],
    target: Target,
    precision: Precision,
    rig: Rig,
    graphs: Path,
) -> list[Timed]:
    described = [
        trained.at(
            image_size=setting.image_size, keep_rate=setting.keep_rate, method=setting.method
        )
        for setting in settings
    ]
    found: list[Timed] = []
    with tempfile.TemporaryDirectory() as name:
        bundles = build_probes(described, target, precision, graphs, Path(name))
        for group in _groups(bundles):
            found += rig.time(group)
    return found


def _groups(bundles: Sequence[Bundle]) -> Iterator[list[Bundle]]:
    group: list[Bundle] = []
    for bundle in bundles:
        if group and sum(one.model_size for one in [*group, bundle]) > _AT_ONCE_BYTES:
            yield group
            group = []
        group.append(bundle)
    yield group


def _told_apart(one: dict[str, Any], other: dict[str, Any]) -> tuple[str, str]:
    """Return names of two devices: with the first thing that differs where these are the same."""
    if _named(one) != _named(other):
        return _named(one), _named(other)
    key = next(key for key in {**other, **one} if one.get(key) != other.get(key))
    first, second = (f"{_named(each)} with {key} {each.get(key)}" for each in (one, other))
    return first, second


def _named(identity: dict[str, Any]) -> str:
    return str(identity.get("board") or identity.get("processor") or "an unknown device")
