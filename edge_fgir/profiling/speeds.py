"""How fast a run is on a device, by precision: known already, measured now, or estimated."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from edge_fgir._errors import InputError
from edge_fgir.exporting import Target
from edge_fgir.models.setting import Setting
from edge_fgir.models.trained import TrainedModel
from edge_fgir.profiling.measured import MeasuredModel, architecture_key, measure_model
from edge_fgir.profiling.place import Place
from edge_fgir.profiling.rigs import Rig
from edge_fgir.profiling.roofline import Roofline
from edge_fgir.profiling.space import Space
from edge_fgir.profiling.work import Workload
from edge_fgir.runtime.manifest import Precision

Speed = MeasuredModel | Roofline


def speeds_of(
    trained: TrainedModel,
    space: Space,
    target: Target,
    place: Place,
    *,
    precisions: Sequence[Precision],
    folder: Path,
    calibration: Path | None,
    tell: Callable[[str], None],
) -> dict[Precision, Speed]:
    """Return latency models.

    Args:
        trained: The model.
        space: Its settings.
        target: How the device runs it.
        place: The device.
        precisions: Those that are asked for.
        folder: Where models that were measured are kept, and looked for.
        calibration: One that is given; it replaces measuring, and a data sheet. That of another
            width of the same architecture leaves four probes to be measured.
        tell: Gets a line for the user.

    Raises:
        InputError: ``calibration`` is about something else, or the device is neither at hand nor
            described.
    """
    found: dict[Precision, Speed] = {}
    relative = None
    if calibration is not None:
        given = MeasuredModel.read(calibration)
        given.check(place.rig.identity() if place.rig is not None else {}, target.name, calibration)
        if given.architecture == architecture_key(trained):
            found[given.precision] = given
        else:
            relative = _relative(given, trained, place, calibration)
    with tempfile.TemporaryDirectory() as graphs:
        for precision in precisions:
            if precision in found:
                continue
            if place.rig is not None:
                kept = folder / f"latency-{place.file_name}-{target.name}-{precision}.json"
                found[precision] = _measured(
                    trained,
                    space,
                    target,
                    place.rig,
                    precision,
                    graphs=Path(graphs),
                    relative=relative if relative and relative.precision == precision else None,
                    kept=kept,
                    tell=tell,
                )
            elif calibration is None:
                assert place.descriptor is not None
                found[precision] = Roofline.of(place.descriptor, Workload(trained), precision)
    return found


def _measured(
    trained: TrainedModel,
    space: Space,
    target: Target,
    rig: Rig,
    precision: Precision,
    *,
    graphs: Path,
    relative: MeasuredModel | None,
    kept: Path,
    tell: Callable[[str], None],
) -> MeasuredModel:
    name = f"{trained.name} {precision} on {rig.name}"
    known = _known(trained, space, target, rig, kept)
    if known is not None:
        tell(f"{name}: {len(known.probes)} probes of an earlier call ({kept})")
        return known
    found = measure_model(trained, list(space.whole()), target, precision, rig, graphs, relative)
    found.save(kept)
    disturbed = sum(probe.disturbed for probe in found.probes)
    tell(
        f"{name}: {len(found.probes)} probes in {found.seconds:.0f} s, "
        f"error of one left out {100 * found.model.error:.1f} %"
        + (f", {disturbed} disturbed by other work" if disturbed else "")
    )
    return found


def _known(
    trained: TrainedModel, space: Space, target: Target, rig: Rig, path: Path
) -> MeasuredModel | None:
    if not path.exists():
        return None
    try:
        found = MeasuredModel.read(path)
        found.check(rig.identity(), target.name, path)
    except InputError:
        return None
    if found.architecture != architecture_key(trained):
        return None
    if rig.versions() and found.versions != rig.versions():  # another runtime has other kernels
        return None
    probed = [probe.image_size for probe in found.probes]
    inside = min(probed) <= min(space.sizes) and max(space.sizes) <= max(probed)
    return found if inside else None


def _relative(
    given: MeasuredModel, trained: TrainedModel, place: Place, source: Path
) -> MeasuredModel:
    load = Workload(trained)
    blocks = len(load.of(Setting(trained.preprocess.size)).attention)
    if place.rig is None or not blocks or blocks != given.blocks:
        raise InputError(
            f"{source} is about another model",
            "one measured for this run, or for its architecture in another width",
        )
    return given
