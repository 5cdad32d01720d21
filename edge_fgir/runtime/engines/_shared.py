"""What the engines have in common."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edge_fgir._errors import InputError
from edge_fgir.runtime.bundle import Bundle
from edge_fgir.runtime.formats import check_onnx
from edge_fgir.runtime.targets import operators_of

Probabilities = npt.NDArray[np.float32]


class Answer(NamedTuple):
    """All outputs of a model that explains itself.

    Attributes:
        probabilities: (N, K).
        regions: (N, 4) left, top, right, bottom, input pixels.
        maps: (N, g, g) similarity.
    """

    probabilities: Probabilities
    regions: npt.NDArray[np.float32]
    maps: npt.NDArray[np.float32]


def output_names(bundle: Bundle, known: Collection[str] | None = None) -> list[str]:
    """Return the graph's outputs in the order of an :class:`Answer`; one where there is no more.

    Raises:
        InputError: One beside the probabilities is not among those ``known`` to the library.
    """
    manifest = bundle.manifest
    spec = manifest.explanation
    more = () if spec is None else (spec.region, spec.similarity)
    for name in more:
        if known is not None and name not in known:
            raise InputError(
                f"{bundle.path}: the model has no output {name!a}",
                "the outputs its manifest names",
                "export the bundle again",
            )
    return [manifest.output.name, *more]


def answer_of(outputs: list[Any]) -> Answer:
    """Return outputs, in that order, as ``float32``."""
    return Answer(*(np.array(output, dtype=np.float32) for output in outputs))


@contextmanager
def refusing(bundle: Bundle) -> Iterator[None]:
    """Turn a ValueError about the bundle's model file into the error for its user."""
    try:
        yield
    except ValueError as error:
        raise InputError(
            f"{bundle.path}/{bundle.manifest.model_file}: {error}",
            "a model as edge-fgir exports it",
            "do not use the bundle; export it again, or update edge-fgir",
        ) from error


def checked_onnx(bundle: Bundle) -> bytes:
    """Return the bundle's ONNX file, of which a library may read everything.

    Raises:
        InputError: It is none, or holds what no export writes.
    """
    model = bundle.read(bundle.manifest.model_file)
    with refusing(bundle):
        check_onnx(model, operators_of(bundle.manifest.runtime))
    return model


def unloadable(bundle: Bundle, library: str, error: Exception) -> InputError:
    """Return the error for a model that ``library`` refuses, with its reason."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    reason = lines[-1] if lines else type(error).__name__
    return InputError(
        f"{bundle.path}/{bundle.manifest.model_file}: {library} cannot load it ({reason})",
        "the model as exported",
        "update the library, or export the bundle again",
    )
