"""A bundle's IR in OpenVINO."""

from __future__ import annotations

from contextlib import suppress
from importlib.metadata import version
from typing import Any

import numpy as np

from edge_fgir._errors import InputError
from edge_fgir.runtime.bundle import Bundle
from edge_fgir.runtime.compiled import compiled_key, keep_compiled, load_compiled, shared
from edge_fgir.runtime.engine_options import EngineOptions
from edge_fgir.runtime.precision import is_bfloat16
from edge_fgir.runtime.preprocess import Pixels
from edge_fgir.runtime.runtimes.opening import Outputs, refusing, unloadable
from edge_fgir.runtime.runtimes.openvino import OPENVINO
from edge_fgir.runtime.runtimes.openvino.core import has_bfloat16, hints_for, openvino_core
from edge_fgir.runtime.runtimes.pool import Pool
from edge_fgir.runtime.runtimes.spec import Answer, Probabilities


class OpenVinoEngine:
    """One compiled model, tuned for latency, and an infer request for each call under way."""

    def __init__(self, bundle: Bundle, options: EngineOptions) -> None:
        try:
            core = openvino_core()
        except ImportError as error:
            raise OPENVINO.missing(f"opening {bundle.path}") from error
        device = options.device.upper()
        # Asking what there is loads the drivers of all of them.
        if device != "CPU" and not _sees(core.available_devices, device):
            raise InputError(
                f"OpenVINO sees no {device} here",
                f"one of {', '.join(core.available_devices)}",
                "install the driver, or use --device cpu",
            )
        bfloat16 = is_bfloat16(bundle.manifest.precision)
        hints = hints_for(
            device, bfloat16=bfloat16, threads=options.threads, precision=options.precision
        )
        compiled = _compiled(core, bundle, device, hints, cache=options.cache)
        names = {name for output in compiled.outputs for name in output.get_names()}
        outputs = Outputs.of(bundle, names)
        self._requests = Pool(lambda: _Request(compiled, outputs))
        self.description = f"openvino {version('openvino')} {device}"
        if options.precision is not None:
            self.description += f" in {options.precision}, as asked"
        elif bfloat16 and device == "CPU":
            self.description += (
                " in bfloat16" if has_bfloat16() else " in float32, as it has no bfloat16"
            )

    def infer(self, batch: Pixels) -> Probabilities:
        """Return (N, K) probabilities."""
        with self._requests.taken() as request:
            return request.infer(batch)

    def observe(self, batch: Pixels) -> Answer:
        """Return all outputs for one image."""
        with self._requests.taken() as request:
            return request.observe(batch)

    def close(self) -> None:
        """Free the compiled model."""
        del self._requests


def _compiled(core: Any, bundle: Bundle, device: str, hints: dict[str, Any], *, cache: bool) -> Any:
    """Return the compiled model: open in this process, kept by an earlier one, or compiled."""
    model_file = bundle.manifest.model_file
    # Read, and so compared with their hashes, however the model is come by.
    xml, weights = bundle.read(model_file), bundle.read(model_file.removesuffix(".xml") + ".bin")

    def compiled() -> Any:
        from edge_fgir.runtime.formats import checked_ir
        from edge_fgir.runtime.targets import operators_of

        with refusing(bundle):
            whole = checked_ir(xml, len(weights), operators_of(bundle.manifest.runtime))
        try:
            return core.compile_model(core.read_model(whole, weights), device, hints)
        except RuntimeError as error:
            raise unloadable(bundle, "OpenVINO", error) from error

    def kept_or_compiled() -> Any:
        # Of the other devices none was at hand to try it on.
        if device != "CPU":
            return compiled()
        if (kept := load_compiled(key)) is not None:
            with suppress(RuntimeError):  # what OpenVINO does not take is compiled again
                return core.import_model(kept, device, hints)
        made = compiled()
        exported = made.export_model()  # bytes in OpenVINO 2025, a stream from 2026 on
        keep_compiled(key, exported if isinstance(exported, bytes) else exported.getvalue())
        return made

    if not cache:
        return compiled()
    key = compiled_key(bundle, library=f"openvino {version('openvino')}", device=device, **hints)
    return shared(key, kept_or_compiled)


def _sees(devices: list[str], device: str) -> bool:
    return device in devices or any(name.split(".")[0] == device for name in devices)


class _Request:
    """An infer request, with its buffers where their shapes are fixed."""

    def __init__(self, compiled: Any, outputs: Outputs) -> None:
        self._request = compiled.create_infer_request()
        self._outputs = outputs
        self._source: Any = None
        self._values: list[Any] = []
        if not any(port.partial_shape.is_dynamic for port in (*compiled.inputs, *compiled.outputs)):
            self._source = self._request.get_input_tensor(0).data
            self._values = [self._request.get_tensor(name).data for name in outputs.names]

    def infer(self, batch: Pixels) -> Probabilities:
        if self._source is None or batch.shape != self._source.shape:
            outputs = self._request.infer([batch], share_inputs=True)
            return np.array(outputs[0], dtype=np.float32)
        self._compute(batch)
        return np.array(self._values[0], dtype=np.float32)

    def observe(self, batch: Pixels) -> Answer:
        if self._source is None:
            self._request.infer([batch])
            names = self._outputs.names
            return self._outputs.answer(self._request.get_tensor(name).data for name in names)
        self._compute(batch)
        return self._outputs.answer(self._values)

    def _compute(self, batch: Pixels) -> None:
        # Into and out of OpenVINO's own memory: 60 us less than handing arrays over.
        self._source[...] = batch
        self._request.infer(share_outputs=True)
