"""``edge-fgir bench``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from edge_fgir.cli._app import JsonOption, app, need, print_json
from edge_fgir.cli._choices import DeviceOption, TrustOption
from edge_fgir.cli._there import bench_on

if TYPE_CHECKING:
    from edge_fgir.benchmarking.bundle_bench import Baseline, Mode


@app.command()
def bench(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder or zip.")],
    seconds: Annotated[
        float | None,
        typer.Option(min=0.1, help="Measuring time of each scope: 10; 600 in mode sustained."),
    ] = None,
    mode: Annotated[
        str,
        typer.Option(help="burst; sustained: frames back to back, until heat shows; or quick."),
    ] = "burst",
    fps: Annotated[
        float | None,
        typer.Option(min=0.1, help="Frames arrive at this rate: which miss their deadline?"),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Run folder: measure torch eager in the same run.")
    ] = None,
    device: DeviceOption = "auto",
    trust: TrustOption = None,
    host: Annotated[
        str | None,
        typer.Option(metavar="USER@HOST[:PORT]", help="Measure on that machine, over ssh."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the result file.")] = None,
    json: JsonOption = False,
) -> None:
    """Measure latency here: p50, p90 and p99, network alone and from frame to decision.

    Certified where nothing throttled, nothing else worked and two repeats agree; else it says why.

    Example: `edge-fgir bench birds.fgir --fps 30 --seconds 60`
    """
    given = locals()  # the options, before anything else has a name here
    from edge_fgir.benchmarking import bench as run
    from edge_fgir.benchmarking import environment, write_result
    from edge_fgir.cli._choices import device_choice
    from edge_fgir.runtime import Classifier

    if host is not None:
        body = bench_on(host, bench, given)
    else:
        with Classifier.open(bundle, device_choice(device), trust) as model:
            baseline = _torch_call(against) if against is not None else None
            body = run(model, seconds=seconds, mode=cast("Mode", mode), fps=fps, baseline=baseline)
        body["environment"] = environment().model_dump(mode="json")
    if out is not None:
        write_result(out, "latency", body)
    if json:
        print_json(body)
        return
    for name, scope in body["scopes"].items():
        typer.echo(
            f"{name}: p50 {scope['p50_ms']:.3f} ms, p90 {scope['p90_ms']:.3f}, "
            f"p99 {scope['p99_ms']:.3f} ({scope['n']} runs, {body['engine']})"
        )
    if "rival" in body:
        other = body["rival"]
        typer.echo(
            f"{other['name']}: p50 {other['p50_ms']:.3f} ms, {other['times_slower']:.1f} x slower "
            "than the network above, measured in the same run"
        )
    for line in _findings(body):
        typer.echo(line)


def _findings(body: dict[str, Any]) -> Iterator[str]:
    if "sustained" in body:
        found = body["sustained"]
        yield (
            f"sustained: p50 {body['p50_ms']:.3f} ms in the last tenth of {found['runs']} frames, "
            f"{found['drift']:.2f} x the first tenth's"
        )
    if "fixed_rate" in body:
        found = body["fixed_rate"]
        yield (
            f"{found['fps']:g} frames/s: {found['late'] + found['lost']} of {found['frames']} "
            f"missed their deadline ({found['late']} late, {found['lost']} lost), p99 "
            f"{body['p99_ms']:.3f} ms from arrival, busy {100 * found['duty']:.1f} % of the time"
        )
    if body["energy"]["joules_per_frame"] is not None:
        found = body["energy"]
        yield (
            f"energy: {1e3 * found['joules_per_frame']:.3g} mJ a frame beyond idling at "
            f"{found['idle_watts']:.3g} W ({found['meter']})"
        )
    reasons = "; ".join(body["uncertified_because"])
    yield "certified" if body["certified"] else f"not certified: {reasons}"


def _torch_call(run: Path) -> Baseline:
    need("torch", "train", "--against")
    import torch

    from edge_fgir.benchmarking.bundle_bench import Baseline
    from edge_fgir.models.trained import load_trained

    trained, model = load_trained(run)
    image = torch.randn(1, 3, trained.preprocess.size, trained.preprocess.size)

    def call() -> object:
        with torch.inference_mode():
            return model(image)

    return Baseline("torch eager fp32", call)
