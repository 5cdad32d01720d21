"""Opening a bundle's model in its runtime, and what all runtimes share when they do."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_fgir._errors import InputError
from edge_fgir.runtime.engine_options import AUTO, Device, EngineOptions
from edge_fgir.runtime.runtimes.registry import find_runtime
from edge_fgir.runtime.runtimes.spec import Answer, Engine, RuntimeSpec

if TYPE_CHECKING:
    from edge_fgir.runtime.bundle import Bundle

_LOG = logging.getLogger("edge_fgir.devices")


def open_engine(bundle: Bundle, options: EngineOptions | Device = AUTO) -> Engine:
    """Compile the bundle's model.

    Args:
        bundle: It.
        options: How; a device alone stands for the options with it. ``auto`` is the first device
            of the bundle's own runtime, or the one that ``verify --all-devices`` found to be right
            and fastest here. The device of its replay (``cpu`` on a Jetson bundle)
            computes the model in another runtime: for checking, not for speed.

    Raises:
        InputError: The target cannot run there, or its library is not installed.
    """
    if isinstance(options, str):
        options = EngineOptions(options)
    manifest, device = bundle.manifest, options.device
    spec = find_runtime(manifest.runtime)
    if not spec.has(device):
        other = _target_with(device)
        raise InputError(
            f"{bundle.path} is for target {manifest.target} and has no device {device!r}",
            f"one of {', '.join(spec.choices)}",
            "choose another --device" + (f", or export with --target {other}" if other else ""),
        )
    if options.precision is not None and not spec.has_precision:
        raise InputError(
            f"{bundle.path} in precision {options.precision}",
            f"none: {spec.name} computes a bundle as it was exported",
        )
    if spec.replay is not None and device == spec.replay.device:
        return spec.replay.open(bundle, options)
    if device == AUTO:
        return _open_best(bundle, spec, options)
    return spec.open(bundle, options)


def _open_best(bundle: Bundle, spec: RuntimeSpec, options: EngineOptions) -> Engine:
    from edge_fgir.runtime.evidence import best_device

    best, first = best_device(bundle, spec), spec.devices[0]
    if best != first:
        try:
            return spec.open(bundle, replace(options, device=best))
        except InputError as error:
            _LOG.warning("%s, which was the fastest, cannot be opened now: %s", best, error)
    return spec.open(bundle, replace(options, device=first))


def _target_with(device: Device) -> str | None:
    """Return a target whose runtime computes on ``device``; None where there is none."""
    from edge_fgir.runtime.targets import read_target_info, target_names

    for name in target_names():
        if device in find_runtime(read_target_info(name).runtime).devices:
            return name
    return None


@dataclass(frozen=True)
class Outputs:
    """The graph's outputs that a bundle's manifest declares.

    Attributes:
        names: Of them, the probabilities first.
        fields: What of an :class:`Answer` each of them is.
    """

    names: tuple[str, ...]
    fields: tuple[str, ...]

    @classmethod
    def of(cls, bundle: Bundle, known: Collection[str] | None = None) -> Outputs:
        """Return a bundle's.

        Raises:
            InputError: One beside the probabilities is not among ``known``, if these are known.
        """
        manifest = bundle.manifest
        more = {}
        if (explanation := manifest.explanation) is not None:
            more = {"regions": explanation.region, "maps": explanation.similarity}
        if manifest.features is not None:
            more["features"] = manifest.features.output
        for name in more.values():
            if known is not None and name not in known:
                raise InputError(
                    f"{bundle.path}: the model has no output {name!a}",
                    "the outputs its manifest names",
                    "export the bundle again",
                )
        return cls((manifest.output.name, *more.values()), ("probabilities", *more))

    def answer(self, values: Iterable[Any]) -> Answer:
        """Return the outputs' values, in the order of ``names``, in ``float32``."""
        arrays = (np.array(value, dtype=np.float32) for value in values)
        return Answer(**dict(zip(self.fields, arrays, strict=True)))


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
    from edge_fgir.runtime.formats import check_onnx
    from edge_fgir.runtime.targets import operators_of

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
