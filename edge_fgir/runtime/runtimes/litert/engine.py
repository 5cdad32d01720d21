"""A bundle's TensorFlow Lite file in LiteRT."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from edge_fgir.runtime.bundle import Bundle
from edge_fgir.runtime.formats import check_tflite
from edge_fgir.runtime.preprocess import Pixels
from edge_fgir.runtime.runtimes.litert import LITERT
from edge_fgir.runtime.runtimes.litert.interpreter import open_interpreter
from edge_fgir.runtime.runtimes.opening import Outputs, refusing, unloadable
from edge_fgir.runtime.runtimes.pool import Pool
from edge_fgir.runtime.runtimes.spec import Answer, Probabilities
from edge_fgir.runtime.targets import operators_of


class LiteRtEngine:
    """Interpreters of one file, each of which answers one picture at a time.

    Args:
        bundle: Its model file is a TensorFlow Lite file.
        threads: That compute one answer; None: one a core.
    """

    def __init__(self, bundle: Bundle, *, threads: int | None = None) -> None:
        model = bundle.read(bundle.manifest.model_file)
        with refusing(bundle):
            check_tflite(model, operators_of(bundle.manifest.runtime))
        try:
            self._interpreters = Pool(partial(open_interpreter, model, threads=threads or 0))
        except ImportError as error:
            raise LITERT.missing(f"opening {bundle.path}") from error
        except (RuntimeError, ValueError) as error:
            raise unloadable(bundle, "LiteRT", error) from error
        with self._interpreters.taken() as interpreter:
            self._input = interpreter.get_input_details()[0]["index"]
            places = {one["name"]: one["index"] for one in interpreter.get_output_details()}
        self._outputs = Outputs.of(bundle, places)
        self._places = [places[name] for name in self._outputs.names]
        self.description = f"{LITERT.library.replace('_', '-')} {LITERT.version} CPU XNNPACK"

    def infer(self, batch: Pixels) -> Probabilities:
        """Return (1, K) probabilities."""
        (probabilities,) = self._run(batch, self._places[:1])
        return np.asarray(probabilities, dtype=np.float32)

    def observe(self, batch: Pixels) -> Answer:
        """Return all outputs for one image."""
        return self._outputs.answer(self._run(batch, self._places))

    def _run(self, batch: Pixels, places: list[int]) -> list[Any]:
        with self._interpreters.taken() as interpreter:
            interpreter.set_tensor(self._input, batch)
            interpreter.invoke()
            return [interpreter.get_tensor(place) for place in places]

    def close(self) -> None:
        """Free the interpreters."""
        del self._interpreters
