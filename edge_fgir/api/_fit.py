"""From photographs to the best bundle for a device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge_fgir._errors import InputError
from edge_fgir.api._data import Data, data_set
from edge_fgir.exporting import NONE, PROGRAMS, read_target
from edge_fgir.fitting import Request
from edge_fgir.fitting import fit as fit_photographs
from edge_fgir.profiling import DeviceRef
from edge_fgir.results import Budget, Fit


def fit(
    photos: Data,
    out: Path | str,
    *,
    budget: Budget | None = None,
    target: str | None = None,
    device: str = "local",
    minutes: float = 60.0,
    weights: str = "offline",
    from_scratch_only: bool = False,
    unknown: Path | str | None = None,
    golden: Path | str | None = None,
    program: str | None = None,
    resume: bool = False,
    strict: bool = False,
    tell: Callable[[str], None] = lambda line: None,
    tell_device: Callable[[str], None] = lambda line: None,
) -> Fit:
    """Find, train, export and measure the best network for a device, as ``edge-fgir fit`` does.

    Args:
        photos: A folder of photographs by class, split or not, a built-in name, or an open data
            set.
        out: The bundle, ``X.fgir``; ``X.fit.json`` and the page ``X.html`` are written beside it,
            and the work folder ``X.fit``, which may be removed at the end.
        budget: What the device can spare, and what must be reached; None: no bounds.
        target: How the device runs networks; None: as ``program`` needs it, or the device's
            descriptor says.
        device: ``local`` or ``user@host[:port]``.
        minutes: That all of it may take.
        weights: Where pretrained weights are from: ``offline``: installed packages alone; ``timm``:
            timm may download some.
        from_scratch_only: No weights of others in the bundle; a teacher may have them.
        unknown: Folder of pictures that the model shall not know: the bundle says how many of them
            it rejects.
        golden: Folder of pictures that the bundle carries for ``verify``; None: some of the
            validation split.
        program: Another program that the bundle carries files for, ``frigate`` or ``frigate-bird``.
        resume: Go on where an earlier call stopped.
        strict: Refuse pictures that are broken or no upright 8-bit RGB.
        tell: Gets a line for the user.
        tell_device: Gets a line about the connection to the device.

    Raises:
        InputError: Data, device or budget are such that there is no choice, or ``out`` holds
            something else.
        EdgeFgirError: The device was lost, nothing passed the gates, or the accuracy that was asked
            for was not reached; in the last case everything has been written.
    """
    if not 0 < minutes <= 60 * 24 * 30:
        raise InputError(f"--minutes {minutes:g}", "minutes between 0 and a month")
    if weights not in ("offline", "timm"):
        raise InputError(f"--weights {weights}", "offline or timm")
    ref, pictures = DeviceRef.parse(device), data_set(photos, strict=strict)
    if program is not None and NONE not in pictures.classes:
        tell(
            f"{pictures.name} has no class {NONE}: what is of no class will be told by low scores "
            "alone; sort such pictures into a folder of that name"
        )
    request = Request(
        data=pictures,
        target=read_target(target or PROGRAMS.get(program or "", ref.target)),
        device=ref,
        budget=budget or Budget(),
        minutes=minutes,
        timm_too=weights == "timm",
        from_scratch_only=from_scratch_only,
        unknown=None if unknown is None else Path(unknown),
        golden=None if golden is None else Path(golden),
        program=program,
    )
    return fit_photographs(request, Path(out), resume=resume, tell=tell, tell_device=tell_device)
