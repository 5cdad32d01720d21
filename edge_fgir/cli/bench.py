"""``edge-fgir bench``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

import edge_fgir
from edge_fgir._errors import InputError
from edge_fgir.cli._app import JsonOption, app, echo, need, print_json
from edge_fgir.cli._choices import (
    DeviceOption,
    FloatPrecisionOption,
    RuntimeOption,
    ThreadsOption,
    TrustOption,
    VariantOption,
    engine_choice,
)

if TYPE_CHECKING:
    from edge_fgir.benchmarking import Baseline, BenchMode
    from edge_fgir.results import Latency


@app.command()
def bench(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder or zip.")],
    seconds: Annotated[
        float | None,
        typer.Option(min=0.1, help="Measuring time of each scope: 10; 600 in mode sustained."),
    ] = None,
    mode: Annotated[
        str,
        typer.Option(
            help="burst: both scopes alone; sustained: then frames back to back, until heat shows; "
            "quick: the scopes with few runs, never certified."
        ),
    ] = "burst",
    fps: Annotated[
        float | None,
        typer.Option(min=0.1, help="Frames arrive at this rate: which miss their deadline?"),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Run folder: measure torch eager in the same run.")
    ] = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    precision: FloatPrecisionOption = None,
    runtime: RuntimeOption = None,
    variant: VariantOption = None,
    trust: TrustOption = None,
    host: Annotated[
        str | None,
        typer.Option(metavar="USER@HOST[:PORT]", help="Measure on that machine, over ssh."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Also write the result file.", dir_okay=False)
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measure latency here: p50, p90 and p99, network alone and from frame to decision.

    `--host` is the machine, `--device` what the bundle's runtime computes on there.
    Certified where nothing throttled, nothing else worked and two repeats agree; else it says why.

    Example: `edge-fgir bench birds.fgir --fps 30 --seconds 60`
    """
    if host is not None and against is not None:
        raise InputError(
            f"--against {against} with --host", "one of the two: that run is here, not there"
        )
    place = engine_choice(device, threads, precision, runtime, variant)
    latency = edge_fgir.bench(
        bundle,
        seconds=seconds,
        mode=_mode(mode),
        fps=fps,
        device=place,
        trust=trust,
        host=host,
        baseline=None if against is None else _torch_baseline(against),
        tell=partial(echo, err=True),
    )
    if out is not None:
        latency.write(out)
    if json:
        print_json(latency.to_dict())
        return
    if latency.runtimes_ms is not None:
        told = ", ".join(f"{name} {ms:.3f} ms" for name, ms in latency.runtimes_ms.items())
        opened = "; the fastest is opened here" if place == edge_fgir.EngineOptions() else ""
        echo(f"runtimes side by side, network alone: {told}{opened}")
    if latency.variants_ms is not None:
        told = ", ".join(f"{name} {ms:.3f} ms" for name, ms in latency.variants_ms.items())
        echo(f"variants side by side, frame to decision: {told}; the rest is about the first")
    for name, scope in (
        ("network", latency.scopes.network),
        ("frame_to_decision", latency.scopes.frame_to_decision),
    ):
        echo(
            f"{name}: p50 {scope.p50_ms:.3f} ms, p90 {scope.p90_ms:.3f}, "
            f"p99 {scope.p99_ms:.3f} ({scope.n} runs, {latency.engine})"
        )
    for line in _findings(latency):
        echo(line)


def _mode(value: str) -> BenchMode:
    from edge_fgir.benchmarking import BenchMode

    if value not in get_args(BenchMode):
        raise InputError(f"--mode {value}", f"one of {', '.join(get_args(BenchMode))}")
    return cast("BenchMode", value)


def _findings(latency: Latency) -> Iterator[str]:
    if latency.baseline is not None:
        yield (
            f"{latency.baseline.name}: p50 {latency.baseline.p50_ms:.3f} ms, "
            f"{latency.baseline.times_slower:.1f} x slower than the network above, measured in the "
            "same run"
        )
    if latency.sustained is not None:
        yield (
            f"sustained: p50 {latency.p50_ms:.3f} ms in the last tenth of {latency.sustained.runs} "
            f"frames, {latency.sustained.drift:.2f} x the first tenth's"
        )
    if latency.fixed_rate is not None:
        rate = latency.fixed_rate
        yield (
            f"{rate.fps:g} frames/s: {rate.late + rate.lost} of {rate.frames} missed their "
            f"deadline ({rate.late} late, {rate.lost} lost), p99 {latency.p99_ms:.3f} ms from "
            f"arrival, busy {100 * rate.duty:.1f} % of the time"
        )
    if latency.energy.joules_per_frame is not None:
        yield (
            f"energy: {1e3 * latency.energy.joules_per_frame:.3g} mJ a frame beyond idling at "
            f"{latency.energy.idle_watts:.3g} W ({latency.energy.meter})"
        )
    reasons = "; ".join(latency.uncertified_because)
    yield "certified" if latency.certified else f"not certified: {reasons}"


def _torch_baseline(run: Path) -> Baseline:
    need("torch", "train", "--against")
    import torch

    from edge_fgir.benchmarking import Baseline
    from edge_fgir.runs import Run

    opened = Run.open(run)
    model, size = opened.load(), opened.description.preprocess.size
    image = torch.randn(1, 3, size, size)

    def call() -> object:
        with torch.inference_mode():
            return model(image)

    return Baseline("torch eager fp32", call)
