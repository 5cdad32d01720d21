"""``verify``: is this bundle whole, and does it answer here as it did when it was made?"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from edge_fgir._errors import InputError
from edge_fgir.runtime.bundle import Bundle, Check
from edge_fgir.runtime.classifier import Classifier
from edge_fgir.runtime.engines import Device, open_engine
from edge_fgir.runtime.preprocess import Pixels


def verify(
    path: Path | str, device: Device = "auto", trust: Path | str | None = None
) -> Iterator[Check]:
    """Yield the checks of a bundle: signature, files, contents, then the golden images replayed.

    An unsigned bundle has no check of its signature; with ``trust``, the PEM file of a public key,
    it is refused. A Jetson bundle on a machine without TensorRT is replayed in ONNX Runtime, and
    the check's name says so.

    Raises:
        InputError: A file was changed, is missing or is not listed, the signature is not that of
            ``trust``, or no engine is at hand.
    """
    bundle = Bundle(path, trust)
    yield from bundle.check_files()
    replay = device
    if bundle.manifest.runtime == "tensorrt" and device == "auto" and not _has_tensorrt():
        replay = "cpu"
    with Classifier(bundle, open_engine(bundle, replay)) as model:
        yield _replay(model, bundle)


def _has_tensorrt() -> bool:
    from importlib.util import find_spec

    return find_spec("tensorrt") is not None


def _replay(model: Classifier, bundle: Bundle) -> Check:
    golden = bundle.golden
    worst, wrong = 0.0, []
    for image in golden.images:
        expected = np.asarray(image.probabilities, np.float32)
        if expected.shape != (len(bundle.labels),):
            raise InputError(
                f"{bundle.path}/golden/expected.json: {image.file} has {expected.size} values",
                f"{len(bundle.labels)}",
            )
        found = model.infer(_golden_pixels(bundle, image.file)[None])[0]
        # Unlike max(), this keeps a NaN, which is within no tolerance.
        worst = float(np.max([worst, *np.abs(found - expected)]))
        if found.argmax() != expected.argmax():
            wrong.append(image.file)
    detail = (
        f"{len(golden.images)} images, max |delta p| {worst:.2g} (allowed {golden.tolerance:g})"
    )
    if wrong:
        detail += f", other label on {', '.join(wrong)}"
    return Check(
        f"golden images in {model.info['engine']}", not wrong and worst <= golden.tolerance, detail
    )


def _golden_pixels(bundle: Bundle, file: str) -> Pixels:
    data = bundle.read(f"golden/{file}")
    side = bundle.preprocess.size
    wanted = f"{side} x {side} RGB"
    try:
        # Of all formats only the one that is written: some decoders start other programs.
        with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
            found = f"{picture.width} x {picture.height} {picture.mode}"
            if found == wanted:  # asked before anything is decoded
                return np.asarray(picture)
    except Exception as error:  # Pillow's decoders raise many kinds
        raise InputError(f"{bundle.path}/golden/{file}: {error}", "a PNG picture") from error
    raise InputError(f"{bundle.path}/golden/{file} is {found}", wanted)
