"""Train, fit and deploy fine-grained image recognisers on edge devices.

The camera app's whole API::

    from edge_fgir import Classifier

    with Classifier.open("birds.fgir") as model:
        result = model(frame)
        print(result.label, result.score)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_fgir._offline import refuse_telemetry

__version__ = "0.1.0"

if TYPE_CHECKING:
    from edge_fgir._errors import EdgeFgirError, GateError, InputError
    from edge_fgir.runtime import Classifier, Result

refuse_telemetry()  # before anything imports a library that would send it

__all__ = ["Classifier", "EdgeFgirError", "GateError", "InputError", "Result", "__version__"]


def __getattr__(name: str) -> Any:
    # Imported on first use: `import edge_fgir` itself costs a few milliseconds.
    if name in ("Classifier", "Result"):
        from edge_fgir import runtime

        return getattr(runtime, name)
    if name in ("EdgeFgirError", "GateError", "InputError"):
        from edge_fgir import _errors

        return getattr(_errors, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
