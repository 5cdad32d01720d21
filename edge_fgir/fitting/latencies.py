"""What candidates take on the device, before anything is trained: real graphs, random weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
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
from edge_fgir.fitting.recipes import Recipes
from edge_fgir.profiling import build_probes
from edge_fgir.runs import TrainedModel
from edge_fgir.runtime import Bundle, Precision

_DIGITS = 16
_PROTOCOL = PROBES.model_copy(update={"stop": StoppingRule(most=8, exact=0.01)})
"""Within a percent: what is chosen is measured again with its own weights."""
_ODD, _TIMES = 1.25, 3
"""A bundle that takes so many times what other sizes say is timed up to so often: other work may be
why."""


class Timed(BaseModel):
    """One network that was timed.

    Attributes:
        frame_ms: From a decoded frame to the label, median.
        tail: The 99th percentile over the median.
        size_mb: Of the model's files.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    frame_ms: float
    tail: float
    size_mb: float


class Latency(BaseModel):
    """What a candidate takes in a precision.

    Attributes:
        ms: From a decoded frame to the label, median.
        tail: The 99th percentile over the median.
        size_mb: Of the model's files.
        measured: At this input size; else interpolated.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    ms: float
    tail: float
    size_mb: float
    measured: bool


_STORED = TypeAdapter(dict[str, Timed])


class LatencyTable:
    """Times candidates; between the input sizes that were timed latency follows the pixels.

    Args:
        device: Where.
        target: How networks run there.
        data: For the number of classes.
        recipes: Say what a picture goes through before the network.
        file: Keeps what was timed; that of another device or runtime is not found.
    """

    def __init__(
        self, device: DeviceHandle, target: Target, data: DataSet, recipes: Recipes, file: Path
    ) -> None:
        self._device, self._target, self._data, self._file = device, target, data, file
        self._recipes, self._keys = recipes, dict[tuple[Candidate, Precision], str]()
        self._timed: dict[str, Timed] = stored(_STORED, file, {})
        self.refused: dict[Architecture, str] = {}

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """What candidates are timed in: INT8 first, then the target's float."""
        both: tuple[Precision, ...] = ("int8", self._target.float_precision)
        return tuple(each for each in both if each in self._target.precisions)

    def measure(
        self,
        candidates: Iterable[Candidate],
        tell: Callable[[str], None],
        until: Callable[[], bool] = lambda: True,
        *,
        again: bool = False,
    ) -> None:
        """Time what has not been timed yet; an architecture that cannot be built is ``refused``.

        All are timed in one run, in turns, so that what else the machine does hits all alike.

        Args:
            candidates: The architectures that matter most first; one is always timed.
            tell: Gets a line for the user.
            until: Says whether there is time to build another architecture.
            again: Time also what has been timed; of both the quicker counts.
        """
        wanted: dict[Architecture, list[Candidate]] = {}
        for each in candidates:
            if again or not self.is_measured(each):
                wanted.setdefault(each.architecture, []).append(each)
        with scratch() as name:
            built: dict[str, Bundle] = {}
            new: list[Candidate] = []
            for number, (architecture, missing) in enumerate(wanted.items()):
                if (built or self._timed) and not until():
                    if not any(map(self.is_measured, probes(architecture))):
                        self.refused[architecture] = "there was no time to measure its latency"
                    continue
                try:
                    built |= self._built(missing, name / str(number))
                except (GateError, InputError) as error:
                    self.refused[architecture] = str(error)
                else:
                    new += missing
            if not built:
                return
            expected = self._expected(new)
            for _ in range(_TIMES):
                self._time(built)
                slow = [k for k, ms in expected.items() if self._timed[k].frame_ms > _ODD * ms]
                built = {key: built[key] for key in slow}
                if not built or not until():
                    break
        write_json(self._file, {k: v.model_dump() for k, v in self._timed.items()})
        precision = self.precisions[0]
        for each in new:
            ms = self._timed[self._key(each, precision)].frame_ms
            tell(f"timed {each.name}: {ms:.2f} ms in {precision}")

    def _expected(self, candidates: Sequence[Candidate]) -> dict[str, float]:
        """Return what sizes that were timed before say of others, ms, by key."""
        expected = {}
        for each, precision in product(candidates, self.precisions):
            known = self._known(each, precision)
            if len(known) > 1:
                times = [timed.frame_ms for timed in known.values()]
                ms = interpolated(each.image_size, list(known), times)
                expected[self._key(each, precision)] = ms
        return expected

    def _time(self, built: Mapping[str, Bundle]) -> None:
        """Time bundles; of several timings of one the quickest counts."""
        timings = self._device.time(list(built.values()), _PROTOCOL)
        for (key, bundle), timing in zip(built.items(), timings, strict=True):
            size = bundle.model_size / 1e6
            new = Timed(frame_ms=timing.frame_ms, tail=timing.tail, size_mb=size)
            old = self._timed.get(key, new)
            self._timed[key] = min(new, old, key=lambda timed: timed.frame_ms)

    def is_measured(self, candidate: Candidate) -> bool:
        """Say whether a candidate was timed, at its own size and in every precision."""
        return all(self._key(candidate, each) in self._timed for each in self.precisions)

    def of(self, candidate: Candidate, precision: Precision) -> Latency | None:
        """Return what a candidate takes; None where its architecture was refused."""
        known = self._known(candidate, precision)
        if candidate.architecture in self.refused or not known:
            return None
        ms = interpolated(candidate.image_size, list(known), [t.frame_ms for t in known.values()])
        tail = float(np.median([t.tail for t in known.values()]))
        nearest = known[min(known, key=lambda size: abs(size - candidate.image_size))]
        measured = candidate.image_size in known
        return Latency(ms=ms, tail=tail, size_mb=nearest.size_mb, measured=measured)

    def _known(self, candidate: Candidate, precision: Precision) -> dict[int, Timed]:
        """Return what was timed of a candidate, by input size."""
        keys = {
            size: self._key(replace(candidate, image_size=size), precision)
            for size in candidate.architecture.sizes
        }
        return {size: self._timed[key] for size, key in keys.items() if key in self._timed}

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
            preprocess=self._recipes.preprocess(candidate),
            data=self._data.info,
        )

    def _key(self, candidate: Candidate, precision: Precision) -> str:
        if (candidate, precision) not in self._keys:
            facts = {
                "network": candidate.network().key(len(self._data.classes), candidate.image_size),
                "preprocess": self._recipes.preprocess(candidate).model_dump(mode="json"),
                "target": self._target.name,
                "precision": precision,
                "device": self._device.identity.model_dump(mode="json"),
                "versions": dict(self._device.versions),
            }
            key = sha256(json.dumps(facts, sort_keys=True).encode())[:_DIGITS]
            self._keys[candidate, precision] = key
        return self._keys[candidate, precision]


def interpolated(size: int, sizes: Sequence[int], ms: Sequence[float]) -> float:
    """Return the latency at a side, linear in the pixels between sides that were timed.

    Beyond them the nearest two go on; it never falls below a share of the nearest. A side that took
    longer than a larger one was disturbed, as other work only ever adds time: it says nothing.
    """
    pixels = np.square(np.asarray(sizes, float))
    order = np.argsort(pixels)
    pixels, times = pixels[order], np.asarray(ms, float)[order]
    undisturbed = times <= np.minimum.accumulate(times[::-1])[::-1]
    pixels, times = pixels[undisturbed], times[undisturbed]
    wanted = float(size) ** 2
    if len(pixels) == 1:
        return float(times[0] * wanted / pixels[0])
    place = int(np.clip(np.searchsorted(pixels, wanted), 1, len(pixels) - 1))
    (left, right), (low, high) = pixels[place - 1 : place + 1], times[place - 1 : place + 1]
    value = low + (high - low) * (wanted - left) / (right - left)
    if wanted < left:
        value = max(value, low * wanted / left)
    return float(max(value, high)) if wanted > right else float(value)


def probes(architecture: Architecture) -> list[Candidate]:
    """Return the candidates that tell what an architecture takes at any size."""
    rates = architecture.keep_rates or (None,)
    return [Candidate(architecture, size, rate) for rate in rates for size in architecture.probed]
