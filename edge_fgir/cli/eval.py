"""``edge-fgir eval``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import edge_fgir
from edge_fgir._errors import InputError
from edge_fgir._files import write_atomic
from edge_fgir.cli._app import JsonOption, app, echo, need, print_json
from edge_fgir.cli._choices import (
    LEAST_SIDE,
    SHOTS,
    AcceptDataChangeOption,
    DeviceOption,
    KeepRateOption,
    LogitAdjustmentOption,
    ShotsOption,
    StrictOption,
    TrustOption,
    VariantOption,
    choose,
    engine_choice,
    keep_rate_choice,
    logit_adjustment_choice,
    shots_choice,
)

_SHOWN_PAIRS = 3


@app.command("eval")
def evaluate(
    model: Annotated[Path, typer.Argument(help="Run folder, or bundle.")],
    data: Annotated[str, typer.Option(help="Folder, or a built-in name (elpv).")],
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    device: DeviceOption = "auto",
    variant: VariantOption = None,
    trust: TrustOption = None,
    accept_data_change: AcceptDataChangeOption = False,
    strict: StrictOption = False,
    image_size: Annotated[
        int | None,
        typer.Option(min=LEAST_SIDE, help="For a run: input side, pixels; default: the run's own."),
    ] = None,
    keep_rate: KeepRateOption = None,
    full: Annotated[
        bool,
        typer.Option("--full", help="A CAL teacher's full inference, 8 forwards."),
    ] = False,
    logit_adjustment: LogitAdjustmentOption = None,
    shots: ShotsOption = SHOTS,
    visits: Annotated[
        str | None,
        typer.Option(
            metavar="GROUPING",
            help="Also accuracy a visit, whose pictures vote: folder, frigate (its file names), "
            "name:REGEX (its group finds the visit in a file's name) or time:SECONDS (no longer "
            "pause, by EXIF).",
        ),
    ] = None,
    classes_csv: Annotated[
        Path | None,
        typer.Option(help="Also write each class's accuracy, a line a class.", dir_okay=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Also write the result file, with example pictures.", dir_okay=False),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measure accuracy: top-1, top-5, macro, per class and shot group, calibration error, confused
    pairs.

    Example: `edge-fgir eval birds.fgir --data photos`
    Example: `edge-fgir eval birds.fgir --data photos --visits time:60`
    """
    from edge_fgir.data import SPLITS, open_data
    from edge_fgir.reporting import classes_table, thumbnails
    from edge_fgir.runtime import Classifier, is_bundle

    part = choose("--split", split, SPLITS)
    if not model.exists():
        raise InputError(f"{model} does not exist", "a run folder or a bundle")
    bounds = shots_choice(shots)
    if is_bundle(model):
        for option, value in (
            ("--full", full),
            ("--image-size", image_size),
            ("--keep-rate", keep_rate),
            ("--logit-adjustment", logit_adjustment),
        ):
            if value:
                raise InputError(
                    f"{option}: {model} is a bundle, in which it is fixed",
                    "a run folder",
                    f"export another bundle with {option}, or leave it out",
                )
        options = engine_choice(device, None, None, variant=variant)
        with Classifier.open(model, options, trust) as classifier:
            pictures = open_data(data, strict=strict)
            result = edge_fgir.evaluate(
                classifier, pictures, part, shot_bounds=bounds, visits=visits
            )
    else:
        if variant is not None:
            raise InputError(
                f"--variant {variant}: {model} is a run folder",
                "a bundle with variants",
                "use --image-size and --keep-rate",
            )
        if trust is not None:
            raise InputError(f"--trust {trust}: {model} is a run folder", "a signed bundle")
        if device != "auto":
            raise InputError(
                f"--device {device}: {model} is a run folder, which PyTorch evaluates",
                "a bundle",
                "leave --device out: a GPU is used where there is one",
            )
        need("torch", "train", "evaluating a run folder")
        run = edge_fgir.Run.open(model)
        pictures = open_data(data, strict=strict)
        result = edge_fgir.evaluate(
            run.at(run.trained_as.setting(image_size, keep_rate_choice(keep_rate))),
            pictures,
            part,
            full=full,
            logit_adjustment=logit_adjustment_choice(logit_adjustment),
            shot_bounds=bounds,
            visits=visits,
            accept_data_change=accept_data_change,
        )
    if result.data_change:
        echo(
            f"{model} was trained on other pictures than {pictures.name} has: {result.data_change}",
            err=True,
        )
    samples = pictures.split(part)
    body = result.model_dump(mode="json", exclude={"environment", "pictures"})
    if classes_csv is not None:
        write_atomic(classes_csv, classes_table(result.classes))
    if out is not None:
        # Scripts read the standard output: pictures are for the file, and so for the report, alone.
        small = thumbnails(
            result.confused_pairs,
            lambda index: (samples[index].path.name, pictures.read(samples[index])),
        )
        result.model_copy(update={"pictures": small}).write(out)
    if json:
        print_json(body)
        return
    low, high = result.top1_interval
    echo(
        f"{model} on {result.images} {split} images of {pictures.name} ({result.engine}): "
        f"top-1 {result.top1:.2f} %, top-5 {result.top5:.2f} %, macro {result.macro:.2f} %, "
        f"ECE {result.ece:.2f} %; top-1's 95 % interval {low:.2f} to {high:.2f} %"
    )
    if (by_visit := result.visits) is not None:
        echo(f"a visit ({by_visit.grouping}): {by_visit}")
    for group in result.shots:
        if group.tested:
            echo(
                f"{group.group} ({group.train_images} training images): "
                f"{group.top1:.2f} % on average over {group.tested} classes"
            )
    for pair in result.confused_pairs[:_SHOWN_PAIRS]:
        (a, b), (forth, back) = pair.classes, pair.confused
        echo(
            f"confused: {a} and {b}, {pair.share:.1f} % of their {sum(pair.images)} images "
            f"({forth} of the first taken for the second, {back} the other way)"
        )
    if result.cal_teacher and not full:
        echo(
            f"{model} is a CAL teacher, measured with one forward; "
            "add --full for its full inference (8 forwards)"
        )
