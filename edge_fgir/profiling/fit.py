"""A latency model that was fitted to measurements, and where it comes from; kept as JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from edge_fgir._errors import InputError
from edge_fgir._files import read_file, scratch, sha256, to_json, write_atomic
from edge_fgir._refusal import validated
from edge_fgir.benchmarking import PROBES, DeviceHandle, Identity, Protocol, Timing
from edge_fgir.exporting import Target
from edge_fgir.models import Setting
from edge_fgir.models.reduction import KeepRate, ReductionName
from edge_fgir.profiling.features import Knots, Tile
from edge_fgir.profiling.latency_model import LatencyModel, Prediction
from edge_fgir.profiling.probe_bundles import build_probes
from edge_fgir.profiling.probes import MOST_PROBES, TRANSFER_PROBES, choose_probes
from edge_fgir.profiling.search_space import SearchSpace
from edge_fgir.profiling.workload import Work, Workload
from edge_fgir.runs import TrainedModel
from edge_fgir.runtime import Bundle, Precision

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
        """The setting that was timed."""
        return Setting(self.image_size, self.keep_rate, self.method)


class FittedModel(_Part):
    """How fast one architecture is on one device, runtime and precision."""

    schema_: Annotated[Literal["edge-fgir/latency-model/1"], Field(alias="schema")] = SCHEMA
    architecture: Annotated[str, Field(description="hash of what the graph is built from")]
    blocks: Annotated[int, Field(ge=0, description="of the transformer; 0: a CNN")]
    device: Identity
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

    @property
    def tile(self) -> Tile:
        """The tiles of tokens that the device works in."""
        return self.model.tile

    @property
    def disturbed(self) -> int:
        """How many probes something else disturbed."""
        return sum(probe.disturbed for probe in self.probes)

    def save(self, path: Path) -> None:
        """Write the model as JSON, atomically."""
        write_atomic(path, to_json(self.model_dump(mode="json", by_alias=True)))

    @classmethod
    def read(cls, path: Path) -> FittedModel:
        """Read a model.

        Raises:
            InputError: The file is missing, or holds something else.
        """
        content = read_file(path, "a latency model")
        return validated(cls, content, path, f"schema {SCHEMA}")

    def check(self, device: Identity | None, target: str, source: Path) -> None:
        """Compare the model with what it is to be used for.

        Args:
            device: What it is to predict; None: a device that is not at hand.
            target: Export target.
            source: Where the model is from, for messages.

        Raises:
            InputError: It is about another target or device.
        """
        if target != self.target:
            raise InputError(f"{source} is for target {self.target}", target)
        if device is not None and device != self.device:
            raise InputError(
                f"{source} was measured on {self.device.told_from(device)}",
                f"this device, {device.told_from(self.device)}",
                "leave --calibration out to measure here",
            )


@dataclass(frozen=True)
class ProbedModel:
    """A model whose settings are timed on a device.

    Attributes:
        trained: The model.
        space: All settings that may be asked for.
        target: How the device runs it.
        device: The device; None: it is not at hand.
        protocol: How probes are timed.
    """

    trained: TrainedModel
    space: SearchSpace
    target: Target
    device: DeviceHandle | None
    protocol: Protocol = PROBES

    @property
    def identity(self) -> Identity | None:
        """Of the device; None: it is not at hand."""
        return self.device.identity if self.device is not None else None


def architecture_key(trained: TrainedModel) -> str:
    """Return a hash of what a network's speed depends on beside its setting."""
    network = trained.network
    if network.reduction is not None:
        anywhere = network.reduction.model_copy(update={"keep_rate": 1.0, "method": "none"})
        network = network.model_copy(update={"reduction": anywhere})
    facts = [network.key(trained.num_classes), trained.preprocess.model_dump(exclude={"size"})]
    return sha256(json.dumps(facts, sort_keys=True).encode())[:_DIGITS]


def fit_model(
    probed: ProbedModel,
    device: DeviceHandle,
    precision: Precision,
    graphs: Path,
    relative: FittedModel | None = None,
) -> FittedModel:
    """Time probes on a device and fit a latency model to them.

    Args:
        probed: What is timed.
        device: Where.
        precision: One of the target's.
        graphs: Folder of the probes' graphs; see
            :func:`~edge_fgir.profiling.probe_bundles.build_probes`.
        relative: What was measured there of the same architecture in another width: then four
            probes are enough.
    """
    began = time.monotonic()
    load = Workload(probed.trained)
    settings = list(probed.space.whole())
    works = [load.of(setting) for setting in settings]
    count = MOST_PROBES if relative is None else TRANSFER_PROBES
    chosen = [settings[index] for index in choose_probes(works, load, count)]
    timings = _timings(probed, device, chosen, precision, graphs)
    # A probe that something else disturbed is kept and flagged, but the fit does without it.
    steady = [index for index, timing in enumerate(timings) if not timing.disturbed]
    used = steady if len(steady) > len(timings) // 2 else list(range(len(timings)))
    measured = [load.of(chosen[index]) for index in used]
    ms = [timings[index].network_ms for index in used]
    model = (
        LatencyModel.fit(measured, ms, load.dim, Knots.over(works))
        if relative is None
        else relative.model.transferred(measured, ms, load.dim)
    )
    return FittedModel(
        architecture=architecture_key(probed.trained),
        blocks=len(works[0].attention),
        device=device.identity,
        target=probed.target.name,
        precision=precision,
        versions=dict(device.versions),
        probes=tuple(
            Probe(
                image_size=setting.image_size,
                keep_rate=setting.keep_rate,
                method=setting.method,
                ms=timing.network_ms,
                frame_ms=timing.frame_ms,
                tail=timing.tail,
                disturbed=timing.disturbed,
            )
            for setting, timing in zip(chosen, timings, strict=True)
        ),
        model=model,
        seconds=time.monotonic() - began,
    )


def _timings(
    probed: ProbedModel,
    device: DeviceHandle,
    settings: Sequence[Setting],
    precision: Precision,
    graphs: Path,
) -> list[Timing]:
    models = [probed.trained.at(setting) for setting in settings]
    timings: list[Timing] = []
    with scratch() as name:
        bundles = build_probes(models, probed.target, precision, graphs, name)
        for group in _groups(bundles):
            timings += device.time(group, probed.protocol)
    return timings


def _groups(bundles: Sequence[Bundle]) -> Iterator[list[Bundle]]:
    group: list[Bundle] = []
    for bundle in bundles:
        if group and sum(each.model_size for each in [*group, bundle]) > _AT_ONCE_BYTES:
            yield group
            group = []
        group.append(bundle)
    yield group
