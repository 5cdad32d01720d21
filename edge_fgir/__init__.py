"""Train, fit and deploy fine-grained image recognisers on edge devices.

On the device::

    import edge_fgir as ef

    with ef.Classifier.open("birds.fgir") as model:
        result = model("photo.png")
        print(result.label, result.score)

On the workstation::

    import edge_fgir as ef

    run = ef.train("recipe.yaml", "photos", "runs/student")
    bundle = ef.export(run, "openvino", "photos", "birds.fgir", ef.ExportOptions("fp32"))
    print(ef.evaluate(bundle.path, "photos", "val").top1)

Each name is imported when it is first used, so that a device never loads what only a workstation
has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_fgir._lazy import lazy
from edge_fgir._offline import refuse_telemetry

__version__ = "0.1.0"

if TYPE_CHECKING:
    from edge_fgir._errors import EdgeFgirError, GateError, InputError
    from edge_fgir.api._bench import bench
    from edge_fgir.api._evaluate import evaluate
    from edge_fgir.api._export import export
    from edge_fgir.api._fit import fit
    from edge_fgir.api._import import import_checkpoint
    from edge_fgir.api._profile import profile
    from edge_fgir.api._thresholds import fit_thresholds
    from edge_fgir.api._train import train
    from edge_fgir.exporting import ExportOptions
    from edge_fgir.hub import pull, push
    from edge_fgir.models.setting import Setting
    from edge_fgir.results import Budget
    from edge_fgir.runs import Run
    from edge_fgir.runtime import (
        Bundle,
        CameraOptions,
        Classifier,
        EngineOptions,
        EventOptions,
        Frame,
        Result,
        Site,
        Tracker,
        open_sink,
        open_source,
        verify,
    )

refuse_telemetry()  # before anything imports a library that would send it

_MODULES = {
    "_errors": ("EdgeFgirError", "GateError", "InputError"),
    "api._bench": ("bench",),
    "api._evaluate": ("evaluate",),
    "api._export": ("export",),
    "api._fit": ("fit",),
    "api._import": ("import_checkpoint",),
    "api._profile": ("profile",),
    "api._thresholds": ("fit_thresholds",),
    "api._train": ("train",),
    "exporting": ("ExportOptions",),
    "hub": ("pull", "push"),
    "models.setting": ("Setting",),
    "results": ("Budget",),
    "runs": ("Run",),
    "runtime": (
        "Bundle",
        "CameraOptions",
        "Classifier",
        "EngineOptions",
        "EventOptions",
        "Frame",
        "Result",
        "Site",
        "Tracker",
        "open_sink",
        "open_source",
        "verify",
    ),
}

__all__ = [
    "Budget",
    "Bundle",
    "CameraOptions",
    "Classifier",
    "EdgeFgirError",
    "EngineOptions",
    "EventOptions",
    "ExportOptions",
    "Frame",
    "GateError",
    "InputError",
    "Result",
    "Run",
    "Setting",
    "Site",
    "Tracker",
    "__version__",
    "bench",
    "evaluate",
    "export",
    "fit",
    "fit_thresholds",
    "import_checkpoint",
    "open_sink",
    "open_source",
    "profile",
    "pull",
    "push",
    "train",
    "verify",
]


__getattr__ = lazy(__name__, _MODULES)


def __dir__() -> list[str]:
    return __all__
