"""``edge-fgir camera``."""

from __future__ import annotations

import json
import os
import signal
import statistics
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from edge_fgir._errors import EdgeFgirError, InputError
from edge_fgir.cli._app import app, echo
from edge_fgir.cli._choices import (
    DeviceOption,
    FloatPrecisionOption,
    PictureStrictOption,
    ThreadsOption,
    TrustOption,
    choose,
    engine_choice,
)

if TYPE_CHECKING:
    from edge_fgir.runtime import Drop, Frame, Result, Source, VideoWriter

_CAMERA_FPS = 25.0
_PICTURES_A_SECOND = 2.0


@app.command()
def camera(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder or zip.")],
    source: Annotated[
        str, typer.Option(help="Camera number, rtsp://..., video file, picture or folder of them.")
    ],
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    precision: FloatPrecisionOption = None,
    trust: TrustOption = None,
    drop: Annotated[
        str,
        typer.Option(
            help="oldest: the newest frame wins. none: every frame, in order. "
            "auto: oldest for live sources."
        ),
    ] = "auto",
    realtime: Annotated[
        bool, typer.Option("--realtime", help="Play a video file as a live camera.")
    ] = False,
    strict: PictureStrictOption = None,
    save: Annotated[
        Path | None, typer.Option(help="Write a video (.mp4, .avi) with the answers drawn in.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many classes to list.")] = 1,
    frames: Annotated[int | None, typer.Option(min=1, help="Stop after this many frames.")] = None,
) -> None:
    """Classify the frames of a camera, stream, video or folder: one JSON object a line.

    Ctrl-C ends it; the saved video is finished then.

    Example: `edge-fgir camera birds.fgir --source 0 --save out.mp4`
    """
    from edge_fgir.runtime import Classifier, VideoWriter, check_video_path, open_source

    options = engine_choice(device, threads, precision)
    policy = _drop_choice(drop)
    if save is not None:
        check_video_path(save)
        if save.exists() and Path(source).exists() and save.samefile(source):
            raise InputError(f"--save {save} is the source", "another file")
    with (
        Classifier.open(bundle, options, trust) as model,
        open_source(
            source, realtime, convert=model.converts(strict), strict=strict is True
        ) as opened,
        VideoWriter(save, _rate(opened)) if save is not None else nullcontext() as video,
    ):
        policy = policy or ("oldest" if opened.live else "none")
        tally = _Tally()
        failure = None
        failed = 0
        try:
            with _stops_quietly():
                for result in islice(model.stream(opened, policy), frames):
                    failed += _tell(opened.problems[failed:])
                    tally.add(result)
                    if video is not None:
                        _record(video, result, tally.fps, opened.live)
                    echo(json.dumps(_line(result, top), ensure_ascii=False, allow_nan=False))
        except EdgeFgirError as error:
            # What a camera showed before its cable was pulled is worth keeping.
            if not opened.live:
                raise
            failure = error
        failed += _tell(opened.problems[failed:])
    echo(tally.summary(), err=True)
    if failure is not None:
        raise failure
    if failed:
        raise typer.Exit(1)


def _tell(problems: Sequence[tuple[int, InputError]]) -> int:
    """Print a line for each picture that could not be read; return how many there are."""
    for index, error in problems:
        echo(json.dumps({"frame": index, "error": str(error)}, ensure_ascii=False))
    return len(problems)


def _drop_choice(value: str) -> Drop | None:
    from edge_fgir.runtime import Drop

    word = choose("--drop", value, ("auto", *get_args(Drop)))
    return None if word == "auto" else word


def _rate(source: Source) -> float:
    return source.fps or (_CAMERA_FPS if source.live else _PICTURES_A_SECOND)


def _frame(result: Result) -> Frame:
    assert result.frame is not None
    return result.frame


def _record(video: VideoWriter, result: Result, fps: float | None, live: bool) -> None:
    from edge_fgir.runtime import draw_result

    frame = _frame(result)
    # Frames that a live source lost would make the video run too fast.
    video.write(draw_result(frame.pixels, result, fps), frame.timestamp if live else None)


def _line(result: Result, top: int) -> dict[str, Any]:
    frame = _frame(result)
    return {
        "frame": frame.index,
        "timestamp": round(frame.timestamp, 6),
        **result.to_dict(top),
        "latency_ms": round(result.timing.total_ms, 3),
        "dropped": frame.dropped,
    }


class _Tally:
    """Counts what came out; a camera may run for weeks, so it remembers recent frames only."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._frames = self._dropped = 0
        self._recent: deque[float] = deque(maxlen=30)
        self._latencies: deque[float] = deque(maxlen=10_000)

    def add(self, result: Result) -> None:
        self._frames += 1
        self._dropped += _frame(result).dropped
        self._recent.append(time.perf_counter())
        self._latencies.append(result.timing.total_ms)

    @property
    def fps(self) -> float | None:
        """Results a second over the last ones; None before the second."""
        if len(self._recent) < 2:
            return None
        return (len(self._recent) - 1) / (self._recent[-1] - self._recent[0])

    def summary(self) -> str:
        seconds = time.perf_counter() - self._start
        counted = f"{self._frames} frames, {self._dropped} dropped, {seconds:.1f} s"
        if not self._frames:
            return counted
        latency = statistics.median(self._latencies)
        return f"{counted}, {self._frames / seconds:.1f} fps, p50 latency {latency:.2f} ms"


@contextmanager
def _stops_quietly() -> Iterator[None]:
    """Make Ctrl-C, a service manager's SIGTERM and a closed pipe the ordinary end of the block."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        # Python flushes stdout once more at exit: into nothing, not into another error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        signal.signal(signal.SIGTERM, before)
