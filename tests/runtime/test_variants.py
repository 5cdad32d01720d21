"""Several bundles of one training: the best one that keeps up answers, and results say which."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from bundles import make_bundle

from edge_fgir import InputError
from edge_fgir.runtime import Classifier, Counters, Preprocess
from edge_fgir.runtime import classifier as module

pytestmark = pytest.mark.unit


class Clock:
    """Stands still but for engines at work."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now

    monotonic = perf_counter


class Engine:
    """Takes its time, and is closed once."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock, self.seconds, self.closed = clock, seconds, 0
        self.description = f"{seconds:g} s"

    def infer(self, batch):
        self.clock.now += self.seconds
        return np.array([[self.seconds, 1 - self.seconds]], np.float32)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def model(engine: Engine, labels=("dark", "bright"), **options) -> Classifier:
    bundle = SimpleNamespace(
        path=engine.description,
        title=engine.description,
        variant=None,
        preprocess=Preprocess(size=16),
        calibration=SimpleNamespace(unknown_threshold=0.6),
        manifest=SimpleNamespace(
            explanation=None,
            features=None,
            converts=True,
            input=SimpleNamespace(shape=(1, 16, 16, 3)),
        ),
        novelty=None,
        feature_space=None,
        labels=labels,
    )
    return Classifier(bundle, engine, **options)


FRAME = np.zeros((16, 16, 3), np.uint8)


def test_late_frames_bring_the_smaller_one_and_results_say_so(clock, caplog):
    large, small = Engine(clock, 0.05), Engine(clock, 0.01)
    with model(large, smaller=[model(small)], target_fps=30) as both:
        results = [both(FRAME) for _ in range(60)]
    variants = [result.variant or 0 for result in results]
    assert variants == sorted(variants)
    assert results[0].variant == 0
    assert 10 < variants.count(0) < 25
    for result in results:
        seconds = (0.05, 0.01)[result.variant or 0]
        assert result.probabilities[0] == np.float32(seconds)
        assert result.timing.total_ms == pytest.approx(1e3 * seconds)
    assert "frames were late: 0.01 s answers from now on" in caplog.text
    assert (large.closed, small.closed) == (1, 1)


def test_streams_and_events_keep_up_and_batches_take_the_best(clock):
    both = model(Engine(clock, 0.05), smaller=[model(Engine(clock, 0.01))], target_fps=30)
    streamed = [result.variant for result in both.stream([FRAME] * 60)]
    assert streamed[0] == 0
    assert streamed[-1] == 1
    (answer,) = both.predict_batch([FRAME])
    assert (answer.variant, answer.probabilities[0]) == (None, np.float32(0.05))
    assert both.submit(FRAME).result().variant is None


def test_it_is_told_in_json_and_counted(clock):
    both = model(Engine(clock, 0.05), smaller=[model(Engine(clock, 0.01))], target_fps=30)
    result, counters = both(FRAME), Counters()
    counters.count(result)
    assert json.loads(result.to_json())["variant"] == 0
    assert 'edge_fgir_variant_frames_total{variant="0"} 1' in counters.text().splitlines()
    alone = model(Engine(clock, 0.01))(FRAME)
    assert "variant" not in alone.to_dict()
    quiet = Counters()
    quiet.count(alone)
    assert "variant" not in quiet.text()


def test_what_does_not_fit_together_is_refused(clock):
    small = model(Engine(clock, 0.01))
    for options in ({"smaller": [small]}, {"target_fps": 30}):
        with pytest.raises(InputError, match="target_fps without smaller models, or these"):
            model(Engine(clock, 0.05), **options)
    other = model(Engine(clock, 0.01), labels=("bright", "dark"))
    with pytest.raises(InputError, match=r"0\.01 s knows other classes than 0\.05 s"):
        model(Engine(clock, 0.05), smaller=[other], target_fps=30)


@pytest.mark.export
def test_bundles_are_opened_together(run_cli, tmp_path):
    pytest.importorskip("openvino")
    large = make_bundle(tmp_path / "large.fgir", size=64)
    small = make_bundle(tmp_path / "small.fgir")
    with Classifier.open(large, smaller=[small], target_fps=1000) as both:
        assert both(np.full((64, 64, 3), (20, 20, 250), np.uint8)).label == "red"
        assert both.image_size == 64
    done = run_cli("camera", large, "--source", tmp_path, "--smaller", small)
    assert (done.code, done.out) == (2, "")
    assert "target_fps without smaller models" in done.err
