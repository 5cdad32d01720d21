"""``edge-fgir camera``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from edge_fgir._errors import EdgeFgirError, InputError
from edge_fgir.cli._app import app, echo
from edge_fgir.cli._camera_output import Desk, Tally, frame_of, print_lines, result_line
from edge_fgir.cli._choices import (
    DeviceOption,
    FloatPrecisionOption,
    PictureStrictOption,
    ThreadsOption,
    TrustOption,
    choose,
    engine_choice,
)
from edge_fgir.cli._stop import Stop

if TYPE_CHECKING:
    from edge_fgir.runtime import CameraOptions, Drop, Result, Source, VideoWriter

_CAMERA_FPS = 25.0
_PICTURES_A_SECOND = 2.0


@app.command()
def camera(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder or zip.")],
    source: Annotated[
        str,
        typer.Option(
            help="Camera number, picamera2:0, rtsp://..., gst:PIPELINE, video file, picture or "
            "folder of them."
        ),
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
    site: Annotated[
        Path | None,
        typer.Option(help="Site file (YAML): names, parents, priors and thresholds of classes."),
    ] = None,
    events: Annotated[
        bool,
        typer.Option("--events", help="Tell visits (who, from when to when), not frames."),
    ] = False,
    sink: Annotated[
        list[str] | None,
        typer.Option(
            help="Send visits there; may be repeated: jsonl:FILE, csv:FILE, mqtt://host/topic, "
            "https://..., frigate:http://..., pictures:FOLDER."
        ),
    ] = None,
    spool: Annotated[
        Path | None, typer.Option(help="Folder that keeps undelivered visits over a restart.")
    ] = None,
    metrics: Annotated[
        Path | None, typer.Option(help="File with counters for Prometheus, renewed as it runs.")
    ] = None,
    smaller: Annotated[
        list[Path] | None,
        typer.Option(
            help="Another bundle of the same classes that answers when frames are late, after the "
            "variants that the bundle holds; may be repeated, the best first."
        ),
    ] = None,
    target_fps: Annotated[
        float | None,
        typer.Option(
            help="Frames a second to keep up with, by a bundle with variants or with --smaller."
        ),
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="WIDTHxHEIGHT asked of a camera, for example 1280x720.")
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Frames a second asked of a camera.")] = None,
    fourcc: Annotated[
        str | None, typer.Option(help="How a USB camera sends its pictures: MJPG, YUYV.")
    ] = None,
    stall_s: Annotated[
        float, typer.Option(help="A source that gives nothing for this long is opened again, s.")
    ] = 10.0,
    patience_s: Annotated[
        float | None,
        typer.Option(help="How long a lost source is tried again, s; default: for ever."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many classes to list.")] = 1,
    frames: Annotated[int | None, typer.Option(min=1, help="Stop after this many frames.")] = None,
) -> None:
    """Classify the frames of a camera, stream, video or folder: one JSON object a line, a frame or,
    with --events, a decision.

    Ctrl-C ends it; the saved video is finished then.

    Example: `edge-fgir camera birds.fgir --source 0 --save out.mp4`
    Example: `edge-fgir camera birds.fgir --source 0 --target-fps 30`
    """
    from edge_fgir.runtime import (
        Classifier,
        Counters,
        Tracker,
        VideoWriter,
        check_video_path,
        open_sink,
        open_source,
    )

    place = engine_choice(device, threads, precision)
    policy = _drop_choice(drop)
    options = _camera_options(size, fps=fps, fourcc=fourcc, stall_s=stall_s, patience_s=patience_s)
    if save is not None:
        check_video_path(save)
        if save.exists() and Path(source).exists() and save.samefile(source):
            raise InputError(f"--save {save} is the source", "another file")
    with (
        Classifier.open(
            bundle, place, trust, site=site, smaller=smaller or (), target_fps=target_fps
        ) as model,
        open_source(
            source,
            realtime,
            convert=model.converts(strict),
            strict=strict is True,
            camera=options,
        ) as opened,
        ExitStack() as stack,
        VideoWriter(save, _rate(opened)) if save is not None else nullcontext() as video,
    ):
        policy = policy or ("oldest" if opened.live else "none")
        sinks = [stack.enter_context(open_sink(word, spool)) for word in sink or ()]
        counters = stack.enter_context(Counters(metrics))
        counters.follow(opened, sinks)
        desk = Desk(Tracker(model.judge), sinks, counters, prints=events)
        tally = Tally()
        failure = None
        failed = 0
        try:
            with Stop.quietly() as stop:
                for result in islice(model.stream(opened, policy), frames):
                    with stop.after():
                        failed += _tell(opened.problems[failed:])
                        tally.add(result)
                        if video is not None:
                            _record(video, result, tally.fps, opened.live)
                        if not events:
                            print_lines(result_line(result, top))
                        counters.count(result)
                        desk.take(desk.tracker.update(result))
        except EdgeFgirError as error:
            # What a camera showed before its cable was pulled is worth keeping.
            if not opened.live:
                raise
            failure = error
        failed += _tell(opened.problems[failed:])
        desk.take(desk.tracker.finish())
    desk.close()
    echo(tally.summary(), err=True)
    if failure is not None:
        raise failure
    if failed:
        raise typer.Exit(1)


def _tell(problems: Sequence[tuple[int, InputError]]) -> int:
    """Print a line for each picture that could not be read; return how many there are."""
    print_lines(*({"frame": index, "error": str(error)} for index, error in problems))
    return len(problems)


def _camera_options(size: str | None, **values: Any) -> CameraOptions:
    from pydantic import ValidationError

    from edge_fgir._refusal import refused_option
    from edge_fgir.runtime import CameraOptions

    if size is not None:
        width, by, height = size.partition("x")
        if not (by and width.isdecimal() and height.isdecimal()):
            raise InputError(f"--size {size}", "WIDTHxHEIGHT, for example 1280x720")
        values |= {"width": int(width), "height": int(height)}
    try:
        return CameraOptions(**values)
    except ValidationError as error:
        raise refused_option(error, "camera") from error


def _drop_choice(value: str) -> Drop | None:
    from edge_fgir.runtime import Drop

    word = choose("--drop", value, ("auto", *get_args(Drop)))
    return None if word == "auto" else word


def _rate(source: Source) -> float:
    return source.fps or (_CAMERA_FPS if source.live else _PICTURES_A_SECOND)


def _record(video: VideoWriter, result: Result, fps: float | None, live: bool) -> None:
    from edge_fgir.runtime import draw_result

    frame = frame_of(result)
    # Frames that a live source lost would make the video run too fast.
    video.write(draw_result(frame.pixels, result, fps), frame.timestamp if live else None)
