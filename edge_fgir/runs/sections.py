"""A recipe's sections: keys that belong together, each with type, default, unit and bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from edge_fgir.data import DataSet, Sample, Sampler
from edge_fgir.data.loaders import TrainImages
from edge_fgir.models.reduction import METHODS, Reduction
from edge_fgir.runtime import Kernel, Preprocess

Classification = Literal[
    "ce", "focal", "class_balanced", "logit_adjusted", "balanced_softmax", "ldam"
]

_NO_PIXELS = {"sampler", "mean", "std", "with_val", "workers"}
"""Keys of ``data`` that do not change a training picture's pixels, as the loader hands them out."""
_OLDEST = {"view_size", "resize_ratio", "trivial_augment", "convert"}


class Section(BaseModel):
    """Keys of a recipe that belong together."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DataSection(Section):
    """Pictures on their way to the network.

    Source: arXiv 2507.12157, docs/science/tgda.md#pictures.
    """

    view_size: Annotated[int, Field(ge=32, le=2048, description="crop side S_T, pixels")] = 448
    resize_ratio: Annotated[
        float, Field(ge=1, le=2, description="side before the random crop / view_size")
    ] = 1.34
    kernel: Annotated[Kernel, Field(description="kernel of the resize before the crop")] = "bicubic"
    trivial_augment: Annotated[bool, Field(description="TrivialAugmentWide")] = True
    color_jitter: Annotated[
        float, Field(ge=0, le=0.5, description="of brightness, contrast, saturation, hue; 0: none")
    ] = 0.0
    resample_jitter: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="share of pictures that are first sampled without antialias, at 224 pixels "
            "or view_size times resize_ratio, as programs do that hand over crops; 0: none",
        ),
    ] = 0.0
    sampler: Annotated[
        Sampler,
        Field(
            description="draw pictures as they are, in pairs of a class (partners of mix views), "
            "classes alike, or by the root of their sizes"
        ),
    ] = "instance"
    mean: Annotated[
        tuple[float, float, float],
        Field(description="channel mean, 0..1; a student has its teacher's"),
    ] = (0.485, 0.456, 0.406)
    std: Annotated[
        tuple[float, float, float],
        Field(description="channel deviation; a student has its teacher's"),
    ] = (0.229, 0.224, 0.225)
    with_val: Annotated[
        bool,
        Field(
            description="learn from val too: for a last run, when all choices are made, because "
            "its own validation then says nothing"
        ),
    ] = False
    workers: Annotated[int, Field(ge=0, le=64, description="loader processes")] = 1
    convert: Annotated[
        bool,
        Field(description="without effect: pictures are converted unless a command says --strict"),
    ] = False

    def augmented(self, data: DataSet, samples: Sequence[Sample], seed: int) -> TrainImages:
        """Return samples under this augmentation, every draw of which depends on ``seed``."""
        return TrainImages(
            data,
            samples,
            size=self.view_size,
            resize=int(self.resize_ratio * self.view_size),
            trivial_augment=self.trivial_augment,
            kernel=self.kernel,
            color_jitter=self.color_jitter,
            resample_jitter=self.resample_jitter,
            seed=seed,
        )

    def fingerprint(self) -> dict[str, JsonValue]:
        """Return the keys that the pixels of a training picture depend on.

        Every key counts that is not known to be irrelevant, so that a new one cannot be forgotten.
        Except for the oldest, a key is named only where it is not at its default: teacher caches
        that were filled before the key existed are still found.
        """
        named = self.model_dump(mode="json", include=_OLDEST)
        return named | self.model_dump(mode="json", exclude=_NO_PIXELS, exclude_defaults=True)


class EvalSection(Section):
    """Evaluation preprocessing: what the device will run."""

    image_size: Annotated[int, Field(ge=32, le=2048, description="input side S_S, pixels")] = 448
    kernel: Annotated[Kernel, Field(description="resize kernel")] = "bilinear"
    antialias: Annotated[bool, Field(description="widen the kernel when shrinking")] = True
    crop_fraction: Annotated[
        float, Field(gt=0.25, le=1, description="share of the side the centre crop keeps")
    ] = 1.0
    two_steps: Annotated[
        bool,
        Field(
            description="as TGDA's authors: a picture becomes data.view_size as all keys here say, "
            "of which a cubic kernel without antialias samples the input; training alike"
        ),
    ] = False
    every_epochs: Annotated[int, Field(ge=1, description="validate every so many epochs")] = 10

    def preprocess(self, view_size: int) -> Preprocess:
        """Return it as a bundle carries it.

        Args:
            view_size: Side of training's pictures, pixels.
        """
        return Preprocess(
            size=self.image_size,
            kernel=self.kernel,
            antialias=self.antialias,
            crop_fraction=self.crop_fraction,
            shrink="blocks",
            view_size=view_size if self.two_steps else None,
        )


class OptimizerSection(Section):
    """Optimiser and schedule: a cosine per step, with the warm-up inside it.

    Source: arXiv 2507.12157, docs/science/tgda.md#schedule.

    With ``decay_epochs``, steps instead of the cosine
    (arXiv 2101.08674, docs/science/dafre.md#recipe).
    """

    name: Annotated[
        Literal["adamw", "sgd", "muon"],
        Field(
            description="optimiser; muon: orthogonal steps of AdamW's size for matrices and "
            "kernels, AdamW for the rest"
        ),
    ] = "adamw"
    lr: Annotated[float, Field(gt=0, description="peak learning rate")] = 5e-4
    weight_decay: Annotated[float, Field(ge=0, description="none on biases and 1-D tensors")] = 0.05
    warmup_steps: Annotated[int, Field(ge=0, description="linear warm-up, steps")] = 500
    warmup_epochs: Annotated[int, Field(ge=0, description="and so many epochs more")] = 0
    cooldown_epochs: Annotated[
        int, Field(ge=0, description="last epochs, at min_lr, behind the cosine")
    ] = 0
    decay_epochs: Annotated[
        int, Field(ge=0, description="divide the rate every so many epochs; 0: cosine")
    ] = 0
    decay_factor: Annotated[float, Field(gt=1, description="by so much")] = 3.0
    warmup_lr: Annotated[float, Field(ge=0, description="first learning rate")] = 1e-6
    min_lr: Annotated[float, Field(ge=0, description="last learning rate")] = 1e-5
    nesterov: Annotated[bool, Field(description="Nesterov's momentum, of sgd and muon")] = False
    clip_norm: Annotated[float, Field(ge=0, description="gradient norm bound; 0: none")] = 1.0
    ema_decay: Annotated[float, Field(ge=0, lt=1, description="weight averaging; 0: none")] = 0.0

    def check(self, epochs: int) -> None:
        """Raise ValueError if warm-up and cool-down leave none of so many epochs."""
        if epochs <= self.warmup_epochs + self.cooldown_epochs:
            raise ValueError(
                f"{self.warmup_epochs} epochs of warm-up and {self.cooldown_epochs} of cool-down "
                f"leave none of {epochs}"
            )


class LossSection(Section):
    """Classification and distillation losses.

    Source: arXiv 2507.12157, docs/science/tgda.md#loss; arXiv 2101.08674,
    docs/science/dafre.md#tools-for-the-tail.
    """

    classification: Annotated[
        Classification,
        Field(description="of hard labels; all but ce and focal know the classes' sizes"),
    ] = "ce"
    focal_gamma: Annotated[float, Field(ge=0, le=10, description="focal: its exponent")] = 2.0
    logit_adjustment: Annotated[
        float, Field(gt=0, le=10, description="logit_adjusted: tau, the weight of the prior")
    ] = 1.0
    ldam_margin: Annotated[
        float, Field(gt=0, le=30, description="ldam: margin of the rarest class, in logits")
    ] = 0.5
    effective_beta: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="class_balanced: a class of n pictures weighs (1 - beta) / (1 - beta^n); "
            "0: all alike, 1: as 1 / n",
        ),
    ] = 0.999
    deferred: Annotated[
        float,
        Field(
            ge=0,
            lt=1,
            description="share of the steps, at the beginning, in which ce comes before the loss "
            "that classification names",
        ),
    ] = 0.0
    label_smoothing: Annotated[float, Field(ge=0, lt=1, description="not of method cal")] = 0.1
    temperature: Annotated[float, Field(gt=0, description="softmax temperature T of KD")] = 0.7
    kd_weight: Annotated[float, Field(ge=0, description="weight of all KD terms")] = 1.0
    kd_t2_scaling: Annotated[bool, Field(description="multiply KD terms by T squared")] = True


class TeacherSection(Section):
    """Whose soft labels and views the student learns from."""

    run: Annotated[str, Field(description="run folder of the teacher")]
    cache_variants: Annotated[
        int,
        Field(
            ge=0,
            le=10_000,
            description="draws of the augmentation whose teacher answers are kept on disk and "
            "replayed, across epochs and students; 0: the teacher runs in every step",
        ),
    ] = 0
    cache_seed: Annotated[
        int,
        Field(
            ge=0,
            description="of these draws: students that have one in common share the answers, and "
            "learn from the same pictures",
        ),
    ] = 0
    cache_folder: Annotated[
        str, Field(description="where they are kept; empty: in the teacher's run folder")
    ] = ""
    first_maps: Annotated[
        int, Field(ge=0, description="draw among the first so many attention maps; 0: all")
    ] = 0
    joint_forward: Annotated[
        bool,
        Field(
            description="one student forward for raw and views together; BatchNorm sees them as "
            "one batch"
        ),
    ] = False
    mode: Annotated[
        Literal["train", "eval", "hybrid"],
        Field(description="batch or running BatchNorm statistics x sampled or mean map"),
    ] = "hybrid"


class ElasticSection(Section):
    """Weights that stay good at several settings (sandwich rule, in-place distillation)."""

    image_sizes: Annotated[
        tuple[Annotated[int, Field(ge=16, le=2048)], ...],
        Field(description="input sides, pixels; the largest is eval.image_size; empty: that alone"),
    ] = ()
    keep_rates: Annotated[
        tuple[Annotated[float, Field(gt=0, le=1)], ...],
        Field(
            description="of token reduction; the largest is model.reduction.keep_rate; empty: that "
            "alone"
        ),
    ] = ()
    random_settings: Annotated[
        int, Field(ge=0, description="settings drawn in a step beside the largest and the smallest")
    ] = 1

    def check(self, image_size: int, reduction: Reduction | None) -> None:
        """Raise ValueError, or InputError, unless the settings fit a model of this input size."""
        for name, values in (("image_sizes", self.image_sizes), ("keep_rates", self.keep_rates)):
            if len(set(values)) < len(values):
                raise ValueError(f"elastic.{name} names one twice")
        if len(self.image_sizes) < 2 and len(self.keep_rates) < 2:
            raise ValueError("elastic needs two or more image_sizes or keep_rates")
        if self.image_sizes and max(self.image_sizes) != image_size:
            raise ValueError(
                f"the largest of elastic.image_sizes is not eval.image_size {image_size}"
            )
        if not self.keep_rates:
            return
        elastic = [m.name for m in METHODS.values() if m.weightless and m.drops]
        if reduction is None or reduction.method not in elastic:
            raise ValueError(
                "elastic.keep_rates needs model.reduction.method, one of " + ", ".join(elastic)
            )
        if max(self.keep_rates) != reduction.keep_rate:
            raise ValueError(
                "the largest of elastic.keep_rates is not model.reduction.keep_rate "
                f"{reduction.keep_rate}"
            )
        for rate in self.keep_rates:
            reduction.at(rate)


class LengthSection(Section):
    """How long to train where a recipe is for anybody's pictures: steps, within bounds of epochs.

    A GPU takes larger batches and has the patience for more steps. From the epochs follow
    ``optimizer.warmup_steps`` and ``eval.every_epochs``, a quarter of them, where those are not
    set, and a GPU's ``data.workers`` from the cores.
    """

    steps: Annotated[int, Field(ge=1, description="of batch_size pictures, on a CPU")] = 1500
    gpu_steps: Annotated[int, Field(ge=1, description="of gpu_batch pictures, on a GPU")] = 6000
    gpu_batch: Annotated[int, Field(ge=1, description="batch_size on a GPU")] = 64
    least_epochs: Annotated[int, Field(ge=1, description="however many pictures")] = 4
    most_epochs: Annotated[int, Field(ge=1, description="however few pictures")] = 60
    warmup: Annotated[float, Field(ge=0, lt=1, description="share of the steps")] = 0.05

    def epochs(self, images: int, batch: int, *, gpu: bool) -> int:
        """Return the epochs for so many training pictures in steps of ``batch``."""
        steps = self.gpu_steps if gpu else self.steps
        wanted = round(steps / max(images // batch, 1))
        return min(max(wanted, self.least_epochs), max(self.most_epochs, self.least_epochs))
