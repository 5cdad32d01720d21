"""Gates between the stages of an export: measured, recorded, and closed when a bound is broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from edge_fgir._errors import GateError
from edge_fgir.evaluation import Views, compare_models, drop_interval, macro, per_class, top_k
from edge_fgir.exporting.graph import Logits
from edge_fgir.exporting.spread import spread_evenly
from edge_fgir.results import Gates, ParityReport, RegionsReport, Stage
from edge_fgir.runtime import is_int8

_SAME = 0.1
"""How far a bundle's logits may be from those of the form that it was made of, as a share."""

_FEW = 64
"""Images on which forms are compared that compute the same numbers."""

Explain = Callable[[], str]
"""Says where the numbers part; asked only when a gate closes."""


@dataclass
class ParityGates:
    """Compares each stage with torch; raises where the evidence says that a bound is broken.

    Args:
        reference: Torch's logits (N, K) on the validation split.
        labels: (N,).
        gates: The target's bounds.
        few_shot: (N,) the images of classes with few training pictures; None: there are none.
        partial: These are not all images of the split.
        peers: ``reference`` is of another network: what is compared may also be better than it.
    """

    reference: Logits
    labels: npt.NDArray[np.int64]
    gates: Gates
    few_shot: npt.NDArray[np.bool_] | None = None
    stages: list[Stage] = field(default_factory=list)
    partial: bool = False
    peers: bool = False

    @property
    def few(self) -> npt.NDArray[np.int64]:
        """Rows that are spread evenly over the images: whether a form computes the same numbers
        as torch shows on each image."""
        return spread_evenly(len(self.labels), _FEW)

    def on(self, rows: npt.NDArray[np.int64]) -> ParityGates:
        """Return gates on some of the images, which record their stages among these."""
        return replace(
            self,
            reference=self.reference[rows],
            labels=self.labels[rows],
            few_shot=None if self.few_shot is None else self.few_shot[rows],
            partial=True,
        )

    def compared(self, name: str, logits: Logits, views: Views | None = None) -> Stage:
        """Compare logits (N, K) with torch's.

        Args:
            name: For the report.
            logits: Of the validation split.
            views: More pictures that both were asked about.
        """
        reference, labels = self.reference, self.labels
        delta = _centred(reference) - _centred(logits)
        verdict, few_shot = None, None
        if np.isfinite(logits).all():
            decide = partial(
                compare_models, reference, logits, labels, views=views, peers=self.peers
            )
            verdict = decide(self.gates.max_top1_drop)
            if self.few_shot is not None and self.few_shot.any():
                few_shot = decide(self._few_shot_bound, among=self.few_shot)
        top1 = top_k(logits, labels, 1)
        classes = zip(per_class(reference, labels), per_class(logits, labels), strict=True)
        return Stage(
            name=name,
            images=len(labels) if self.partial else None,
            top1=top1,
            macro=macro(logits, labels),
            top1_drop=top_k(reference, labels, 1) - top1,
            drop_interval=drop_interval(
                reference.argmax(axis=1) == labels, logits.argmax(axis=1) == labels
            ),
            agreement=float(100 * (reference.argmax(axis=1) == logits.argmax(axis=1)).mean()),
            max_delta_logit=_finite(np.abs(delta).max()),
            rms_delta_logit=_finite(np.sqrt(np.square(delta).mean())),
            verdict=verdict,
            few_shot=few_shot,
            class_drops=tuple(None if a is None or b is None else a - b for a, b in classes),
            certified=all(each is None or each.state == "certified" for each in (verdict, few_shot))
            and verdict is not None,
        )

    def add(
        self,
        name: str,
        logits: Logits,
        *,
        exact: bool = False,
        views: Views | None = None,
        explain: Explain = str,
    ) -> Stage:
        """Record a stage.

        Args:
            name: For the report.
            logits: (N, K) of the same images.
            exact: The stage computes the same thing in float32; the logits themselves must agree.
            views: More pictures that torch and the stage were asked about.
            explain: Asked where the numbers part if the gate closes.

        Raises:
            GateError: The stage breaks a bound.
        """
        stage = self.compared(name, logits, views)
        if exact:  # The logits themselves are held against torch's: nothing is left to chance.
            stage = stage.model_copy(update={"certified": True})
        self.stages.append(stage)
        broken = self.broken(stage, exact=exact)
        if broken:
            where = explain()
            raise GateError(
                f"gate '{name}' failed on {_pictures(stage, len(self.labels))}: {broken}; "
                f"{where + '; ' if where else ''}no bundle was written; {self._remedy(name)}"
            )
        return stage

    def add_bundle(
        self,
        logits: Logits,
        wanted: Logits,
        *,
        exact: bool,
        views: Views | None,
        rows: npt.NDArray[np.int64] | None = None,
    ) -> Stage:
        """Record the opened bundle.

        Args:
            logits: (N, K) of the same images, or of some: it is taken to say of the others what the
                form said that it was made of.
            wanted: (N, K) of that form: the bundle's own, but for rounding.
            exact: As for :meth:`add`.
            views: What torch and that form said of more pictures.
            rows: Which images ``logits`` are of; None: all.

        Raises:
            GateError: The bundle breaks a bound, or is not what it was made of.
        """
        rows = np.arange(len(wanted)) if rows is None else rows
        whole = wanted.copy()
        whole[rows] = logits
        stage = self.add("bundle", whole, exact=exact, views=views)
        size = np.sqrt(np.square(_centred(wanted[rows])).mean())
        apart = float(np.sqrt(np.square(_centred(logits) - _centred(wanted[rows])).mean()) / size)
        if apart > _SAME:
            raise GateError(
                f"gate 'bundle' failed: its logits are {100 * apart:.0f} % apart from those of the "
                f"{self.stages[-2].name} form that it was made of, expected at most "
                f"{100 * _SAME:.0f} %; no bundle was written; {self._remedy('bundle')}"
            )
        return stage

    def check_regions(self, report: RegionsReport) -> None:
        """Refuse a bundle that looks elsewhere than torch: scores forgive it, explanations do not.

        Raises:
            GateError: Its boxes overlap torch's too little.
        """
        if report.mean_iou < self.gates.min_region_iou:
            raise GateError(
                f"gate 'regions' failed on {report.images} validation images: what is looked at "
                f"again overlaps torch's by {report.mean_iou:.3f} (intersection over union), "
                f"expected at least {self.gates.min_region_iou:g}; no bundle was written; "
                "try --precision fp32"
            )

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
        for verdict, what in ((stage.verdict, "top-1"), (stage.few_shot, "top-1 of rare classes")):
            if verdict is not None and verdict.state == "refused":
                return f"{what} falls by {verdict}, expected at most {verdict.bound:g}"
        return ""

    @property
    def _few_shot_bound(self) -> float:
        """Who allows all classes to lose more allows it to the rare ones too."""
        return max(self.gates.max_few_shot_drop, self.gates.max_top1_drop)

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


def _pictures(stage: Stage, images: int) -> str:
    views = stage.verdict.views if stage.verdict is not None else 0
    return f"{images} validation images{f' and {views} views of them' if views else ''}"


def _finite(value: np.floating) -> float | None:
    return float(value) if np.isfinite(value) else None


def _centred(logits: Logits) -> Logits:
    centred: Logits = logits - logits.mean(axis=1, keepdims=True)
    return centred
