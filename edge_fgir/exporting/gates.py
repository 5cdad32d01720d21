"""Gates between the stages of an export: measured, recorded, and closed when a bound is broken."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_fgir._errors import GateError
from edge_fgir.benchmarking.accuracy import macro, top_k
from edge_fgir.exporting.target import Gates


@dataclass(frozen=True)
class Stage:
    """One stage compared with torch on the validation split.

    Attributes:
        name: Stage.
        top1: Percent.
        macro: Percent.
        top1_drop: Points below torch; negative where the stage is better.
        agreement: Images with torch's top-1, percent.
        max_delta_logit: Largest difference of a logit, after each row's mean is taken off:
            probabilities give logits only up to a constant.
    """

    name: str
    top1: float
    macro: float
    top1_drop: float
    agreement: float
    max_delta_logit: float


@dataclass
class ParityReport:
    """Compares each stage with torch; raises where a bound is broken.

    Args:
        reference: Torch's logits (N, K) on the validation split.
        labels: (N,).
        gates: The target's bounds.
    """

    reference: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    gates: Gates
    stages: list[Stage] = field(default_factory=list)

    def add(self, name: str, logits: npt.NDArray[np.float32], *, exact: bool = False) -> Stage:
        """Record a stage.

        Args:
            name: For the report.
            logits: (N, K) of the same images.
            exact: The stage computes the same thing in float32; the logits themselves must agree.

        Raises:
            GateError: The stage breaks a bound.
        """
        same = self.reference.argmax(axis=1) == logits.argmax(axis=1)
        top1 = top_k(logits, self.labels, 1)
        stage = Stage(
            name=name,
            top1=top1,
            macro=macro(logits, self.labels),
            top1_drop=top_k(self.reference, self.labels, 1) - top1,
            agreement=float(100 * same.mean()),
            max_delta_logit=float(np.abs(_centred(self.reference) - _centred(logits)).max()),
        )
        self.stages.append(stage)
        self._check(stage, exact)
        return stage

    def _check(self, stage: Stage, exact: bool) -> None:
        if not np.isfinite(stage.max_delta_logit):
            self._close(stage, "outputs that are not numbers", "finite outputs")
        if exact and stage.max_delta_logit > self.gates.max_delta_logit:
            self._close(
                stage,
                f"logits differ by {stage.max_delta_logit:.2g}",
                f"at most {self.gates.max_delta_logit:g}",
            )
        if stage.agreement < self.gates.min_agreement:
            self._close(
                stage,
                f"{stage.agreement:.1f} % of the labels agree",
                f"at least {self.gates.min_agreement:g} %",
            )
        if stage.top1_drop > self.gates.max_top1_drop:
            self._close(
                stage,
                f"top-1 falls by {stage.top1_drop:.2f} points",
                f"at most {self.gates.max_top1_drop:g}",
            )

    def _close(self, stage: Stage, found: str, bound: str) -> None:
        raise GateError(
            f"gate '{stage.name}' failed on {len(self.labels)} validation images: {found}, "
            f"expected {bound}; no bundle was written; try --precision fp32"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return ``reports/parity.json``."""
        return {
            "images": len(self.labels),
            "torch_top1": top_k(self.reference, self.labels, 1),
            "bounds": self.gates.model_dump(),
            "stages": [asdict(stage) for stage in self.stages],
        }


def _centred(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    centred: npt.NDArray[np.float32] = logits - logits.mean(axis=1, keepdims=True)
    return centred
