"""What predicts a run's latency on a device, by precision: kept, measured now, or estimated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from edge_fgir._errors import InputError
from edge_fgir._files import scratch
from edge_fgir.benchmarking import DeviceHandle
from edge_fgir.models import Setting
from edge_fgir.profiling.device_ref import DeviceRef
from edge_fgir.profiling.fit import FittedModel, ProbedModel, architecture_key, fit_model
from edge_fgir.profiling.roofline import Roofline
from edge_fgir.profiling.workload import Workload
from edge_fgir.runtime import Precision

Predictor = FittedModel | Roofline
Tell = Callable[[str], None]


def latency_models(
    probed: ProbedModel,
    ref: DeviceRef,
    precisions: Sequence[Precision],
    folder: Path,
    calibration: Path | None = None,
    tell: Tell = lambda line: None,
) -> dict[Precision, Predictor]:
    """Return what predicts latencies, by precision.

    Args:
        probed: The model and the opened device.
        ref: The device by its name and descriptor.
        precisions: Those that are asked for.
        folder: Where models that were measured are kept, and looked for.
        calibration: A model that is given; it replaces measuring, and a data sheet. That of another
            width of the same architecture leaves four probes to be measured.
        tell: Gets a line for the user.

    Raises:
        InputError: ``calibration`` is about something else or of a precision that is not asked for,
            or the descriptor does not tell enough.
    """
    models: dict[Precision, Predictor] = {}
    relative = None
    if calibration is not None:
        given = FittedModel.read(calibration)
        given.check(probed.identity, probed.target.name, calibration)
        if given.precision not in precisions:
            raise InputError(
                f"{calibration} was measured in {given.precision}",
                f"a latency model in {' or '.join(precisions)}, as asked for",
                f"add --precision {given.precision}, or leave --calibration out",
            )
        if given.architecture == architecture_key(probed.trained):
            models[given.precision] = given
        else:
            relative = _relative(given, probed, calibration)
    with scratch() as graphs:
        for precision in precisions:
            if precision in models:
                continue
            if probed.device is not None:
                kept = folder / f"latency-{ref.file_name}-{probed.target.name}-{precision}.json"
                width = relative if relative and relative.precision == precision else None
                models[precision] = _kept(probed, probed.device, kept, tell) or _measured(
                    probed, probed.device, precision, kept, width, graphs, tell
                )
            elif calibration is None:
                assert ref.descriptor is not None
                load = Workload(probed.trained)
                models[precision] = Roofline.of(ref.descriptor, load, precision)
    return models


def _measured(
    probed: ProbedModel,
    device: DeviceHandle,
    precision: Precision,
    kept: Path,
    relative: FittedModel | None,
    graphs: Path,
    tell: Tell,
) -> FittedModel:
    fitted = fit_model(probed, device, precision, graphs, relative)
    fitted.save(kept)
    tell(
        f"{probed.trained.name} {precision} on {device.name}: {len(fitted.probes)} probes in "
        f"{fitted.seconds:.0f} s, error of one left out {100 * fitted.model.error:.1f} %"
        + (f", {fitted.disturbed} disturbed by other work" if fitted.disturbed else "")
    )
    return fitted


def _kept(probed: ProbedModel, device: DeviceHandle, path: Path, tell: Tell) -> FittedModel | None:
    """Return the model of an earlier call, if it is about this device, runtime and range."""
    if not path.exists():
        return None
    try:
        kept = FittedModel.read(path)
        kept.check(device.identity, probed.target.name, path)
    except InputError:
        return None
    if kept.architecture != architecture_key(probed.trained):
        return None
    if kept.versions != device.versions:  # another runtime has other kernels
        return None
    sizes = [probe.image_size for probe in kept.probes]
    if min(probed.space.sizes) < min(sizes) or max(sizes) < max(probed.space.sizes):
        return None
    tell(
        f"{probed.trained.name} {kept.precision} on {device.name}: {len(kept.probes)} probes of "
        f"an earlier call ({path})"
    )
    return kept


def _relative(given: FittedModel, probed: ProbedModel, source: Path) -> FittedModel:
    load = Workload(probed.trained)
    blocks = len(load.of(Setting(probed.trained.preprocess.size)).attention)
    if probed.device is None or not blocks or blocks != given.blocks:
        raise InputError(
            f"{source} is about another model",
            "one measured for this run, or for its architecture in another width",
        )
    return given
