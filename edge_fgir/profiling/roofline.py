"""What a device would take by its data sheet: an estimate, never a measurement.

Williams et al. 2009 (Communications of the ACM 52): the arithmetic at its peak, or the weights at
the memory's bandwidth, whichever takes longer. No network reaches either, so a share of them is
assumed, and the interval is as wide as our doubt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_fgir._errors import InputError
from edge_fgir.benchmarking import Descriptor
from edge_fgir.profiling.features import SMOOTH, Tile
from edge_fgir.profiling.latency_model import Prediction
from edge_fgir.profiling.workload import Work, Workload
from edge_fgir.runtime import Precision, is_int8

REACHED = 0.35
"""Share of peak and bandwidth that is reached at batch 1."""

WEIGHT_BYTES: dict[Precision, int] = {"int8": 1, "int8-bf16": 1, "bf16": 2, "fp16": 2, "fp32": 4}
"""Of one weight in a model file."""

_COMPUTED: tuple[Precision, ...] = ("int8", "fp16", "fp32")
"""What data sheets have peaks of, the narrowest first; bfloat16 is taken for float32."""
_DOUBT = 3.0


@dataclass(frozen=True)
class Roofline:
    """Estimates latencies from a descriptor.

    Args:
        workload: The model.
        peak: 10^12 dense operations a second.
        bandwidth_gbs: Memory, GB/s.
        precision: Of the weights.
    """

    workload: Workload
    peak: float
    bandwidth_gbs: float
    precision: Precision

    @classmethod
    def of(cls, device: Descriptor, workload: Workload, precision: Precision) -> Roofline:
        """Take the figures of a descriptor, in its default power mode.

        Raises:
            InputError: It does not tell enough.
        """
        # A unit that lacks a precision computes it in the next wider one, never in a narrower one.
        narrowest = "int8" if is_int8(precision) else "fp16" if precision == "fp16" else "fp32"
        wider = _COMPUTED[_COMPUTED.index(narrowest) :]
        peaks = [
            next(figures[computed].value for computed in wider if computed in figures)
            for figures in device.peaks().values()
            if not figures.keys().isdisjoint(wider)
        ]
        bandwidth = device.power_modes[device.default_mode].bandwidth_gbs
        if not peaks or bandwidth is None:
            raise InputError(
                f"device {device.id} has no peak or no bandwidth in its default power mode",
                "a descriptor with both",
                f"measure on it: --device user@host; see edge-fgir devices show {device.id}",
            )
        return cls(workload, max(peaks), bandwidth.value, precision)

    @property
    def tail(self) -> float:
        """The 99th percentile over the median: nothing is known, so none is added."""
        return 1.0

    @property
    def tile(self) -> Tile:
        """No tiles of tokens are known."""
        return SMOOTH

    def predict_frames(self, works: Sequence[Work], sizes: Sequence[int]) -> list[Prediction]:
        """Return estimates for works at their input sides; resizing the frame is not in them."""
        weights_ms = self.workload.params * WEIGHT_BYTES[self.precision] / self.bandwidth_gbs / 1e6
        predictions = []
        for work, _ in zip(works, sizes, strict=True):
            arithmetic_ms = 2 * self.workload.macs(work) / self.peak / 1e9
            ms = max(arithmetic_ms, weights_ms) / REACHED
            predictions.append(Prediction(ms, ms / _DOUBT, ms * _DOUBT))
        return predictions
