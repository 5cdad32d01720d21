"""``edge-fgir profile``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import edge_fgir
from edge_fgir._errors import InputError
from edge_fgir.cli._app import JsonOption, app, echo, need, print_json
from edge_fgir.cli._choices import (
    AcceptDataChangeOption,
    LatencyOption,
    MemoryOption,
    PercentileOption,
    SizeOption,
    StrictOption,
    budget_of,
    targets_help,
)

if TYPE_CHECKING:
    from edge_fgir.profiling import Plan


@app.command()
def profile(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.")],
    data: Annotated[str, typer.Option(help="Their data: choices look at its validation split.")],
    out: Annotated[Path, typer.Option(help="The plan, X.json; X.html is its report.")],
    device: Annotated[
        str,
        typer.Option(
            metavar="local|ID|USER@HOST",
            help="The machine: this one, one reached by ssh, or, for an estimate alone, a "
            "descriptor's id (edge-fgir devices list).",
        ),
    ] = "local",
    target: Annotated[
        str | None, typer.Option(help=f"{targets_help()}; default: the device's.")
    ] = None,
    latency_ms: LatencyOption = None,
    percentile: PercentileOption = "p50",
    memory_mb: MemoryOption = None,
    energy_mj: Annotated[
        float | None, typer.Option(help="At most so many millijoules a frame.")
    ] = None,
    size_mb: SizeOption = None,
    min_accuracy: Annotated[
        float | None, typer.Option(help="Top-1, percent: the fastest that reaches it.")
    ] = None,
    sizes: Annotated[
        str | None, typer.Option(help="Input sides to choose from, pixels, such as 96,128.")
    ] = None,
    precision: Annotated[
        str, typer.Option(help="auto: INT8 and float; or one of the target's.")
    ] = "auto",
    compare: Annotated[
        bool, typer.Option("--compare", help="Several runs on one front; needs no budget.")
    ] = False,
    calibration: Annotated[
        Path | None,
        typer.Option(help="A latency model measured before; it overrides descriptor and probes."),
    ] = None,
    accept_data_change: AcceptDataChangeOption = False,
    strict: StrictOption = False,
    json: JsonOption = False,
) -> None:
    """Find the most accurate setting that fits a device: at most 16 probes, then a search.

    Input size, keep rates, reduction method and precision are chosen by measuring: latency on the
    device, accuracy on the validation split. The best few are built and measured before one is
    chosen. What was measured is kept in the run's folder.

    Example: `edge-fgir profile runs/student --data elpv --latency-ms 5 --out plan.json`
    Example: `edge-fgir profile runs/a runs/b --compare --data elpv --out front.json`
    """
    need("torch", "export", "profiling")
    need("onnx", "export", "profiling")
    from edge_fgir.profiling import REPORT

    if len(runs) > 1 and not compare:
        raise InputError(f"{len(runs)} runs", "one, or several with --compare")
    plan = edge_fgir.profile(
        runs,
        data,
        out,
        budget=budget_of(
            latency_ms=latency_ms,
            percentile=percentile,
            memory_mb=memory_mb,
            energy_mj=energy_mj,
            size_mb=size_mb,
            min_accuracy=min_accuracy,
        ),
        device=device,
        target=target,
        sizes=_sizes(sizes),
        precision=precision,
        calibration=calibration,
        accept_data_change=accept_data_change,
        strict=strict,
        tell=lambda line: echo(line, err=json),
        tell_device=lambda line: echo(line, err=True),
    )
    if json:
        print_json(plan.model_dump(mode="json", by_alias=True))
        return
    _say(plan, out, out.with_suffix(REPORT))


def _sizes(text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--sizes {text}", "pixels, such as 96,128,160") from None


def _say(plan: Plan, out: Path, report: Path) -> None:
    from edge_fgir.profiling import described

    name = f"{plan.run}: {described(plan.chosen.setting)}, {plan.chosen.precision}"
    echo(f"{name}: {plan.why}")
    for each in plan.runners_up:
        state = "measured" if each.measured else "estimated"
        echo(
            f"runner-up: {described(each.setting)}, {each.precision}: top-1 {each.top1:.2f} %, "
            f"{each.latency_ms:.3f} ms {state}"
        )
    if plan.estimate:
        echo(
            f"an estimate from the data sheet of {plan.device}: nothing was measured there; "
            "run: edge-fgir profile --device user@host"
        )
    echo(f"plan: {out}")
    echo(f"report: {report}")
