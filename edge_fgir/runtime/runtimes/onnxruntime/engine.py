"""A bundle's ONNX graph in ONNX Runtime."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np

from edge_fgir.runtime.bundle import Bundle
from edge_fgir.runtime.compiled import compiled_key, shared
from edge_fgir.runtime.preprocess import Pixels
from edge_fgir.runtime.runtimes.onnxruntime import ONNXRUNTIME
from edge_fgir.runtime.runtimes.onnxruntime.session import SharedWeightError, open_session
from edge_fgir.runtime.runtimes.opening import Outputs, checked_onnx, unloadable
from edge_fgir.runtime.runtimes.spec import Answer, Probabilities


class OnnxRuntimeEngine:
    """One session on the CPU provider; its ``run`` may be called by several threads at once.

    Args:
        bundle: Its model file is an ONNX file.
        threads: That compute one answer; None: one a core.
        optimized: Let ONNX Runtime optimise the graph.
        cache: Share the session with others who have the same open in this process.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        threads: int | None = None,
        optimized: bool = True,
        cache: bool = True,
    ) -> None:
        model = checked_onnx(bundle)

        def opened() -> Any:
            return _session(bundle, model, optimized=optimized, threads=threads or 0)

        if cache:
            how = {"optimized": optimized, "threads": threads}
            self._session = shared(compiled_key(bundle, library="onnxruntime", **how), opened)
        else:
            self._session = opened()
        outputs = {output.name for output in self._session.get_outputs()}
        self._input = bundle.manifest.input.name
        self._outputs = Outputs.of(bundle, outputs)
        self.description = f"onnxruntime {version('onnxruntime')} CPU"

    def infer(self, batch: Pixels) -> Probabilities:
        """Return (N, K) probabilities."""
        (probabilities,) = self._session.run(self._outputs.names[:1], {self._input: batch})
        return np.asarray(probabilities, dtype=np.float32)

    def observe(self, batch: Pixels) -> Answer:
        """Return all outputs for one image."""
        return self._outputs.answer(self._session.run(self._outputs.names, {self._input: batch}))

    def close(self) -> None:
        """Free the session."""
        del self._session


def _session(bundle: Bundle, model: bytes, *, optimized: bool, threads: int) -> Any:
    try:
        opened = partial(open_session, model, optimized=optimized, threads=threads)
        try:
            return opened(exact=True)
        except SharedWeightError:  # on x86 without VNNI
            return opened()
    except ImportError as error:
        raise ONNXRUNTIME.missing(f"opening {bundle.path}") from error
    except Exception as error:  # ONNX Runtime's errors have no base of their own
        raise unloadable(bundle, "ONNX Runtime", error) from error
