"""Gates between the stages of an export: measured, recorded, and closed when a bound is broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edge_fgir._errors import GateError
from edge_fgir.evaluation import drop_interval, macro, per_class, top_k
from edge_fgir.results import Gates, ParityReport, Stage
from edge_fgir.runtime import is_int8

Explain = Callable[[], str]
"""Says where the numbers part; asked only when a gate closes."""


def compare(
    name: str,
    reference: npt.NDArray[np.float32],
    logits: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
) -> Stage:
    """Compare logits (N, K) with torch's, ``reference``."""
    delta = _centred(reference) - _centred(logits)
    top1 = top_k(logits, labels, 1)
    classes = zip(per_class(reference, labels), per_class(logits, labels), strict=True)
    return Stage(
        name=name,
        top1=top1,
        macro=macro(logits, labels),
        top1_drop=top_k(reference, labels, 1) - top1,
        drop_interval=drop_interval(
            reference.argmax(axis=1) == labels, logits.argmax(axis=1) == labels
        ),
        agreement=float(100 * (reference.argmax(axis=1) == logits.argmax(axis=1)).mean()),
        max_delta_logit=_finite(np.abs(delta).max()),
        rms_delta_logit=_finite(np.sqrt(np.square(delta).mean())),
        class_drops=tuple(None if a is None or b is None else a - b for a, b in classes),
    )


@dataclass
class ParityGates:
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

    def add(
        self,
        name: str,
        logits: npt.NDArray[np.float32],
        *,
        exact: bool = False,
        explain: Explain = str,
    ) -> Stage:
        """Record a stage.

        Args:
            name: For the report.
            logits: (N, K) of the same images.
            exact: The stage computes the same thing in float32; the logits themselves must agree.
            explain: Asked where the numbers part if the gate closes.

        Raises:
            GateError: The stage breaks a bound.
        """
        stage = compare(name, self.reference, logits, self.labels)
        stage = stage.model_copy(update={"certified": self.certified(stage)})
        self.stages.append(stage)
        broken = self.broken(stage, exact=exact)
        if broken:
            where = explain()
            raise GateError(
                f"gate '{name}' failed on {len(self.labels)} validation images: {broken}; "
                f"{where + '; ' if where else ''}no bundle was written; {self._remedy(name)}"
            )
        return stage

    def broken(self, stage: Stage, *, exact: bool = False) -> str:
        """Say which bound a stage breaks; empty if none."""
        gates = self.gates
        if stage.max_delta_logit is None:
            return "outputs that are not numbers, expected finite outputs"
        if exact and stage.max_delta_logit > gates.max_delta_logit:
            return (
                f"logits differ by {stage.max_delta_logit:.2g}, "
                f"expected at most {gates.max_delta_logit:g}"
            )
        if stage.agreement < gates.min_agreement:
            return (
                f"{stage.agreement:.1f} % of the labels agree, "
                f"expected at least {gates.min_agreement:g} %"
            )
        if stage.top1_drop > gates.max_top1_drop:
            return (
                f"top-1 falls by {stage.top1_drop:.2f} points, "
                f"expected at most {gates.max_top1_drop:g}"
            )
        return ""

    def certified(self, stage: Stage) -> bool:
        """Say whether the images are enough to be 95 % sure that the drop is within the bound."""
        return stage.drop_interval[1] <= self.gates.max_top1_drop

    @staticmethod
    def _remedy(name: str) -> str:
        if name in ("folded", "onnx", "fp32"):
            return "no option helps: this is an error of the export, please report it"
        if is_int8(name):
            return "try --precision auto, --qat-epochs or --max-drop"
        return "try --precision fp32"

    def report(self) -> ParityReport:
        """Return the report of all stages."""
        return ParityReport(
            images=len(self.labels),
            torch_top1=top_k(self.reference, self.labels, 1),
            bounds=self.gates,
            stages=tuple(self.stages),
        )


def _finite(value: np.floating) -> float | None:
    return float(value) if np.isfinite(value) else None


def _centred(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    centred: npt.NDArray[np.float32] = logits - logits.mean(axis=1, keepdims=True)
    return centred
