"""``edge-fgir fit``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import edge_fgir
from edge_fgir.cli._app import JsonOption, app, echo, need, print_json
from edge_fgir.cli._choices import (
    DataArgument,
    GoldenOption,
    LatencyOption,
    MemoryOption,
    PercentileOption,
    ProgramOption,
    SizeOption,
    StrictOption,
    UnknownOption,
    budget_of,
    targets_help,
)

if TYPE_CHECKING:
    from edge_fgir.results import Fit

_WEAKEST = 3
"""Classes that are named where pictures can be collected at once."""


@app.command()
def fit(
    photos: DataArgument,
    out: Annotated[
        Path, typer.Option(help="The bundle, X.fgir; X.html is its page, X.fit the work folder.")
    ],
    target: Annotated[
        str | None, typer.Option(help=f"{targets_help()}; default: the device's, or that of --for.")
    ] = None,
    latency_ms: LatencyOption = None,
    percentile: PercentileOption = "p50",
    size_mb: SizeOption = None,
    memory_mb: MemoryOption = None,
    min_accuracy: Annotated[
        float | None, typer.Option(help="Top-1 on validation, percent, that must be reached.")
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="local|USER@HOST", help="Where latencies are measured.")
    ] = "local",
    minutes: Annotated[float, typer.Option(help="That all of it may take.")] = 60.0,
    weights: Annotated[
        str,
        typer.Option(
            metavar="offline|timm",
            help="Pretrained weights: of installed packages alone, or downloaded by timm too.",
        ),
    ] = "offline",
    from_scratch_only: Annotated[
        bool, typer.Option("--from-scratch-only", help="No weights of others in the bundle.")
    ] = False,
    unknown: UnknownOption = None,
    golden: GoldenOption = None,
    for_: ProgramOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the same command stopped.")
    ] = False,
    strict: StrictOption = False,
    json: JsonOption = False,
) -> None:
    """Find the best model for a device, from photographs alone, within so many minutes.

    What fits the budget is measured first, with random weights; only that is trained: a head on
    frozen features, a teacher, then all candidates for a short and the best for a long time. The
    best are exported through the gates and measured, and one page says what was tried and why.

    Example: `edge-fgir fit photos --target openvino --latency-ms 3 --out birds.fgir`
    Example: `edge-fgir fit elpv --latency-ms 3 --minutes 10 --out cells.fgir --resume`
    Example: `edge-fgir fit clips/NAME/dataset --for frigate --out birds.fgir`
    """
    need("torch", "export", "fitting")
    need("onnx", "export", "fitting")
    result = edge_fgir.fit(
        photos,
        out,
        budget=budget_of(
            latency_ms=latency_ms,
            percentile=percentile,
            memory_mb=memory_mb,
            size_mb=size_mb,
            min_accuracy=min_accuracy,
        ),
        target=target,
        device=device,
        minutes=minutes,
        weights=weights,
        from_scratch_only=from_scratch_only,
        unknown=unknown,
        golden=golden,
        program=for_,
        resume=resume,
        strict=strict,
        tell=lambda line: echo(line, err=json),
        tell_device=lambda line: echo(line, err=True),
    )
    if json:
        print_json(_plain(result))
        return
    _say(result, out)
    if result.frigate is not None:
        for line in result.frigate.lines:
            echo(line)
        echo(f"for Frigate: {out / 'frigate'}; its config.yml says where the files go")


def _plain(result: Fit) -> dict[str, object]:
    """Return the result without pictures, which are for the file alone."""
    values = result.to_dict()
    for name in ("test", "validation"):
        part = values[name]
        if isinstance(part, dict):
            part.pop("pictures", None)
    return values


def _say(result: Fit, out: Path) -> None:
    from edge_fgir.fitting import REPORT

    echo(result.why)
    if result.test is not None:
        low, high = result.test.top1_interval
        echo(
            f"on {result.test.images} test pictures, which chose nothing: top-1 "
            f"{result.test.top1:.1f} % ({low:.1f} to {high:.1f}), macro {result.test.macro:.1f} %"
        )
        visits = result.test.visits
        if visits is not None and visits.visits < result.test.images:
            echo(f"by visit, whose pictures vote: {visits}")
        if result.frigate is not None and (weakest := result.test.weakest[:_WEAKEST]):
            named = (f"{each.name} {each.top1:.0f} % of {each.images}" for each in weakest)
            echo(f"weakest classes there: {', '.join(named)}")
    if (novelty := edge_fgir.Bundle(out).novelty) is not None:
        echo(f"{novelty}")
    for each in result.points[1:]:
        echo(
            f"runner-up: {each.name} in {each.precision}: top-1 {each.accuracy.top1:.1f} %, "
            f"{each.measured.p50_ms:.2f} ms"
        )
    for sentence in result.advice:
        echo(sentence)
    echo(f"bundle: {out}")
    echo(f"page: {out.with_suffix(REPORT)}")
