"""One Classifier, several threads: everybody gets the answer to their own picture."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
from bundles import make_bundle

from edge_fgir import Classifier
from edge_fgir._errors import EdgeFgirError
from edge_fgir.runtime import Bundle

_THREADS, _CALLS = 4, 100


@pytest.mark.parametrize("looks_twice", [False, True])
@pytest.mark.parametrize("target", ["openvino", "arm"])
def test_each_thread_gets_the_answers_to_its_own_pictures(tmp_path, target, looks_twice):
    pytest.importorskip("openvino" if target == "openvino" else "onnxruntime")
    path = make_bundle(tmp_path / "a.fgir", target=target, size=64, looks_twice=looks_twice)
    colors = np.random.default_rng(0).integers(0, 256, (_THREADS * _CALLS, 3), dtype=np.uint8)
    frames = [np.broadcast_to(color, (64, 64, 3)).copy() for color in colors]
    with Classifier.open(path) as model:
        alone = [model(frame) for frame in frames]
        with ThreadPoolExecutor(_THREADS) as pool:
            # Neighbours in the list are with different threads at the same time.
            shared = list(pool.map(model, frames))
    for expected, answer in zip(alone, shared, strict=True):
        assert np.array_equal(answer.probabilities, expected.probabilities)
        if looks_twice:
            assert np.array_equal(answer.map, expected.map)


class SlowEngine:
    """Answers only when it is told to, and notes whether it was closed under way."""

    description = "slow"

    def __init__(self) -> None:
        self.begun, self.go_on = Event(), Event()
        self.closed = False
        self.go_on.set()

    def infer(self, batch: Any) -> Any:
        self.begun.set()
        assert self.go_on.wait(10)
        assert not self.closed
        return np.full((len(batch), 3), 1 / 3, np.float32)

    def explain(self, batch: Any) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True


def test_closing_waits_for_the_answer_that_is_being_computed(arm_bundle):
    engine = SlowEngine()
    model = Classifier(Bundle(arm_bundle), engine)
    engine.begun.clear()
    engine.go_on.clear()
    frame = np.zeros((32, 32, 3), np.uint8)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(model, frame)
        assert engine.begun.wait(10)
        closing = Thread(target=model.close)
        closing.start()
        closing.join(0.1)
        assert closing.is_alive()
        engine.go_on.set()
        assert answer.result(10).score == pytest.approx(1 / 3)
    closing.join(10)
    assert engine.closed
    with pytest.raises(EdgeFgirError, match="closed: open the bundle again"):
        model(frame)
