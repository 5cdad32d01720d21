"""From a picture to the model's input: the only evaluation preprocessing in the project.

Training's evaluation, the calibration set and the device all call :meth:`Preprocess.apply`, so the
pixels a model was judged on are the pixels it sees in the field. docs/preprocessing.md specifies
them, for whoever writes the step in another language.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import numpy as np
from PIL import Image
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from edge_fgir._errors import InputError
from edge_fgir.runtime.block_means import Pixels as Pixels
from edge_fgir.runtime.block_means import block_means, block_of
from edge_fgir.runtime.cubic_samples import cubic_samples

Kernel = Literal["bilinear", "bicubic"]
Shrink = Literal["kernel", "blocks"]

PIL_KERNEL = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


class Region(NamedTuple):
    """A box, pixels; right and bottom are exclusive."""

    left: float
    top: float
    right: float
    bottom: float


class Preprocess(BaseModel):
    """How a picture becomes the model's ``uint8`` input; written as ``preprocess.json``.

    The aspect ratio is not kept: the picture is stretched to a square of ``size / crop_fraction``
    pixels and the centre ``size`` pixels are kept
    (arXiv 2507.12157, docs/science/tgda.md#pictures). Mean and standard
    deviation are part of the exported graph, not of this step.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Annotated[int, Field(ge=16, le=4096, description="side of the square input, pixels")]
    kernel: Annotated[Kernel, Field(description="interpolation kernel of the resize")] = "bilinear"
    antialias: Annotated[
        bool, Field(description="widen the kernel when shrinking, as Pillow's resize does")
    ] = True
    crop_fraction: Annotated[
        float, Field(gt=0.25, le=1.0, description="share of the side the centre crop keeps")
    ] = 1.0
    shrink: Annotated[
        Shrink,
        Field(
            description="what an antialiasing kernel reads of a large picture: every pixel, or the "
            "means of blocks of pixels; earlier runs and bundles do not say: every pixel"
        ),
    ] = "kernel"
    view_size: Annotated[
        int | None,
        Field(
            ge=16,
            le=4096,
            description="two steps: the picture as all other keys say at this side, pixels, of "
            "which a cubic kernel without antialias samples the input; null: one step",
        ),
    ] = None

    @model_validator(mode="after")
    def _consistent(self) -> Preprocess:
        if self.view_size is not None and not self.antialias:
            raise ValueError("view_size needs antialias true: its first step is a resize")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        """Leave out what earlier versions did not write, so that their keys of caches hold."""
        values: dict[str, JsonValue] = handler(self)
        if self.shrink == "kernel":
            values.pop("shrink", None)
        if self.view_size is None:
            values.pop("view_size", None)
        return values

    @property
    def first_step(self) -> Preprocess:
        """What makes the picture that the input is sampled from: itself where one step does all."""
        if self.view_size is None:
            return self
        return self.model_copy(update={"size": self.view_size, "view_size": None})

    def apply(self, pixels: Pixels) -> Pixels:
        """Return (H, W, 3) ``pixels`` as (size, size, 3); the channel order is kept.

        Raises:
            InputError: ``pixels`` is not a ``uint8`` array of shape (H, W, 3).
        """
        check_pixels(pixels)
        if pixels.strides[2] < 0:  # turned from BGR to RGB: turning the small picture is faster
            return np.ascontiguousarray(self.apply(pixels[..., ::-1])[..., ::-1])
        if self.view_size is not None:
            return cubic_samples(self.first_step.apply(pixels), self.size)
        side = round(self.size / self.crop_fraction)
        start = (side - self.size) // 2
        if pixels.shape[:2] != (side, side):
            if self.antialias and self.shrink == "blocks":
                return self._shrunk(pixels, side, start)
            pixels = self._resize(pixels, side)
        if side != self.size:
            pixels = pixels[start : start + self.size, start : start + self.size]
        return np.ascontiguousarray(pixels)

    def to_photo(self, region: Region, width: int, height: int) -> Region:
        """Return a region of the model's input in the pixels of the photo, ``width`` x ``height``,
        that :meth:`apply` made it of.
        """
        first = self.first_step
        side = round(first.size / self.crop_fraction)
        start = (side - first.size) // 2
        larger = first.size / self.size
        left, top, right, bottom = (edge * larger + start for edge in region)
        across, down = width / side, height / side
        return Region(left * across, top * down, right * across, bottom * down)

    def _shrunk(self, pixels: Pixels, side: int, start: int) -> Pixels:
        """Return the centre of the picture at ``side`` x ``side`` pixels, nothing around it."""
        height, width, _ = pixels.shape
        block = block_of(height, width, side)
        if block is None:
            down = across = 1
            image = _image(pixels)
        else:
            down, across = block
            means = block_means(pixels, block)
            size = means.shape[1], means.shape[0]
            image = Image.frombytes("RGB", size, means, "raw", "RGBX")
        end = start + self.size
        left, right = (edge * width / (side * across) for edge in (start, end))
        top, bottom = (edge * height / (side * down) for edge in (start, end))
        # One axis a call: which one goes first where both do is not the same in every Pillow.
        kernel = PIL_KERNEL[self.kernel]
        narrow = image.resize((self.size, image.height), kernel, (left, 0, right, image.height))
        box = (0, top, self.size, bottom)
        return np.asarray(narrow.resize((self.size, self.size), kernel, box))

    def _resize(self, pixels: Pixels, side: int) -> Pixels:
        image = _image(pixels)
        kernel = PIL_KERNEL[self.kernel]
        if self.antialias:
            return np.asarray(image.resize((side, side), kernel))
        # Pillow's resize always antialiases; its affine transform samples points. Half-pixel
        # centres, as OpenCV, OpenVINO and torch use, are Pillow's own convention there.
        affine = (image.width / side, 0.0, _EDGE, 0.0, image.height / side, _EDGE)
        padded = _with_edge(image)
        return np.asarray(padded.transform((side, side), Image.Transform.AFFINE, affine, kernel))


def _image(pixels: Pixels) -> Image.Image:
    # Half the time of Image.fromarray, which finds the mode by the array's description.
    height, width, _ = pixels.shape
    return Image.frombytes("RGB", (width, height), np.ascontiguousarray(pixels), "raw", "RGB")


_EDGE = 2


def _with_edge(image: Image.Image) -> Image.Image:
    # The affine transform paints black where its kernel leaves the picture: repeat the border.
    pixels = np.pad(np.asarray(image), ((_EDGE, _EDGE), (_EDGE, _EDGE), (0, 0)), mode="edge")
    return Image.fromarray(pixels)


def check_pixels(pixels: object) -> None:
    """Raise InputError unless ``pixels`` is a ``uint8`` array of shape (H, W, 3).

    The error says the call that mends it.
    """
    if not isinstance(pixels, np.ndarray):
        found, mend = type(pixels).__name__, "np.asarray(frame) makes an array of most things"
        if pixels is None:
            mend = "cv2.imread and read() give None where they read nothing: check their answer"
        raise InputError(
            f"frame of type {found}", "an HWC uint8 array, a PIL image or a path", mend
        )
    shape = pixels.shape
    if pixels.ndim != 3 or shape[2] != 3 or 0 in shape:
        raise InputError(f"frame of shape {shape}", "(height, width, 3)", _shape_mend(shape))
    if pixels.dtype != np.uint8:
        mend = _DTYPE_MENDS.get(pixels.dtype.kind, "frame.astype(np.uint8)")
        if pixels.dtype == np.uint16:
            mend = "(frame >> 8).astype(np.uint8) for all 16 bits in use"
        raise InputError(f"frame of type {pixels.dtype}", "an HWC uint8 array", mend)


_DTYPE_MENDS = {
    "f": "(frame * 255).round().clip(0, 255).astype(np.uint8) for values in 0..1",
    "b": "frame.astype(np.uint8) * 255",
}


def _shape_mend(shape: tuple[int, ...]) -> str:
    if 0 in shape:
        return "it holds no pixels: is the region that was cut out inside the picture?"
    if len(shape) == 2:
        return "grey becomes colour by cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR)"
    if len(shape) == 4:
        return "a batch goes to predict_batch(list(frames)), or one of it: frames[0]"
    if len(shape) == 3 and shape[2] == 1:
        return "grey becomes colour by frame.repeat(3, axis=2)"
    if len(shape) == 3 and shape[2] == 4:
        return "transparency is left out by frame[..., :3]"
    if len(shape) == 3 and shape[2] == 2:
        return "packed YUV becomes BGR by cv2.cvtColor(frame, cv2.COLOR_YUV2BGR_YUY2)"
    if len(shape) == 3 and shape[0] == 3:
        return "channels go last by frame.transpose(1, 2, 0)"
    return ""
