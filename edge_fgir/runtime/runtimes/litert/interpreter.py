"""How every LiteRT interpreter is opened, on the device and by the export's gates."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from edge_fgir.runtime.cores import usable_cores

LIBRARY = "ai_edge_litert"
"""What is imported. Not ``tflite_runtime``, as it was called before: version 2.14 opened an INT8
LRNet-14 and answered wrongly without a word (its linear layer has a scale a channel)."""


def open_interpreter(model: bytes, *, threads: int = 0, all_values: bool = False) -> Any:
    """Open a TensorFlow Lite file, its operators taken by XNNPACK where that knows them.

    Args:
        model: The file.
        threads: That compute one answer; 0: one a core.
        all_values: Keep what every operator gives, for looking at it; that takes memory.

    Returns:
        An ``Interpreter`` that can be called.

    Raises:
        ImportError: LiteRT is not installed.
        ValueError: It does not take the file.
        RuntimeError: It does not take the file.
    """
    module = import_module(f"{LIBRARY}.interpreter")
    options: dict[str, Any] = {"num_threads": threads or usable_cores()}
    if all_values:
        options["experimental_preserve_all_tensors"] = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that all values take memory
        interpreter = module.Interpreter(
            model_content=model,
            # The resolver that applies XNNPACK; the others compute operator by operator.
            experimental_op_resolver_type=module.OpResolverType.BUILTIN,
            **options,
        )
    interpreter.allocate_tensors()
    return interpreter


def left_by_xnnpack(interpreter: Any) -> list[dict[str, Any]]:
    """Return the operators that XNNPACK leaves to the interpreter's own kernels.

    Each as the interpreter describes it: ``op_name``, and the indices of its ``inputs`` and
    ``outputs``.
    """
    operators = interpreter._get_ops_details()
    delegates = [one for one in operators if one["op_name"] == "DELEGATE"]
    own = [one for one in operators if one["op_name"] != "DELEGATE"]
    makers = {value: one for one in own for value in one["outputs"]}
    taken: set[int] = set()
    for delegate in delegates:
        taken |= set(_between(delegate, makers))
    return [one for one in own if one["index"] not in taken]


def _between(delegate: dict[str, Any], makers: dict[int, dict[str, Any]]) -> Iterator[int]:
    """Yield the operators in a delegate's place: all that lie between its inputs and outputs."""
    known = {int(value) for value in delegate["inputs"]}
    waiting = [int(value) for value in delegate["outputs"]]
    while waiting:
        value = waiting.pop()
        if value in known or value not in makers:
            continue
        known.add(value)
        yield makers[value]["index"]
        waiting.extend(int(each) for each in makers[value]["inputs"])
