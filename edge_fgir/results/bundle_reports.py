"""The reports inside a bundle: what its export measured (``reports/<name>.json``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, FiniteFloat

from edge_fgir._files import to_json
from edge_fgir._refusal import validated
from edge_fgir.results.base import Record
from edge_fgir.results.decision import Verdict
from edge_fgir.results.evaluation import Interval, Metrics
from edge_fgir.runtime import Precision

if TYPE_CHECKING:
    from typing_extensions import Self

    from edge_fgir.runtime import Bundle


class BundleReport(Record):
    """One report. It has no environment: the manifest has the versions.

    Attributes:
        file: Its name without folder and ending.
    """

    file: ClassVar[str]

    @classmethod
    def of(cls, bundle: Bundle) -> Self:
        """Read the report of a bundle.

        Raises:
            InputError: The bundle has none, or a field of it is missing, unknown or wrong.
        """
        source = f"{bundle.path}/reports/{cls.file}.json"
        return validated(
            cls, bundle.report(cls.file), source, f"a whole {cls.file} report", "write it again"
        )

    def as_file(self) -> dict[str, bytes]:
        """Return the report as a file of a bundle, by its path there."""
        text = to_json(self.model_dump(mode="json"))
        return {f"reports/{self.file}.json": text.encode()}


class AccuracyReport(BundleReport, Metrics):
    """``accuracy``: of the exported network on the validation split.

    Attributes:
        split: ``val``.
        logit_adjustment: tau of the logit adjustment that is folded in; None: none.
    """

    file: ClassVar[str] = "accuracy"

    split: str
    logit_adjustment: FiniteFloat | None = None


class Gates(Record):
    """Bounds that a bundle must keep, as far as pictures can tell."""

    max_delta_logit: Annotated[float, Field(gt=0, description="torch to ONNX, float32")]
    max_top1_drop: Annotated[float, Field(ge=0, le=100, description="below torch, points")]
    max_few_shot_drop: Annotated[
        float,
        Field(
            ge=0,
            le=100,
            description="below torch on classes with fewer than 20 training pictures, points",
        ),
    ] = 2.0
    golden_tolerance: Annotated[
        float, Field(gt=0, le=1, description="|delta probability| that verify allows on a device")
    ]
    min_region_iou: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="of what a bundle looks at again and what torch does: mean intersection "
            "over union",
        ),
    ] = 0.95
    min_agreement: Annotated[
        float | None,
        Field(
            ge=0,
            le=100,
            description="same top-1 as torch, percent; a bound of earlier versions, no longer one",
        ),
    ] = None


class StageFigures(Record):
    """A form of the network compared with torch on the validation split.

    Attributes:
        name: Of the stage, or of the quantization scheme.
        top1: Percent.
        macro: Percent.
        top1_drop: Points below torch; negative where it is better.
        drop_interval: Its 95 % interval by counting alone, points: the images are a sample.
        agreement: Images with torch's top-1, percent.
        max_delta_logit: Largest difference of a logit, after each row's mean is taken off, since
            probabilities give logits only up to a constant; None: some output is not a number.
        rms_delta_logit: Root mean square of that difference; None likewise.
        verdict: What the gate goes by; None: some output is not a number, or the report is of an
            earlier version.
        few_shot: The same for the images of classes with few training pictures; None: there are
            none, or as above.
        images: How many were looked at; None: the whole split.
    """

    name: str
    top1: FiniteFloat
    macro: FiniteFloat
    top1_drop: FiniteFloat
    drop_interval: Interval
    agreement: FiniteFloat
    max_delta_logit: FiniteFloat | None
    rms_delta_logit: FiniteFloat | None
    verdict: Verdict | None = None
    few_shot: Verdict | None = None
    images: int | None = None


class Stage(StageFigures):
    """One stage of the export.

    Attributes:
        class_drops: Points below torch for each class; None for a class without images.
        certified: The evidence is enough to be 95 % sure that the drop is within the bound.
    """

    class_drops: tuple[FiniteFloat | None, ...]
    certified: bool = False


class ParityReport(BundleReport):
    """``parity``: every stage of the export against torch.

    Attributes:
        images: Of the validation split.
        torch_top1: Percent.
        bounds: What every stage keeps.
        stages: In the order of the export; the last one is the opened bundle.
    """

    file: ClassVar[str] = "parity"

    images: int
    torch_top1: FiniteFloat
    bounds: Gates
    stages: tuple[Stage, ...] = Field(min_length=1)


_NAMED = 3
"""Classes that are named as those to collect pictures of."""


class FrigateClass(Record):
    """What Frigate is told of one class's pictures.

    Attributes:
        name: Of the class.
        train: Its training pictures.
        images: Its pictures that were asked about.
        right: Of these.
        visits: How many visits they are of, by Frigate's file names; None: not known.
        taken_for: How many of them were answered with another class, or ``none``, by its name; the
            most frequent first.
    """

    name: str
    train: int
    images: int
    right: int
    visits: int | None = None
    taken_for: dict[str, int]

    def __str__(self) -> str:
        wrong = ", ".join(f"{name} {count}" for name, count in self.taken_for.items())
        of = f" in {self.visits} {'visit' if self.visits == 1 else 'visits'}"
        of = of if self.has_visits else ""
        return f"{self.name}: {self.right} of {self.images}{of}" + (f" ({wrong})" if wrong else "")

    @property
    def has_visits(self) -> bool:
        """Some of its pictures are of one visit, so they say less than as many others would."""
        return self.visits is not None and self.visits < self.images


class FrigateReport(BundleReport):
    """``frigate``: what Frigate reads from the bundle's file in ``frigate/``.

    Frigate's steps are replayed on the validation split. ``none`` is the answer of both where they
    do not know, and right where it is a class of the data. Frigate's file knows no novelty, so the
    bundle is asked by its score alone too, at the threshold that keeps as many right answers.

    Attributes:
        images: Of the validation split.
        bound: Points of top-1 that may be lost against the bundle.
        none_is_a_class: The data have pictures of ``none``; else it only stands for low scores.
        bundle_top1: Percent.
        frigate_top1: Percent.
        drop_interval: Points of top-1 below the bundle, the 95 % interval.
        agreement: Percent of the images with the same answer.
        bundle_none: Percent of the images that the bundle answers with none, or does not know.
        frigate_none: Percent of the images that Frigate is told none of.
        classes: What is answered to the pictures of each class.
    """

    file: ClassVar[str] = "frigate"

    images: int
    bound: FiniteFloat
    none_is_a_class: bool
    bundle_top1: FiniteFloat
    frigate_top1: FiniteFloat
    drop_interval: Interval
    agreement: FiniteFloat
    bundle_none: FiniteFloat
    frigate_none: FiniteFloat
    classes: tuple[FrigateClass, ...] = ()

    @property
    def weakest(self) -> tuple[FrigateClass, ...]:
        """The classes that more pictures would help most: the least often answered rightly first,
        of equal ones that with the fewest training pictures; none that is always right."""
        wrong = [each for each in self.classes if each.right < each.images]
        return tuple(sorted(wrong, key=lambda each: (each.right / each.images, each.train)))

    @property
    def top1_drop(self) -> float:
        """Points of top-1 below the bundle."""
        return self.bundle_top1 - self.frigate_top1

    @property
    def lines(self) -> list[str]:
        """How good it is, class by class, and what to collect next; for people."""
        found = [f"as Frigate asks, on {self.images} validation pictures: {self}"]
        found += [f"  {each}" for each in self.classes]
        return [*found, *self.next_steps]

    @property
    def next_steps(self) -> list[str]:
        """What to collect next, a sentence each; for people."""
        found = []
        if weakest := self.weakest[:_NAMED]:
            named = ", ".join(f"{each.name} ({each.train} for training)" for each in weakest)
            found.append(f"collect next, of other visits and other weather: {named}")
        if not self.none_is_a_class:
            found.append(
                "there is no class none: what is of no class is told by low scores alone; sort "
                "such pictures into a folder none"
            )
        return found

    def __str__(self) -> str:
        return (
            f"top-1 {self.frigate_top1:.2f} %, the bundle by score alone {self.bundle_top1:.2f} % "
            f"(what is unknown counts as none), agreement {self.agreement:.2f} %, none "
            f"{self.frigate_none:.2f} %"
        )


IN_FLOAT = " in float"
"""How the name of a scheme ends, behind a number, that leaves its most sensitive layers alone."""


class SchemeTrial(StageFigures):
    """A quantization scheme, or the float form, that was tried.

    Attributes:
        precision: What it computes in.
        p50_ms: Median latency on the machine of the export; None: not measured.
        broken: Why it could not be chosen; empty where it could.
    """

    precision: Precision
    p50_ms: FiniteFloat | None
    broken: str


class SchemeFailure(Record):
    """A quantization scheme that the target's library could not make or run.

    Attributes:
        name: Of the scheme.
        reason: One line.
    """

    name: str
    reason: str


class QuantizationReport(BundleReport):
    """``quantization``: what the search for INT8 tried, and what it chose.

    Attributes:
        chosen: Name of the winner.
        precision: What it computes in.
        why: One line.
        trials: In the order of trying, the float form first.
        failed: Schemes of which there is nothing to compare.
    """

    file: ClassVar[str] = "quantization"

    chosen: str
    precision: Precision
    why: str
    trials: tuple[SchemeTrial, ...]
    failed: tuple[SchemeFailure, ...] = ()

    @property
    def is_mixed(self) -> bool:
        """Whether the layers that are the most sensitive stay in float; which, follows from the
        weights."""
        return self.chosen.endswith(IN_FLOAT)


class BlockRange(Record):
    """The largest magnitudes behind one block of a transformer and its adapter.

    Attributes:
        block: Counted from 0.
        tokens: How many there are, prefix tokens included.
        prefix: Of class token and registers; 0 without any.
        patches: Of the patches, which a down-sampling sums up.
    """

    block: int
    tokens: int
    prefix: FiniteFloat
    patches: FiniteFloat

    @property
    def largest(self) -> float:
        """Of all tokens."""
        return max(self.prefix, self.patches)


class ResidualReport(BundleReport):
    """``residual``: how large the residual stream of an adapted transformer grows."""

    file: ClassVar[str] = "residual"

    images: int
    largest: FiniteFloat
    blocks: tuple[BlockRange, ...]


class RegionsReport(BundleReport):
    """``regions``: whether the bundle of a model that looks twice looks where torch does.

    Attributes:
        images: Of the validation split.
        identical: Share of equal boxes, percent.
        mean_iou: Mean intersection over union, 0 to 1.
    """

    file: ClassVar[str] = "regions"

    images: int
    identical: FiniteFloat
    mean_iou: FiniteFloat
