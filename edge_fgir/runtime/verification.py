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
from edge_fgir.runtime.engine_options import AUTO, Device, EngineOptions
from edge_fgir.runtime.preprocess import Pixels
from edge_fgir.runtime.runtimes import find_runtime, open_engine, runtimes_here


def verify(
    path: Path | str, device: Device = AUTO, trust: Path | str | None = None
) -> Iterator[Check]:
    """Yield the checks of a bundle: signature, files, contents, then the golden images replayed,
    by each of its variants in every runtime that it has files for and that is installed here.

    An unsigned bundle has no check of its signature; with ``trust``, the PEM file of a public key,
    it is refused. Where the bundle's own library is not installed, another one replays it if its
    runtime has a replay (ONNX Runtime for a Jetson's), and the check's name says so.

    Example::

        import edge_fgir as ef

        for check in ef.verify("birds.fgir"):
            print(check.ok, check.name, check.detail)

    Raises:
        InputError: A file was changed, is missing or is not listed, the signature is not that of
            ``trust``, or no engine is at hand.
    """
    bundle = Bundle(path, trust)
    yield from bundle.check_files()
    here = runtimes_here(bundle, EngineOptions(device))
    for name in here or [bundle.manifest.runtime]:
        runtime = find_runtime(name)
        place = runtime.gate_device if device == AUTO and not runtime.installed else device
        # Compiled from the files that are being verified.
        options = EngineOptions(place, cache=False)
        for form in (variant.in_runtime(name) for variant in bundle.variants):
            with Classifier(form, open_engine(form, options)) as model:
                yield replay(model, form)


def replay(model: Classifier, bundle: Bundle) -> Check:
    """Compare what an open bundle answers to its golden pictures with what it answered once."""
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
    name = f"golden images in {model.info['engine']}"
    if bundle.variant is not None:
        name += f" at {bundle.variant}"
    return Check(name, not wrong and worst <= golden.tolerance, detail)


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
