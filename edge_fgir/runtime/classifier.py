"""``Classifier``: the one object a camera app needs."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from edge_fgir._errors import EdgeFgirError, InputError
from edge_fgir.runtime.bundle import Bundle
from edge_fgir.runtime.frames import Drop, Frame
from edge_fgir.runtime.images import read_image, to_rgb
from edge_fgir.runtime.manifest import ExplanationSpec
from edge_fgir.runtime.overlay import Map, overlay
from edge_fgir.runtime.preprocess import Pixels, Region, check_pixels
from edge_fgir.runtime.runtimes import Answer, Device, Engine, Probabilities, open_engine
from edge_fgir.runtime.sources import Source
from edge_fgir.runtime.stream import classify_stream

Color = Literal["bgr", "rgb"]
Picture = Pixels | Image.Image | Path | str


@dataclass(frozen=True)
class Timing:
    """Where the time of one call went, milliseconds."""

    preprocess_ms: float
    infer_ms: float

    @property
    def total_ms(self) -> float:
        """From the decoded frame to the decision."""
        return self.preprocess_ms + self.infer_ms


@dataclass(frozen=True)
class Result:
    """What the model says of one picture.

    Attributes:
        label: The most probable class.
        score: Its calibrated probability, 0..1.
        index: Its position in ``labels.txt``.
        is_unknown: ``score`` lies below the bundle's threshold.
        probabilities: All classes, (K,) ``float32``.
        timing: Where the time went.
        frame: In a stream, the frame this belongs to (number, timestamp, pixels); else None.
        region: What a model that looks twice (GLSim) looked at again, in pixels of the upright
            picture; None for others.
        map: Its (g, g) similarity of each patch and the whole picture, or the centre it saw; None
            for others.
    """

    label: str
    score: float
    index: int
    is_unknown: bool
    probabilities: Probabilities = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    timing: Timing = field(repr=False)
    frame: Frame | None = field(default=None, repr=False)
    region: Region | None = field(default=None, repr=False)
    map: Map | None = field(default=None, repr=False)

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """Return the ``k`` most probable (label, probability), best first."""
        order = np.argsort(-self.probabilities, kind="stable")[:k]
        return [(self.labels[i], float(self.probabilities[i])) for i in order]


def _channels_reversed(pixels: Pixels) -> Pixels:
    # Channel by channel: a quarter of the time of copying pixels[..., ::-1].
    turned = np.empty_like(pixels)
    for channel in range(3):
        turned[..., channel] = pixels[..., 2 - channel]
    return turned


class _Closed:
    description = "closed"

    def infer(self, batch: Pixels) -> Probabilities:
        raise EdgeFgirError("this Classifier is closed: open the bundle again")

    def explain(self, batch: Pixels) -> Answer:
        raise EdgeFgirError("this Classifier is closed: open the bundle again")

    def close(self) -> None:
        pass


class Classifier:
    """A bundle, opened and compiled.

    Several threads may share one: their pictures are prepared side by side and the model answers
    one after another. ``close`` waits for the answer that is being computed; later calls raise.

    Frames are HWC ``uint8`` arrays, BGR by default as OpenCV gives them.

    Example::

        import edge_fgir as ef
        import numpy as np

        frame = np.zeros((480, 640, 3), np.uint8)
        with ef.Classifier.open("birds.fgir") as model:
            result = model(frame)
            print(result.label, result.score, result.top(5))
    """

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        self.bundle = bundle
        self._engine = engine
        # An engine has one set of buffers: a second call would overwrite the first one's answer.
        self._lock = threading.Lock()
        self._preprocess = bundle.preprocess
        self._threshold = bundle.calibration.unknown_threshold
        self.labels = bundle.labels
        size = self._preprocess.size
        # The first run allocates and, on some devices, compiles: not on the user's first frame.
        answer = self._engine.infer(np.zeros((1, size, size, 3), np.uint8))
        if answer.shape != (1, len(self.labels)):
            raise InputError(
                f"{bundle.path}: the model answers with shape {answer.shape}",
                f"(1, {len(self.labels)}), a probability for each label",
                "export the bundle again",
            )
        self._check_explanation()

    def _check_explanation(self) -> None:
        spec = self.bundle.manifest.explanation
        if spec is None:
            return
        size = self._preprocess.size
        answer = self._engine.explain(np.zeros((1, size, size, 3), np.uint8))
        found, wanted = (answer.regions.shape, answer.maps.shape), ((1, 4), (1, *[spec.grid] * 2))
        if found != wanted:
            raise InputError(
                f"{self.bundle.path}: the model explains itself with shapes {found}",
                f"{wanted}, as its manifest says",
                "export the bundle again",
            )

    @classmethod
    def open(
        cls, path: Path | str, device: Device = "auto", trust: Path | str | None = None
    ) -> Classifier:
        """Open a bundle; the manifest decides the runtime (TensorRT, OpenVINO or ONNX Runtime).

        Args:
            path: The bundle's folder or zip.
            device: Where to run it.
            trust: PEM file with the Ed25519 public key that must have signed it.

        Raises:
            InputError: The bundle is missing or was changed, is not signed by the key of
                ``trust``, or cannot run on ``device`` here.
        """
        bundle = Bundle(path, trust)
        return cls(bundle, open_engine(bundle, device))

    @property
    def info(self) -> dict[str, Any]:
        """Name, target, precision, size and engine of what is open."""
        manifest = self.bundle.manifest
        return {
            "bundle": str(self.bundle.path),
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
        start = time.perf_counter()
        pixels, (height, width) = self._prepared(picture, color, convert)
        ready = time.perf_counter()
        region = similarity = None
        if self.bundle.manifest.explanation is None:
            probabilities = self._infer(pixels[None])[0]
        else:
            answer = self.explain(pixels)
            probabilities, similarity = answer.probabilities[0], answer.maps[0]
            region = self._preprocess.to_photo(Region(*answer.regions[0].tolist()), width, height)
        done = time.perf_counter()
        timing = Timing((ready - start) * 1e3, (done - ready) * 1e3)
        return self._result(probabilities, timing, region, similarity)

    def prepare(
        self, picture: Picture, color: Color = "bgr", *, convert: bool | None = None
    ) -> Pixels:
        """Return the model's input for one picture: (S, S, 3) ``uint8`` RGB."""
        return self._prepared(picture, color, convert)[0]

    def _prepared(
        self, picture: Picture, color: Color, convert: bool | None
    ) -> tuple[Pixels, tuple[int, int]]:
        """Return the model's input, and the picture's own height and width."""
        if isinstance(picture, str | Path):
            convert = self.converts() if convert is None else convert
            picture, color = read_image(Path(picture), convert=convert), "rgb"
        elif isinstance(picture, Image.Image):
            picture, color = to_rgb(picture), "rgb"
        elif color not in ("bgr", "rgb"):
            raise InputError(f"color {color!r}", "'bgr' or 'rgb'")
        check_pixels(picture)
        # Resizing treats channels alike, so BGR is turned round on the small picture.
        pixels = self._preprocess.apply(picture)
        pixels = _channels_reversed(pixels) if color == "bgr" else pixels
        return pixels, (picture.shape[0], picture.shape[1])

    def infer(self, batch: Pixels) -> Probabilities:
        """Return (N, K) probabilities for (N, S, S, 3) prepared pixels."""
        if self.bundle.manifest.input.shape[0] == 1 and len(batch) != 1:
            return np.concatenate([self._infer(image[None]) for image in batch])
        return self._infer(batch)

    def _infer(self, batch: Pixels) -> Probabilities:
        with self._lock:
            return self._engine.infer(batch)

    def explain(self, pixels: Pixels) -> Answer:
        """Return all that the model says of (S, S, 3) prepared pixels, region and map included.

        Raises:
            InputError: It is no model that looks twice.
        """
        self.check_explains()
        with self._lock:
            return self._engine.explain(pixels[None])

    def overlay(self, photo: Pixels, result: Result, *, contrast: bool = False) -> Image.Image:
        """Draw what an answer rests on: the photo with the region, its map, and the region alone.

        Args:
            photo: (H, W, 3) RGB, the picture of ``result``.
            result: The answer.
            contrast: Raise the map to the 4th power.

        Raises:
            InputError: It is no model that looks twice.
        """
        spec = self.check_explains()
        assert result.region is not None
        assert result.map is not None
        size = self._preprocess.size
        seen = self._preprocess.to_photo(Region(0, 0, size, size), photo.shape[1], photo.shape[0])
        return overlay(photo, result.region, seen, result.map, spec.top_o, contrast=contrast)

    def check_explains(self) -> ExplanationSpec:
        """Return how the model explains itself.

        Raises:
            InputError: It looks at a picture once.
        """
        spec = self.bundle.manifest.explanation
        if spec is None:
            raise InputError(
                f"{self.bundle.path} holds a model that looks at a picture once",
                "one with GLSim, which looks twice",
                "train one with model.glsim in its recipe",
            )
        return spec

    def predict_batch(
        self, pictures: Sequence[Picture], color: Color = "bgr", *, convert: bool | None = None
    ) -> list[Result]:
        """Classify several pictures, in order.

        A model whose graph takes batches gets them all at once, and each picture is given its
        share of the time; a graph for one picture, as exports write it, is run for each.

        Args:
            pictures: As for a single call.
            color: Channel order of arrays.
            convert: As for a single call.

        Raises:
            InputError: A picture cannot be used.
        """
        manifest = self.bundle.manifest
        if manifest.input.shape[0] == 1 or manifest.explanation or len(pictures) < 2:
            return [self(picture, color, convert=convert) for picture in pictures]
        start = time.perf_counter()
        batch = np.stack([self.prepare(one, color, convert=convert) for one in pictures])
        ready = time.perf_counter()
        answers = self._infer(batch)
        done = time.perf_counter()
        share = 1e3 / len(batch)
        timing = Timing((ready - start) * share, (done - ready) * share)
        return [self._result(probabilities, timing, None, None) for probabilities in answers]

    def stream(
        self, source: Source | Iterable[Frame | Picture] | Path | str, drop: Drop | None = None
    ) -> Generator[Result, None, None]:
        """Classify frames as they come.

        Args:
            source: What :func:`~edge_fgir.runtime.open_source` opens or opened; an iterable of
                frames, BGR arrays, Pillow images or paths of pictures; or a ``cv2.VideoCapture``,
                which stays yours to release.
            drop: ``oldest``: a thread reads the source and the newest frame wins, so the answer is
                never about a stale picture. ``none``: every frame is classified, in order. By
                default ``oldest`` for a source that says it is live: a camera, a network stream,
                or an object of yours whose ``live`` is True. A list or a generator loses nothing.

        Yields:
            Results whose ``frame`` carries the frame's number, timestamp and pixels.

        Raises:
            InputError: ``source`` gives no frames.
        """
        return classify_stream(lambda frame: replace(self(frame.pixels), frame=frame), source, drop)

    def _result(
        self,
        probabilities: Probabilities,
        timing: Timing,
        region: Region | None,
        similarity: Map | None,
    ) -> Result:
        index = int(probabilities.argmax())
        score = float(probabilities[index])
        return Result(
            label=self.labels[index],
            score=score,
            index=index,
            is_unknown=score < self._threshold,
            probabilities=probabilities,
            labels=self.labels,
            timing=timing,
            region=region,
            map=similarity,
        )

    def close(self) -> None:
        """Free the engine, after the answer that is being computed; a second time does nothing."""
        with self._lock:
            engine, self._engine = self._engine, _Closed()
            engine.close()

    def __enter__(self) -> Classifier:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
