"""``edge-fgir predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_fgir._errors import InputError
from edge_fgir.cli._app import JsonOption, app, echo, print_json
from edge_fgir.cli._choices import DeviceOption, PictureStrictOption, TrustOption


@app.command()
def predict(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder or zip.")],
    images: Annotated[list[Path], typer.Argument(help="Picture files, or folders of them.")],
    top: Annotated[int, typer.Option(min=1, help="How many classes to list.")] = 5,
    device: DeviceOption = "auto",
    trust: TrustOption = None,
    strict: PictureStrictOption = None,
    explain: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Draw what a model that looks twice rests on, a PNG a picture."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the answers as a result.")] = None,
    json: JsonOption = False,
) -> None:
    """Classify pictures. One that cannot be read costs the others nothing; exit code 1 tells.

    Example: `edge-fgir predict birds.fgir photo1.jpg photo2.jpg --top 3`
    Example: `edge-fgir predict glsim-birds.fgir photos/ --explain seen/`
    """
    from edge_fgir.benchmarking import environment
    from edge_fgir.cli._choices import device_choice
    from edge_fgir.results import Failure, Prediction, Predictions
    from edge_fgir.runtime import Classifier, find_pictures, read_image

    files = [file for path in images for file in find_pictures(path)]
    predictions: list[Prediction] = []
    failures: dict[int, Failure] = {}
    with Classifier.open(bundle, device_choice(device), trust) as model:
        if explain is not None:
            model.check_explains()
            explain.mkdir(parents=True, exist_ok=True)
        convert = model.converts(strict)
        for number, file in enumerate(files):
            try:
                answer = model(file, convert=convert)
            except InputError as error:
                if strict:
                    raise
                failures[number] = Failure(image=str(file), error=str(error))
                echo(f"error: {error}", err=True)
                continue
            if explain is not None:
                drawn = model.overlay(read_image(file, convert=convert), answer)
                drawn.save(explain / f"{number:03d}-{file.stem}.png")
            region = answer.region
            prediction = Prediction(
                image=str(file),
                label=answer.label,
                score=round(answer.score, 6),
                is_unknown=answer.is_unknown,
                top=tuple((label, round(score, 6)) for label, score in answer.top(top)),
                region=None if region is None else _rounded(region),
            )
            predictions.append(prediction)
            if not json:
                best = ", ".join(f"{label} {100 * p:.1f} %" for label, p in answer.top(top))
                mark = "  (unknown)" if answer.is_unknown else ""
                echo(f"{file}: {best}{mark}")
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
        answers = (failures.get(i) or next(answered) for i in range(len(files)))
        print_json([answer.model_dump(mode="json", exclude_none=True) for answer in answers])
    if failures:
        raise typer.Exit(1)


def _rounded(region: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = (round(edge, 2) for edge in region)
    return left, top, right, bottom
