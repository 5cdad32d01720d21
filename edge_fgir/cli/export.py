"""``edge-fgir export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import edge_fgir
from edge_fgir._errors import InputError
from edge_fgir.cli._app import JsonOption, app, echo, need, print_json
from edge_fgir.cli._choices import (
    LEAST_SIDE,
    AcceptDataChangeOption,
    GoldenOption,
    KeepRateOption,
    LogitAdjustmentOption,
    ProgramOption,
    StrictOption,
    UnknownOption,
    keep_rate_choice,
    logit_adjustment_choice,
    targets_help,
    variant_choice,
)

if TYPE_CHECKING:
    from edge_fgir.runtime import Bundle


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    target: Annotated[str, typer.Option(help=f"{targets_help()}.")],
    data: Annotated[str, typer.Option(help="The run's data: calibration and gates need it.")],
    out: Annotated[Path, typer.Option(help="Bundle to write, X.fgir.")],
    precision: Annotated[
        str, typer.Option(help="auto; or one of the target's, such as int8, int8-bf16 or fp32.")
    ] = "auto",
    max_drop: Annotated[
        float | None,
        typer.Option(min=0, max=100, help="Points of top-1 a bundle may lose; default: target's."),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(min=LEAST_SIDE, help="Input side, pixels; default: the run's own.")
    ] = None,
    keep_rate: KeepRateOption = None,
    plan: Annotated[
        Path | None,
        typer.Option(metavar="PLAN.json", help="Build what edge-fgir profile has chosen."),
    ] = None,
    qat_epochs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Where INT8 breaks a bound: train so many epochs more as INT8 computes."
        ),
    ] = None,
    fixed_samples: Annotated[
        bool,
        typer.Option(
            "--fixed-samples", help="For ats: always compute the most tokens it may keep."
        ),
    ] = False,
    logit_adjustment: LogitAdjustmentOption = None,
    unknown: UnknownOption = None,
    golden: GoldenOption = None,
    for_: ProgramOption = None,
    also: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TARGET",
            help="Hold that target's files too, for target arm litert or openvino: the fastest "
            "that is installed is opened; repeatable.",
        ),
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SIZE[:KEEP]",
            help="Hold the model at that setting too, which answers while the device is too slow: "
            "input side and keep rate, such as 128 or 224:0.7; repeatable, the best first.",
        ),
    ] = None,
    zip_: Annotated[bool, typer.Option("--zip", help="Write one uncompressed zip file.")] = False,
    sign: Annotated[
        Path | None,
        typer.Option(
            metavar="KEY.pem",
            help="Sign the bundle with this private key: Ed25519, or of OpenSSF Model Signing.",
        ),
    ] = None,
    accept_data_change: AcceptDataChangeOption = False,
    strict: StrictOption = False,
    json: JsonOption = False,
) -> None:
    """Quantize and compile a trained model into a sealed bundle, compared with torch on the way.

    Example: `edge-fgir export runs/student --target openvino --data elpv --out birds.fgir`
    Example: `edge-fgir export runs/a --target arm --plan plan.json --data elpv --out b.fgir`
    Example: `edge-fgir export runs/a --target arm --also litert --data elpv --out b.fgir`
    Example: `edge-fgir export runs/a --target openvino --variant 128 --data elpv --out b.fgir`
    Example: `edge-fgir export runs/a --target litert --for frigate --data clips --out b.fgir`
    """
    need("torch", "export", "exporting")
    need("onnx", "export", "exporting")
    from edge_fgir.exporting import Choice, FormBegins, Trial
    from edge_fgir.results import (
        AccuracyReport,
        FrigateReport,
        ParityReport,
        SchemeFailure,
        Stage,
    )
    from edge_fgir.runtime import SigningKey

    def tell(event: Stage | Trial | SchemeFailure | Choice | FrigateReport | FormBegins) -> None:
        if isinstance(event, Choice):
            line = f"chosen: {event.trial.name} ({event.trial.precision}): {event.why}"
        elif isinstance(event, Trial):
            line = f"tried {event.name}: {compared(event.stage)}"
            line += f"; {event.broken}" if event.broken else ""
        elif isinstance(event, SchemeFailure):
            line = f"refused: {event.reason}"
        elif isinstance(event, FormBegins):
            line = f"files for {event.runtime}, as target {event.target} has them:"
        elif isinstance(event, FrigateReport):
            line = "\n".join(event.lines)
        else:
            line = f"gate {event.name}: {compared(event)}"
        echo(line, err=json)

    def compared(stage: Stage) -> str:
        delta = "nan" if stage.max_delta_logit is None else f"{stage.max_delta_logit:.2g}"
        some = "" if stage.images is None else f"{stage.images} images: "
        line = (
            f"{some}top-1 {stage.top1:.2f} % ({0.0 - stage.top1_drop:+.2f}), "
            f"agreement {stage.agreement:.2f} %, max |delta logit| {delta}"
        )
        return f"{line}, expected to lose {stage.verdict}" if stage.verdict else line

    if plan is not None and (precision != "auto" or image_size is not None or keep_rate):
        raise InputError("--plan beside --precision, --image-size or --keep-rate", "one of the two")
    setting = None
    if image_size is not None or keep_rate is not None:
        trained = edge_fgir.Run.open(run).trained_as
        setting = trained.setting(image_size, keep_rate_choice(keep_rate))
    options = edge_fgir.ExportOptions(
        precision=precision,
        setting=setting,
        fixed_samples=fixed_samples,
        logit_adjustment=logit_adjustment_choice(logit_adjustment),
        unknown=unknown,
        golden=golden,
        program=for_,
        as_zip=zip_,
        signing_key=None if sign is None else SigningKey.read(sign),
    )
    bundle = edge_fgir.export(
        run,
        target,
        data,
        out,
        options,
        also=also or (),
        variants=[variant_choice(each) for each in variant or ()],
        plan=plan,
        max_drop=max_drop,
        qat_epochs=qat_epochs,
        accept_data_change=accept_data_change,
        strict=strict,
        tell=tell,
        tell_line=lambda line: echo(line, err=True),
    )
    parity, tau = ParityReport.of(bundle), AccuracyReport.of(bundle).logit_adjustment
    novelty = bundle.novelty
    if json:
        print_json(
            {
                "bundle": str(out),
                "target": target,
                "precision": bundle.manifest.precision,
                "runtimes": list(bundle.manifest.runtimes),
                "bytes": bundle.size,
                "model_bytes": bundle.model_size,
                "logit_adjustment": tau,
                "variants": _variants(bundle),
                "novelty": None if novelty is None else novelty.model_dump(mode="json"),
                "parity": parity.model_dump(mode="json"),
            }
        )
        return
    last = parity.stages[-1]
    if not last.certified:
        for verdict, what in ((last.verdict, "top-1"), (last.few_shot, "top-1 of rare classes")):
            if verdict is not None and verdict.state != "certified":
                echo(
                    f"{verdict.images} validation images and {verdict.views} views of them are too "
                    f"few to be sure of {verdict.bound:g} points: {what} falls by {verdict}"
                )
    if tau is not None:
        echo(f"logits adjusted by the classes' training pictures, tau {tau:g}")
    if novelty is not None:
        echo(f"{novelty}")
    if len(names := bundle.manifest.runtimes) > 1:
        forms = [f"{name} ({bundle.in_runtime(name).manifest.precision})" for name in names]
        echo(f"files for {', '.join(forms)}: edge-fgir bench says on the device which is fastest")
    for each in _variants(bundle) or ():
        echo(
            f"variant {each['name']}: {each['precision']}, top-1 {each['top1']:.2f} % on "
            f"validation images, model {each['model_bytes'] / 1e6:.2f} MB"
        )
    echo(
        f"{out}: {bundle.manifest.precision} for {target}, "
        f"model {bundle.model_size / 1e6:.2f} MB, bundle {bundle.size / 1e6:.2f} MB"
    )


def _variants(bundle: Bundle) -> list[dict[str, Any]] | None:
    """Return what a bundle's variants are; None where it has one alone."""
    from edge_fgir.results import AccuracyReport

    if len(bundle.variants) == 1:
        return None
    return [
        {
            "name": each.variant,
            "precision": each.manifest.precision,
            "model_bytes": each.model_size,
            "top1": AccuracyReport.of(each).top1,
        }
        for each in bundle.variants
    ]
