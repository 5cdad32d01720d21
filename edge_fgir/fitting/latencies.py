"""What candidates take on the device, before anything is trained: real graphs, random weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter

from edge_fgir._errors import GateError, InputError
from edge_fgir._files import scratch, sha256, write_json
from edge_fgir._refusal import stored
from edge_fgir.benchmarking import PROBES, DeviceHandle, StoppingRule
from edge_fgir.data import DataSet
from edge_fgir.exporting import Target
from edge_fgir.fitting.networks import Architecture, Candidate
from edge_fgir.profiling import build_probes
from edge_fgir.runs import TrainedModel
from edge_fgir.runtime import Bundle, Precision, Preprocess

_DIGITS = 16
_PROTOCOL = PROBES.model_copy(update={"stop": StoppingRule(most=8, exact=0.01)})
"""Within a percent: what is chosen is measured again with its own weights."""


class Timed(BaseModel):
    """One network that was timed.

    Attributes:
        frame_ms: From a decoded frame to the label, median.
        tail: The 99th percentile over the median.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    frame_ms: float
    tail: float


class Latency(BaseModel):
    """What a candidate takes in a precision.

    Attributes:
        ms: From a decoded frame to the label, median.
        tail: The 99th percentile over the median.
        measured: At this input size; else interpolated.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    ms: float
    tail: float
    measured: bool


_STORED = TypeAdapter(dict[str, Timed])


class LatencyTable:
    """Times architectures at a few input sizes each; between them latency follows the pixels.

    Args:
        device: Where.
        target: How networks run there.
        data: For the number of classes.
        file: Keeps what was timed; that of another device or runtime is not found.
    """

    def __init__(self, device: DeviceHandle, target: Target, data: DataSet, file: Path) -> None:
        self._device, self._target, self._data, self._file = device, target, data, file
        self._timed: dict[str, Timed] = stored(_STORED, file, {})
        self.refused: dict[Architecture, str] = {}

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """What candidates are timed in: INT8 first, then the target's float."""
        both: tuple[Precision, ...] = ("int8", self._target.float_precision)
        return tuple(each for each in both if each in self._target.precisions)

    def measure(
        self,
        architectures: Iterable[Architecture],
        tell: Callable[[str], None],
        until: Callable[[], bool] = lambda: True,
    ) -> None:
        """Time what has not been timed yet; an architecture that cannot be built is ``refused``.

        All are timed in one run, in turns, so that what else the machine does hits all alike.

        Args:
            architectures: The ones that matter most first; one is always timed.
            tell: Gets a line for the user.
            until: Says whether there is time to build another one.
        """
        with scratch() as name:
            built: dict[str, Bundle] = {}
            new: list[Architecture] = []
            for number, architecture in enumerate(architectures):
                missing = [each for each in _probes(architecture) if not self._is_known(each)]
                if not missing:
                    continue
                if (built or self._timed) and not until():
                    self.refused[architecture] = "there was no time to measure its latency"
                    continue
                try:
                    built |= self._built(missing, name / str(number))
                except (GateError, InputError) as error:
                    self.refused[architecture] = str(error)
                else:
                    new.append(architecture)
            if not built:
                return
            timings = self._device.time(list(built.values()), _PROTOCOL)
        for key, timing in zip(built, timings, strict=True):
            self._timed[key] = Timed(frame_ms=timing.frame_ms, tail=timing.tail)
        write_json(self._file, {k: v.model_dump() for k, v in self._timed.items()})
        for architecture in new:
            tell(f"timed {architecture.title}: {self._range(architecture)}")

    def _is_known(self, candidate: Candidate) -> bool:
        return all(self._key(candidate, each) in self._timed for each in self.precisions)

    def of(self, candidate: Candidate, precision: Precision) -> Latency | None:
        """Return what a candidate takes; None where its architecture was refused."""
        probes = [each for each in _probes(candidate.architecture) if _alike(each, candidate)]
        timed = [self._timed.get(self._key(each, precision)) for each in probes]
        known = [(p.image_size, t) for p, t in zip(probes, timed, strict=True) if t is not None]
        if candidate.architecture in self.refused or not known:
            return None
        ms = interpolated(
            candidate.image_size, [size for size, _ in known], [t.frame_ms for _, t in known]
        )
        tail = float(np.median([t.tail for _, t in known]))
        at_size = any(size == candidate.image_size for size, _ in known)
        return Latency(ms=ms, tail=tail, measured=at_size)

    def _range(self, architecture: Architecture) -> str:
        first, *_, last = _probes(architecture)
        precision = self.precisions[0]
        low, high = (self._timed[self._key(each, precision)].frame_ms for each in (first, last))
        return (
            f"{low:.2f} ms at {first.image_size} px, {high:.2f} ms at {last.image_size} px "
            f"({precision})"
        )

    def _built(self, candidates: Sequence[Candidate], folder: Path) -> dict[str, Bundle]:
        """Return bundles of random weights in every precision, by key."""
        described = [self.described(each) for each in candidates]
        built: dict[str, Bundle] = {}
        folder.mkdir()
        for precision in self.precisions:
            out = folder / precision
            bundles = build_probes(described, self._target, precision, folder, out)
            keys = [self._key(each, precision) for each in candidates]
            built |= dict(zip(keys, bundles, strict=True))
        return built

    def described(self, candidate: Candidate) -> TrainedModel:
        """Return a candidate as a run would describe it."""
        return TrainedModel(
            name=candidate.architecture.name,
            network=candidate.network(),
            num_classes=len(self._data.classes),
            normalization=candidate.architecture.normalization,
            preprocess=Preprocess(size=candidate.image_size, kernel="bicubic", shrink="blocks"),
            data=self._data.info,
        )

    def _key(self, candidate: Candidate, precision: Precision) -> str:
        facts = {
            "network": candidate.network().key(len(self._data.classes), candidate.image_size),
            "target": self._target.name,
            "precision": precision,
            "device": self._device.identity.model_dump(mode="json"),
            "versions": dict(self._device.versions),
        }
        return sha256(json.dumps(facts, sort_keys=True).encode())[:_DIGITS]


def interpolated(size: int, sizes: Sequence[int], ms: Sequence[float]) -> float:
    """Return the latency at a side, linear in the pixels between sides that were timed.

    Beyond them the nearest two go on; it never falls below a share of the nearest.
    """
    pixels = np.square(np.asarray(sizes, float))
    order = np.argsort(pixels)
    pixels, times = pixels[order], np.asarray(ms, float)[order]
    wanted = float(size) ** 2
    if len(pixels) == 1:
        return float(times[0] * wanted / pixels[0])
    place = int(np.clip(np.searchsorted(pixels, wanted), 1, len(pixels) - 1))
    (left, right), (low, high) = pixels[place - 1 : place + 1], times[place - 1 : place + 1]
    value = low + (high - low) * (wanted - left) / (right - left)
    nearest = low if wanted < left else high
    return float(max(value, nearest * min(wanted / (left if wanted < left else right), 1.0)))


def _probes(architecture: Architecture) -> list[Candidate]:
    rates = architecture.keep_rates or (None,)
    return [Candidate(architecture, size, rate) for rate in rates for size in architecture.probed]


def _alike(first: Candidate, second: Candidate) -> bool:
    return (first.architecture, first.keep_rate) == (second.architecture, second.keep_rate)
