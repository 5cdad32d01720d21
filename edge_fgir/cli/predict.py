"""``edge-fgir predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_fgir._errors import InputError
from edge_fgir.cli._app import JsonOption, app, echo, print_json
from edge_fgir.cli._choices import (
    DeviceOption,
    FloatPrecisionOption,
    PictureStrictOption,
    RuntimeOption,
    ThreadsOption,
    TrustOption,
    VariantOption,
    engine_choice,
)


@app.command()
def predict(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder or zip.")],
    images: Annotated[list[Path], typer.Argument(help="Picture files, or folders of them.")],
    top: Annotated[int, typer.Option(min=1, help="How many classes to list.")] = 5,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    precision: FloatPrecisionOption = None,
    runtime: RuntimeOption = None,
    variant: VariantOption = None,
    trust: TrustOption = None,
    strict: PictureStrictOption = None,
    explain: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Draw what a model that looks twice rests on, a PNG a picture."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Also write the answers as a result.", dir_okay=False)
    ] = None,
    json: JsonOption = False,
) -> None:
    """Classify pictures. One that cannot be read costs the others nothing; exit code 1 tells.

    Example: `edge-fgir predict birds.fgir photo1.jpg photo2.jpg --top 3`
    Example: `edge-fgir predict glsim-birds.fgir photos/ --explain seen/`
    """
    from edge_fgir.benchmarking import environment
    from edge_fgir.results import Failure, Prediction, Predictions
    from edge_fgir.runtime import Classifier, look_for_pictures, read_image

    found = [one for path in images for one in look_for_pictures(path)]
    predictions: list[Prediction] = []
    failures: dict[int, Failure] = {}
    options = engine_choice(device, threads, precision, runtime, variant)
    with Classifier.open(bundle, options, trust) as model:
        if explain is not None:
            model.check_explains()
            explain.mkdir(parents=True, exist_ok=True)
        convert = model.converts(strict)
        readable = (one.path for one in found if one.problem is None)
        answers = model.answers(readable, convert=convert)
        for number, (file, problem) in enumerate(found):
            answer = problem or next(answers)
            if isinstance(answer, InputError):
                if strict:
                    raise answer
                failures[number] = Failure(image=str(file), error=str(answer))
                echo(f"error: {answer}", err=True)
                continue
            if explain is not None:
                drawn = model.overlay(read_image(file, convert=convert), answer)
                drawn.save(explain / f"{number:03d}-{file.stem}.png")
            predictions.append(Prediction(image=str(file), **answer.to_dict(top)))
            if not json:
                best = ", ".join(f"{label} {100 * p:.1f} %" for label, p in answer.top(top))
                echo("  ".join(filter(None, (f"{file}: {best}", answer.mark))))
        subject = model.info
    if out is not None:
        result = Predictions(
            **subject,
            predictions=tuple(predictions),
            failures=tuple(failures.values()),
            environment=environment(),
        )
        result.write(out)
    if json:
        answered = iter(predictions)
        told = (failures.get(i) or next(answered) for i in range(len(found)))
        print_json([one.model_dump(mode="json", exclude_none=True) for one in told])
    if failures:
        raise typer.Exit(1)
