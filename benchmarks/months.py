"""An hour at 30 frames a second on one core: does it keep up, and does it grow?

    .venv/bin/python benchmarks/months.py X.fgir --data photos

plays 108,000 frames of 1280 x 720 pixels through all of a camera app (`Classifier`, `Tracker`,
counters, a file of events): visits to test photographs, over which the camera pans, and the noise
of an empty scene between them. Time is simulated: a frame comes every thirtieth of a second whether
the one before is answered or not, and is late if its answer is not there when the next one comes.
What each answer took is measured twice, by the clock and by the processor time of this process: on
a machine with other work the clock counts that, too. Making the frames is not counted.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edge_fgir._files import write_json
from edge_fgir._progress import progress
from edge_fgir.benchmarking import environment
from edge_fgir.data import open_data
from edge_fgir.runtime import Classifier, Counters, EngineOptions, Frame, Pixels, Tracker, open_sink

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "months.json"
FPS, FRAMES = 30, 108_000
HEIGHT, WIDTH = 720, 1280
MARGIN = 128
"""Pixels that the camera pans over, each way."""
VISIT_S, PAUSE_S = 8, 4
PHOTOGRAPHS, VIEWS = 12, 4
WARM_UP, LOOK = 1000, 1000
"""Frames before memory is looked at, and between two looks."""


class Clocked:
    """Answers against the frames that come meanwhile, by one clock."""

    def __init__(self, frames: int) -> None:
        # All of its memory is taken now: growth would be the camera's.
        self.took_ms = np.full(frames, np.nan)
        self.late = 0
        self._ready = 0.0

    @property
    def answered(self) -> int:
        """How many frames were answered."""
        return int(np.isfinite(self.took_ms).sum())

    def add(self, index: int, seconds: float) -> None:
        """Count a frame's answer."""
        arrived = index / FPS
        self._ready = max(self._ready, arrived) + seconds
        self.late += self._ready > arrived + 1 / FPS
        self.took_ms[index] = 1e3 * seconds

    def figures(self) -> dict[str, float]:
        """Return them as a result has them."""
        p50, p99, most = np.percentile(self.took_ms, [50, 99, 100])
        named = {"p50_ms": p50, "p99_ms": p99, "max_ms": most}
        return {name: round(float(value), 3) for name, value in named.items()}


def panned(scene: Pixels) -> list[Pixels]:
    """Return what a camera sees of a scene that is larger by the margin, (H, W, 3) each."""
    places = [(step * MARGIN // VIEWS, step * MARGIN // VIEWS // 2) for step in range(VIEWS)]
    return [scene[y : y + HEIGHT, x : x + WIDTH].copy() for x, y in places]


def scenes(photos: list[Pixels]) -> Iterator[Pixels]:
    """Yield BGR frames for ever: visits to photographs, noise between them."""
    random = np.random.default_rng(0)
    noise = random.integers(90, 130, (HEIGHT + MARGIN, WIDTH + MARGIN, 3), np.uint8)
    seen, nothing = [panned(photo) for photo in photos], panned(noise)
    while True:
        for visit in seen:
            for views, seconds in ((visit, VISIT_S), (nothing, PAUSE_S)):
                for step in range(seconds * FPS):
                    yield views[step % VIEWS]


def resident_mb() -> float:
    """Return the resident memory of this process, MB."""
    text = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) / 1024


def play(model: Classifier, photos: list[Pixels], frames: int, folder: Path) -> dict[str, Any]:
    """Play the hour, and return what it took."""
    wall, processor, memory = Clocked(frames), Clocked(frames), []
    tracker, counters = Tracker(model.judge), Counters(folder / "camera.prom")
    told = 0
    with (
        open_sink(f"jsonl:{folder / 'events.jsonl'}") as sink,
        progress("frames", frames) as meter,
    ):
        for index, pixels in zip(range(frames), scenes(photos), strict=False):
            start, used = time.perf_counter(), time.process_time()
            frame = Frame(pixels, index, index / FPS)
            result = replace(model(pixels), frame=frame)
            counters.count(result)
            for event in tracker.update(result):
                counters.count_event(event)
                sink.send(event)
                told += 1
            counters.write()
            wall.add(index, time.perf_counter() - start)
            processor.add(index, time.process_time() - used)
            if index >= WARM_UP and index % LOOK == 0:
                memory.append(round(resident_mb(), 2))
            meter.advance()
    lines = len((folder / "events.jsonl").read_text().splitlines())
    return {
        "wall": wall,
        "processor": processor,
        "memory_mb": memory,
        "answered": wall.answered,
        "events": told,
        "events_written": lines,
    }


def row(what: str, value: float, unit: str, bound: str, ok: bool, **details: Any) -> dict[str, Any]:
    """Return one line of the table."""
    named = {"what": what, "value": value, "unit": unit, "bound": bound, "ok": ok}
    return {**named, "details": details}


def rows_of(found: dict[str, Any], frames: int) -> list[dict[str, Any]]:
    """Return the lines of the table."""
    memory, wall, processor = found["memory_mb"], found["wall"], found["processor"]
    growth = 100 * (max(memory) / memory[0] - 1)
    lost = frames - found["answered"] + found["events"] - found["events_written"]
    return [
        row(
            f"{frames:,} frames of 720p: growth of resident memory",
            growth,
            "%",
            "< 1",
            growth < 1,
            looks_mb=memory,
        ),
        row(
            f"{frames:,} frames: answers and events that are missing",
            lost,
            "",
            "0",
            lost == 0,
            events=found["events"],
        ),
        row(
            f"{frames / FPS / 60:.0f} minutes at 30 fps, one core: frames late, by processor time",
            processor.late,
            "",
            "0",
            processor.late == 0,
            **processor.figures(),
        ),
        row(
            f"{frames / FPS / 60:.0f} minutes at 30 fps, one core: frames late, by the clock",
            wall.late,
            "",
            "reported",
            True,
            **wall.figures(),
        ),
    ]


def main() -> None:
    """Play, print and write ``benchmarks/results/months.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--data", required=True, help="data folder; its test split is shown")
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()

    began = environment()
    data = open_data(options.data)
    samples = data.split("test")
    order = np.random.default_rng(0).permutation(len(samples))[:PHOTOGRAPHS]
    photos = [wide(data.read(samples[place])) for place in order.tolist()]
    one_core = EngineOptions(threads=1)
    with (
        tempfile.TemporaryDirectory() as folder,
        Classifier.open(options.bundle, one_core) as model,
    ):
        rows = rows_of(play(model, photos, options.frames, Path(folder)), options.frames)
        info = model.info
    for one in rows:
        mark = "ok" if one["ok"] else "MISSED"
        print(f"{one['what']:76} {one['value']:>9.4g} {one['unit']:2} {one['bound']:>9} {mark}")
    body = {
        "schema": "edge-fgir/benchmark/1",
        "model": {key: info[key] for key in ("name", "precision", "engine", "image_size")},
        "data": data.info.model_dump(mode="json"),
        "rows": rows,
        # Of the start: at the end, the load is this benchmark's own.
        "environment": began.model_dump(mode="json"),
        "load_at_the_end": round(os.getloadavg()[0], 2),
    }
    write_json(options.out, body)


def wide(photo: Pixels) -> Pixels:
    """Return an RGB photograph as a wide BGR scene, in which the camera has room to pan."""
    picture = Image.fromarray(photo).resize((WIDTH + MARGIN, HEIGHT + MARGIN))
    return np.ascontiguousarray(np.asarray(picture)[..., ::-1])


if __name__ == "__main__":
    main()
