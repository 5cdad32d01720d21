"""``bench``: how fast a bundle answers on this machine."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_fgir.benchmarking.protocol import Call, measure
from edge_fgir.runtime import Classifier

FRAME_SIZE = (480, 640)
"""Height and width of the camera frame in scope ``frame_to_decision``, pixels."""
NETWORK, FRAME = "network", "frame_to_decision"


def bench(
    model: Classifier, *, seconds: float = 10.0, rival: tuple[str, Call] | None = None
) -> dict[str, Any]:
    """Measure a bundle in two scopes, interleaved.

    ``network`` is the compiled model alone; ``frame_to_decision`` starts with a decoded 640 x 480
    BGR frame and ends with the label.

    Args:
        model: An open bundle.
        seconds: Measuring time of each scope, at least.
        rival: Name and call of something to measure in the same run (the torch model, say).

    Returns:
        The body of a ``latency`` result; its top level is the ``frame_to_decision`` scope.
    """
    random = np.random.default_rng(0)
    frame = random.integers(0, 256, (*FRAME_SIZE, 3), dtype=np.uint8)
    batch = model.prepare(frame)[None]
    calls: dict[str, Call] = {
        NETWORK: lambda: model.infer(batch),
        FRAME: lambda: model(frame),
    }
    if rival is not None:
        calls[rival[0]] = rival[1]
    found = measure(calls, seconds=seconds)
    latencies = {name: latency.to_dict() for name, latency in found.items()}
    body = {
        **model.info,
        "model_bytes": model.bundle.model_size,
        "scope": FRAME,
        **latencies[FRAME],
        "certified": False,
        "not_certified_because": "clocks and heat were not watched during the run",
        "scopes": {name: latencies[name] for name in (NETWORK, FRAME)},
    }
    if rival is not None:
        slower = found[rival[0]].p50_ms / found[NETWORK].p50_ms
        body["rival"] = {"name": rival[0], **latencies[rival[0]], "times_slower": slower}
    return body
