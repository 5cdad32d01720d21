"""``edge-fgir bench``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from edge_fgir.cli._app import JsonOption, app, need, print_json
from edge_fgir.cli._choices import TrustOption


@app.command()
def bench(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder or zip.")],
    seconds: Annotated[float, typer.Option(min=0.1, help="Measuring time of each scope.")] = 10.0,
    against: Annotated[
        Path | None, typer.Option(help="Run folder: measure torch eager in the same run.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, gpu, npu or trt.")] = "auto",
    trust: TrustOption = None,
    out: Annotated[Path | None, typer.Option(help="Also write the result file.")] = None,
    json: JsonOption = False,
) -> None:
    """Measure latency here: p50, p90 and p99, network alone and from frame to decision.

    Example: `edge-fgir bench birds.fgir --seconds 10`
    """
    from edge_fgir.benchmarking import bench as run
    from edge_fgir.benchmarking import environment, write_result
    from edge_fgir.cli._choices import device_choice
    from edge_fgir.runtime import Classifier

    with Classifier.open(bundle, device_choice(device), trust) as model:
        rival = _torch_call(against) if against is not None else None
        body = run(model, seconds=seconds, rival=rival)
    if out is not None:
        write_result(out, "latency", body)
    if json:
        print_json({**body, "environment": environment()})
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


def _torch_call(run: Path) -> tuple[str, Callable[[], object]]:
    need("torch", "train", "--against")
    import torch

    from edge_fgir.models.trained import load_trained

    trained, model = load_trained(run)
    image = torch.randn(1, 3, trained.preprocess.size, trained.preprocess.size)

    def call() -> object:
        with torch.inference_mode():
            return model(image)

    return "torch eager fp32", call
