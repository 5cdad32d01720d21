"""``Classifier``: the one object a camera app needs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from edge_fgir._errors import InputError
from edge_fgir.runtime.engine_options import AUTO, Device, EngineOptions
from edge_fgir.runtime.result import Result, Timing
from edge_fgir.runtime.shared_engine import SharedEngine
from edge_fgir.runtime.workers import Workers

# What only opening needs is imported there: half of the time that importing it would take.
if TYPE_CHECKING:
    from PIL import Image

    from edge_fgir.runtime.bundle import Bundle
    from edge_fgir.runtime.decisions import Event, EventOptions, Site
    from edge_fgir.runtime.frames import Drop, Frame
    from edge_fgir.runtime.manifest import ExplanationSpec
    from edge_fgir.runtime.overlay import Map
    from edge_fgir.runtime.pace import Pace
    from edge_fgir.runtime.preprocess import Pixels, Region
    from edge_fgir.runtime.runtimes import Answer, Engine, Probabilities, RuntimeChoice
    from edge_fgir.runtime.sources import Source

    Picture = Pixels | Image.Image | Path | str

Color = Literal["bgr", "rgb"]


def _channels_reversed(pixels: Pixels) -> Pixels:
    # The outer channels exchanged: a fifth of the time of copying pixels[..., ::-1].
    turned = pixels.copy()
    turned[..., 0], turned[..., 2] = pixels[..., 2], pixels[..., 0]
    return turned


def _site(site: Site | Path | str | None) -> Site | None:
    from edge_fgir.runtime.decisions import Site

    return Site.read(site) if isinstance(site, str | Path) else site


def _models_of(
    bundle: Bundle, options: EngineOptions, *, several: bool
) -> list[tuple[Bundle, RuntimeChoice]]:
    """Return what is opened of a bundle: a variant, or with ``several`` also those after it."""
    from edge_fgir.runtime.runtimes import choose_runtime

    choice = choose_runtime(bundle, options)
    variants = bundle.variants if options.variant is None else bundle.variants_from(options.variant)
    chosen = variants if several else variants[:1]
    return [(variant.in_runtime(choice.runtime), choice) for variant in chosen]


class Classifier:
    """A bundle, opened and compiled.

    Any number of threads may share one; each gets the answers to its own pictures, bit for bit as
    alone. ``close`` waits for the answers that are under way; later calls raise. A forked process
    may go on with it: the model is opened there anew when it is first used (on a Jetson, whose
    driver does not survive a fork, an error says so).

    Frames are HWC ``uint8`` arrays, BGR by default as OpenCV gives them.

    Example::

        import edge_fgir as ef
        import numpy as np

        frame = np.zeros((480, 640, 3), np.uint8)
        with ef.Classifier.open("birds.fgir") as model:
            result = model(frame)
            print(result.label, result.score, result.top(5))
    """

    def __init__(
        self,
        bundle: Bundle,
        engine: Engine,
        reopen: Callable[[], Engine] | None = None,
        site: Site | None = None,
        smaller: Sequence[Classifier] = (),
        target_fps: float | None = None,
    ) -> None:
        """Take an open engine.

        Args:
            bundle: What it computes.
            engine: It.
            reopen: Opens it again in a forked process; None: it cannot be used there.
            site: What is known of the place.
            smaller: Faster models of the same classes, which answer when this one is late; they are
                closed with this one.
            target_fps: From when on it is late.

        Raises:
            InputError: The site, or what the engine answers, does not fit the bundle; or a smaller
                model knows other classes.
        """
        from edge_fgir.runtime.decisions import Judge

        self.bundle = bundle
        self._engine = SharedEngine(engine, reopen)
        self._workers = Workers()
        self._preprocess = bundle.preprocess
        self._explanation = bundle.manifest.explanation
        self._novelty, self._space = bundle.novelty, bundle.feature_space
        self.labels = bundle.labels
        self.judge = Judge(self.labels, bundle.calibration.unknown_threshold, site)
        """How probabilities become an answer."""
        size = self._preprocess.size
        # The first run allocates and, on some devices, compiles: not on the user's first frame.
        answer = engine.infer(np.zeros((1, size, size, 3), np.uint8))
        if answer.shape != (1, len(self.labels)):
            raise InputError(
                f"{bundle.path}: the model answers with shape {answer.shape}",
                f"(1, {len(self.labels)}), a probability for each label",
                "export the bundle again",
            )
        self._check_other_outputs(engine)
        self._models = (self, *smaller)
        self._pace = self._paced(target_fps)
        self.runtime_choice: RuntimeChoice | None = None
        """Of the runtimes that the bundle has files for, which one computes, and why; None: the
        engine was given."""

    def __repr__(self) -> str:
        info = self.info
        why = "" if self.runtime_choice is None else f": {self.runtime_choice.why}"
        return f"<{info['bundle']}: {info['precision']} in {info['engine']}{why}>"

    def _paced(self, target_fps: float | None) -> Pace | None:
        if (target_fps is None) != (len(self._models) == 1):
            raise InputError(
                "target_fps without smaller models, or these without it",
                "both or none",
                "export a bundle with --variant, or give others, smaller=['birds-128.fgir']",
            )
        for model in self._models[1:]:
            if model.labels != self.labels:
                raise InputError(
                    f"{model.bundle.title} knows other classes than {self.bundle.title}",
                    "exports of one training, or of trainings on the same data",
                )
        if target_fps is None:
            return None
        from edge_fgir.runtime.machine import HERE, Throttling
        from edge_fgir.runtime.pace import Pace, PaceOptions

        # No other program is started to tell.
        throttling = Throttling(replace(HERE, run=lambda command: None))
        return Pace(self.variants, PaceOptions(target_fps), throttling.now)

    @property
    def variants(self) -> tuple[str, ...]:
        """What answers, in the order of ``Result.variant``: bundles, and which variant of each."""
        return tuple(model.bundle.title for model in self._models)

    def _check_other_outputs(self, engine: Engine) -> None:
        explanation, features = self._explanation, self.bundle.manifest.features
        wanted: dict[str, tuple[int, ...]] = {}
        if explanation is not None:
            wanted = {"regions": (1, 4), "maps": (1, explanation.grid, explanation.grid)}
        if features is not None:
            wanted["features"] = (1, features.size)
        if not wanted:
            return
        size = self._preprocess.size
        answer = engine.observe(np.zeros((1, size, size, 3), np.uint8))
        for name, shape in wanted.items():
            found = getattr(answer, name).shape
            if found != shape:
                raise InputError(
                    f"{self.bundle.path}: the model gives {name} of shape {found}",
                    f"{shape}, as its manifest says",
                    "export the bundle again",
                )

    @classmethod
    def open(
        cls,
        path: Path | str,
        device: Device | EngineOptions = AUTO,
        trust: Path | str | None = None,
        *,
        site: Site | Path | str | None = None,
        smaller: Iterable[Path | str] = (),
        target_fps: float | None = None,
    ) -> Classifier:
        """Open a bundle; the manifest decides the runtime.

        Where it has files for several, the fastest that is installed computes, if ``bench`` has
        measured them on this machine, else the first that is installed.

        Args:
            path: The bundle's folder or zip.
            device: Where to run it, such as ``cpu`` or ``gpu.1``, or options that say more:
                threads, precision, runtime.
            trust: PEM file with the public key that must have signed it.
            site: What is known of the place, or the file that says it: priors, thresholds, names
                and parents of classes, and which of them occur.
            smaller: Bundles of the same classes that take less time, the best first; they come
                after the variants that this one holds.
            target_fps: Frames a second that single calls and streams have to keep up with. They go
                over to the next variant when frames are late, and back when there is time again;
                every result says which one answered (``variant``). None: the first one of this
                bundle answers, and ``smaller`` is refused.

        Raises:
            InputError: The bundle is missing or was changed, is not signed by the key of
                ``trust``, or cannot run on ``device`` here; or ``site`` does not fit it, or a
                smaller one does not.
        """
        from edge_fgir.runtime.bundle import Bundle

        options = EngineOptions(device) if isinstance(device, str) else device
        several = target_fps is not None
        found = _models_of(Bundle(path, trust), options, several=several)
        options = replace(options, variant=None)
        for one in smaller:
            found += _models_of(Bundle(one, trust), options, several=several)
        known, (best, *others) = _site(site), found
        models = [cls._of(model, options, known) for model in others]
        return cls._of(best, options, known, models, target_fps)

    @classmethod
    def _of(
        cls,
        model: tuple[Bundle, RuntimeChoice],
        options: EngineOptions,
        site: Site | None,
        smaller: Sequence[Classifier] = (),
        target_fps: float | None = None,
    ) -> Classifier:
        from edge_fgir.runtime.runtimes import find_runtime, open_engine

        bundle, choice = model
        opened = partial(open_engine, bundle, options)
        forks = find_runtime(choice.runtime).survives_fork
        made = cls(bundle, opened(), opened if forks else None, site, smaller, target_fps)
        made.runtime_choice = choice
        return made

    @property
    def info(self) -> dict[str, Any]:
        """Name, target, precision, size and engine of what is open."""
        manifest = self.bundle.manifest
        return {
            "bundle": str(self.bundle.path),
            "variant": self.bundle.variant,
            "name": manifest.name,
            "target": manifest.target,
            "precision": manifest.precision,
            "engine": self._engine.description,
            "image_size": self._preprocess.size,
            "classes": len(self.labels),
        }

    @property
    def image_size(self) -> int:
        """Side of the model's square input, pixels."""
        return self._preprocess.size

    def converts(self, strict: bool | None = None) -> bool:
        """Say whether odd picture files are converted: not if ``strict``; None: the bundle says."""
        return self.bundle.manifest.converts if strict is None else not strict

    def __call__(
        self, picture: Picture, color: Color = "bgr", *, convert: bool | None = None
    ) -> Result:
        """Classify one picture.

        Args:
            picture: An (H, W, 3) ``uint8`` array, a Pillow image, or the path of a file.
            color: Channel order of an array; images and files know their own.
            convert: For a path: convert rotated, transparent, 16-bit or CMYK files (see
                ``images``), or refuse them; None: as the bundle says (earlier ones refuse).

        Raises:
            InputError: The picture cannot be used.
        """
        if self._pace is None:
            return self._answer(picture, color, convert=convert)
        variant = self._pace.level
        result = self._models[variant]._answer(picture, color, convert=convert)
        self._pace.update(time.monotonic(), result.timing.total_ms / 1e3)
        return replace(result, variant=variant)

    def _answer(self, picture: Picture, color: Color, *, convert: bool | None) -> Result:
        start = time.perf_counter()
        pixels, (height, width) = self._prepared(picture, color, convert)
        ready = time.perf_counter()
        if self._observes:
            answer = self.observe(pixels)
            region, similarity, novelty = self._beside(answer, width, height)
            probabilities = answer.probabilities[0]
        else:
            region = similarity = novelty = None
            probabilities = self._infer(pixels[None])[0]
        done = time.perf_counter()
        timing = Timing((ready - start) * 1e3, (done - ready) * 1e3)
        return self._result(probabilities, timing, region, similarity, novelty)

    @property
    def _observes(self) -> bool:
        """Whether more is asked of the model than probabilities."""
        return self._explanation is not None or self._novelty is not None

    def _beside(
        self, answer: Answer, width: int, height: int
    ) -> tuple[Region | None, Map | None, float | None]:
        """Return what an answer says beside probabilities; the photo is ``width`` x ``height``."""
        region = similarity = novelty = None
        if answer.regions is not None and answer.maps is not None:
            region = self._to_photo(answer.regions[0].tolist(), width, height)
            similarity = answer.maps[0]
        if answer.features is not None and self._space is not None:
            novelty = float(self._space.novelty(answer.features)[0])
        return region, similarity, novelty

    def prepare(
        self, picture: Picture, color: Color = "bgr", *, convert: bool | None = None
    ) -> Pixels:
        """Return the model's input for one picture: (S, S, 3) ``uint8`` RGB."""
        return self._prepared(picture, color, convert)[0]

    def _prepared(
        self, picture: Picture, color: Color, convert: bool | None
    ) -> tuple[Pixels, tuple[int, int]]:
        """Return the model's input, and the picture's own height and width."""
        if not isinstance(picture, np.ndarray):
            picture, color = self._read(picture, convert), "rgb"
        elif color not in ("bgr", "rgb"):
            raise InputError(f"color {color!r}", "'bgr' or 'rgb'")
        # Resizing treats channels alike, so BGR is turned round on the small picture.
        pixels = self._preprocess.apply(picture)
        pixels = _channels_reversed(pixels) if color == "bgr" else pixels
        return pixels, (picture.shape[0], picture.shape[1])

    def _read(self, picture: object, convert: bool | None) -> Pixels:
        from PIL import Image

        from edge_fgir.runtime.images import read_image, to_rgb

        if isinstance(picture, str | Path):
            convert = self.converts() if convert is None else convert
            return read_image(Path(picture), convert=convert)
        if isinstance(picture, Image.Image):
            return to_rgb(picture)
        return cast("Pixels", picture)  # which the preprocessing refuses

    def infer(self, batch: Pixels) -> Probabilities:
        """Return (N, K) probabilities for (N, S, S, 3) prepared pixels."""
        if self.bundle.manifest.input.shape[0] == 1 and len(batch) != 1:
            return np.concatenate([self._infer(image[None]) for image in batch])
        return self._infer(batch)

    def _infer(self, batch: Pixels) -> Probabilities:
        with self._engine.in_use() as engine:
            return engine.infer(batch)

    def explain(self, pixels: Pixels) -> Answer:
        """Return all that the model says of (S, S, 3) prepared pixels, region and map included.

        Raises:
            InputError: It is no model that looks twice.
        """
        self.check_explains()
        return self.observe(pixels)

    def observe(self, pixels: Pixels) -> Answer:
        """Return all outputs of the graph for (S, S, 3) prepared pixels."""
        with self._engine.in_use() as engine:
            return engine.observe(pixels[None])

    def overlay(self, photo: Pixels, result: Result, *, contrast: bool = False) -> Image.Image:
        """Draw what an answer rests on: the photo with the region, its map, and the region alone.

        Args:
            photo: (H, W, 3) RGB, the picture of ``result``.
            result: The answer.
            contrast: Raise the map to the 4th power.

        Raises:
            InputError: It is no model that looks twice.
        """
        from edge_fgir.runtime.overlay import overlay

        spec = self.check_explains()
        assert result.region is not None
        assert result.map is not None
        size = self._preprocess.size
        seen = self._to_photo([0, 0, size, size], photo.shape[1], photo.shape[0])
        return overlay(photo, result.region, seen, result.map, spec.top_o, contrast=contrast)

    def check_explains(self) -> ExplanationSpec:
        """Return how the model explains itself.

        Raises:
            InputError: It looks at a picture once.
        """
        spec = self._explanation
        if spec is None:
            raise InputError(
                f"{self.bundle.path} holds a model that looks at a picture once",
                "one with GLSim, which looks twice",
                "train one with model.glsim in its recipe",
            )
        return spec

    def _to_photo(self, edges: Iterable[float], width: int, height: int) -> Region:
        from edge_fgir.runtime.preprocess import Region

        return self._preprocess.to_photo(Region(*edges), width, height)

    def submit(
        self, picture: Picture, color: Color = "bgr", *, convert: bool | None = None
    ) -> Future[Result]:
        """Let another thread classify a picture; its arguments are those of a call.

        Nothing bounds how many wait: who submits faster than the model answers should wait for
        results now and then, or use :meth:`answers`. ``close`` waits for all.

        Raises:
            EdgeFgirError: The Classifier is closed. What is wrong with the picture, the future
                raises.
        """
        return self._workers.submit(partial(self._answer, picture, color, convert=convert))

    def answers(
        self, pictures: Iterable[Picture], color: Color = "bgr", *, convert: bool | None = None
    ) -> Generator[Result | InputError, None, None]:
        """Classify pictures as they come, in order; the next ones are read meanwhile.

        A picture that cannot be used costs itself alone: its error is yielded in its place.

        Args:
            pictures: As for a single call, any number of them.
            color: Channel order of arrays.
            convert: As for a single call.
        """

        def answer(picture: Picture) -> Result | InputError:
            try:
                return self._answer(picture, color, convert=convert)
            except InputError as error:
                return error

        return self._workers.in_order(answer, pictures)

    def predict_batch(
        self, pictures: Iterable[Picture], color: Color = "bgr", *, convert: bool | None = None
    ) -> list[Result | InputError]:
        """Classify several pictures, in order.

        A model whose graph takes batches gets them all at once, and each picture is given its
        share of the time; a graph for one picture, as exports write it, is run for each.

        Args:
            pictures: As for a single call.
            color: Channel order of arrays.
            convert: As for a single call.

        Returns:
            For each picture its result, or the error that says why it cannot be used.
        """
        if self.bundle.manifest.input.shape[0] == 1 or self._observes:
            return list(self.answers(pictures, color, convert=convert))
        start = time.perf_counter()
        prepared = [self._prepared_or_error(one, color, convert) for one in pictures]
        usable = [one for one in prepared if not isinstance(one, InputError)]
        if not usable:
            return [one for one in prepared if isinstance(one, InputError)]
        ready = time.perf_counter()
        probabilities = self._infer(np.stack(usable))
        done = time.perf_counter()
        share = 1e3 / len(usable)
        timing = Timing((ready - start) * share, (done - ready) * share)
        results = (self._result(one, timing) for one in probabilities)
        return [one if isinstance(one, InputError) else next(results) for one in prepared]

    def _prepared_or_error(
        self, picture: Picture, color: Color, convert: bool | None
    ) -> Pixels | InputError:
        try:
            return self.prepare(picture, color, convert=convert)
        except InputError as error:
            return error

    def stream(
        self, source: Source | Iterable[Frame | Picture] | Path | str, drop: Drop | None = None
    ) -> Generator[Result, None, None]:
        """Classify frames as they come.

        Args:
            source: What :func:`~edge_fgir.runtime.open_source` opens or opened; an iterable of
                frames, BGR arrays, Pillow images or paths of pictures; or a ``cv2.VideoCapture``,
                which stays yours to release. Odd picture files are converted or refused as by a
                call. Those of a folder that cannot be used are left out: the log says which, or
                ``problems`` of what you opened.
            drop: ``oldest``: a thread reads the source and the newest frame wins, so the answer is
                never about a stale picture. ``none``: every frame is classified, in order. By
                default ``oldest`` for a source that says it is live: a camera, a network stream,
                or an object of yours whose ``live`` is True. A list or a generator loses nothing.

        Yields:
            Results whose ``frame`` carries the frame's number, timestamp and pixels.

        Raises:
            InputError: ``source`` gives no frames.
        """
        from edge_fgir.runtime.stream import classify_stream

        def classify(frame: Frame) -> Result:
            return replace(self(frame.pixels), frame=frame)

        return classify_stream(classify, source, drop, convert=self.converts())

    def events(
        self,
        source: Source | Iterable[Frame | Picture] | Path | str,
        options: EventOptions | None = None,
        drop: Drop | None = None,
    ) -> Generator[Event, None, None]:
        """Tell who was seen, from when to when, and how sure: decisions instead of frames.

        Args:
            source: As for :meth:`stream`, one thing in view at a time; for a detector's boxes or
                tracks, call a :class:`~edge_fgir.runtime.Tracker` yourself.
            options: When visits begin and end.
            drop: As for :meth:`stream`.

        Yields:
            What is decided, changed or has ended; a visit that has ended is told with the next
            frame or at the end of the source.

        Raises:
            InputError: ``source`` gives no frames.
        """
        from edge_fgir.runtime.decisions import Tracker

        return Tracker(self.judge, options).events(self.stream(source, drop))

    def _result(
        self,
        probabilities: Probabilities,
        timing: Timing,
        region: Region | None = None,
        similarity: Map | None = None,
        novelty: float | None = None,
    ) -> Result:
        verdict = self.judge(probabilities)
        if not math.isfinite(verdict.score):  # of what is no number, argmax finds the first
            raise InputError(
                f"{self.bundle.path} answers {verdict.score}",
                "probabilities",
                "run: edge-fgir verify; then export the bundle again",
            )
        is_new = self._is_new(novelty)
        return Result(
            label=verdict.label,
            score=verdict.score,
            index=verdict.index,
            is_unknown=verdict.is_unknown or is_new,
            probabilities=probabilities,
            labels=self.labels,
            timing=timing,
            region=region,
            map=similarity,
            novelty=novelty,
            is_new=is_new,
        )

    def _is_new(self, novelty: float | None) -> bool:
        return (
            novelty is not None and self._novelty is not None and novelty > self._novelty.threshold
        )

    def close(self) -> None:
        """Free the engine, after all that was submitted and the answers that are under way.

        A second time does nothing.
        """
        self._workers.close()
        self._engine.close()
        for model in self._models[1:]:
            model.close()

    def __enter__(self) -> Classifier:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
