"""One Classifier, several threads: everybody gets the answer to their own picture."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event, Thread
from typing import Any

import numpy as np
import pytest
from bundles import LABELS, RUNTIMES, make_bundle, needs_runtime

from edge_fgir import Classifier, InputError
from edge_fgir._errors import EdgeFgirError
from edge_fgir.runtime import Bundle, EngineOptions, Result
from edge_fgir.runtime.runtimes import RuntimeSpec, runtimes

_THREADS, _CALLS = 4, 100
_TARGETS = {runtime: target for target, runtime in RUNTIMES.items()}


def bundle_of(spec: RuntimeSpec, path: Path, **options: Any) -> Path:
    """Return a new tiny bundle for a runtime whose library, or that of its replay, is installed."""
    needs_runtime(_TARGETS[spec.name])
    return make_bundle(path, target=_TARGETS[spec.name], **options)


def plain_frames(count: int) -> list[Any]:
    """Return frames of one colour each, none twice."""
    colors = np.random.default_rng(0).integers(0, 256, (count, 3), dtype=np.uint8)
    return [np.broadcast_to(color, (64, 64, 3)).copy() for color in colors]


@pytest.mark.parametrize("looks_twice", [False, True])
@pytest.mark.parametrize("threads", [None, 1])
@pytest.mark.parametrize("spec", runtimes(), ids=lambda spec: spec.name)
def test_each_thread_gets_the_answers_to_its_own_pictures(tmp_path, spec, threads, looks_twice):
    path = bundle_of(spec, tmp_path / "a.fgir", size=64, looks_twice=looks_twice)
    frames = plain_frames(_THREADS * _CALLS)
    together = Barrier(_THREADS)

    def answers(number: int) -> list[Result]:
        together.wait(10)
        # Neighbours in the list are with different threads at the same time.
        return [model(frame) for frame in frames[number::_THREADS]]

    with Classifier.open(path, EngineOptions(spec.gate_device, threads=threads)) as model:
        alone = [model(frame) for frame in frames]
        with ThreadPoolExecutor(_THREADS) as pool:
            shared = list(pool.map(answers, range(_THREADS)))
    for number in range(_THREADS):
        assert shared[number] == alone[number::_THREADS]
    assert alone[0] != alone[1]


@pytest.mark.parametrize("spec", runtimes(), ids=lambda spec: spec.name)
def test_futures_and_batches_are_answered_as_single_calls(tmp_path, spec):
    path = bundle_of(spec, tmp_path / "a.fgir")
    frames = plain_frames(60)
    with Classifier.open(path, spec.gate_device) as model:
        alone = [model(frame, "rgb") for frame in frames]
        futures = [model.submit(frame, "rgb") for frame in frames]
        assert model.predict_batch(frames, "rgb") == alone
        assert list(model.answers(iter(frames), "rgb")) == alone
    # Closing waits for what was submitted.
    assert [future.result(0) for future in futures] == alone
    with pytest.raises(EdgeFgirError, match="closed: open the bundle again"):
        model.submit(frames[0])


def test_a_bad_picture_costs_itself_alone(arm_bundle, tmp_path):
    good, missing = np.zeros((32, 32, 3), np.uint8), tmp_path / "no.jpg"
    pictures = [good, missing, good[0], good]
    with Classifier.open(arm_bundle) as model:
        for found in (model.predict_batch(pictures), list(model.answers(pictures))):
            assert [isinstance(one, Result) for one in found] == [True, False, False, True]
            assert str(found[1]).startswith(f"{missing} does not exist")
            assert "shape (32, 3)" in str(found[2])
        future = model.submit(missing)
        assert isinstance(future.exception(10), InputError)


def test_answers_take_only_some_pictures_ahead(arm_bundle):
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield np.zeros((32, 32, 3), np.uint8)

    with Classifier.open(arm_bundle) as model:
        found = model.answers(endless())
        assert next(found).label in LABELS
        found.close()
        assert len(taken) <= 2 * (os.cpu_count() or 1) + 2


_FORK = """
import os, sys
import numpy as np
from edge_fgir import Classifier

frame = np.full((32, 32, 3), 90, np.uint8)
model = Classifier.open(sys.argv[1], sys.argv[2])
before = model(frame)
model.submit(frame).result()
child = os.fork()
assert model(frame) == before
assert model.submit(frame).result() == before
if child:
    model.close()
    sys.exit(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("spec", runtimes(), ids=lambda spec: spec.name)
def test_a_forked_process_goes_on_with_it_or_says_why_not(tmp_path, spec):
    path = bundle_of(spec, tmp_path / "a.fgir")
    # The child does not close its Classifier: it must end all the same.
    done = subprocess.run(
        [sys.executable, "-c", _FORK, path, spec.gate_device],
        capture_output=True,
        text=True,
        timeout=60,
    )
    if spec.survives_fork:
        assert done.returncode == 0, done.stderr
    else:
        assert "opened before the process was forked: open the bundle in the child" in done.stderr


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

    def observe(self, batch: Any) -> Any:
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
