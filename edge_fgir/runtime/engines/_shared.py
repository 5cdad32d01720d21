"""What the engines have in common."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_fgir._errors import InputError
from edge_fgir.runtime.bundle import Bundle

Probabilities = npt.NDArray[np.float32]


def unloadable(bundle: Bundle, library: str, error: Exception) -> InputError:
    """Return the error for a model that ``library`` refuses, with its reason."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    reason = lines[-1] if lines else type(error).__name__
    return InputError(
        f"{bundle.path}/{bundle.manifest.model_file}: {library} cannot load it ({reason})",
        "the model as exported",
        "update the library, or export the bundle again",
    )
