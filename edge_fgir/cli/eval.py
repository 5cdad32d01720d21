"""``edge-fgir eval``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from edge_fgir._errors import InputError
from edge_fgir._files import write_atomic
from edge_fgir.cli._app import JsonOption, app, need, print_json
from edge_fgir.cli._choices import (
    SHOTS,
    DeviceOption,
    KeepRateOption,
    LogitAdjustmentOption,
    ShotsOption,
    device_choice,
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
    convert: Annotated[
        bool, typer.Option("--convert", help="Accept turned, transparent, 16-bit, CMYK files.")
    ] = False,
    image_size: Annotated[
        int | None,
        typer.Option(min=16, help="For a run: input side, pixels; default: the run's own."),
    ] = None,
    keep_rate: KeepRateOption = None,
    full: Annotated[
        bool,
        typer.Option("--full", help="A CAL teacher's full inference, 8 forwards."),
    ] = False,
    logit_adjustment: LogitAdjustmentOption = None,
    shots: ShotsOption = SHOTS,
    classes_csv: Annotated[
        Path | None, typer.Option(help="Also write each class's accuracy, a line a class.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Also write the result file, with example pictures.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measure accuracy: top-1, top-5, macro, per class and shot group, calibration error, confused
    pairs.

    Example: `edge-fgir eval birds.fgir --data photos`
    """
    from edge_fgir.benchmarking import write_result
    from edge_fgir.data import SPLITS, labels_of, open_data
    from edge_fgir.evaluation import evaluation
    from edge_fgir.reporting.classes import classes_table
    from edge_fgir.reporting.pictures import thumbnails
    from edge_fgir.runtime.manifest import MANIFEST

    if split not in SPLITS:
        raise InputError(f"--split {split}", f"one of {', '.join(SPLITS)}")
    if not model.exists():
        raise InputError(f"{model} does not exist", "a run folder or a bundle")
    bundle = model.is_file() or (model / MANIFEST).exists()
    if full and bundle:
        raise _not_full(f"{model} is a bundle")
    for option, value in (
        ("--image-size", image_size),
        ("--keep-rate", keep_rate),
        ("--logit-adjustment", logit_adjustment),
    ):
        if value and bundle:
            raise InputError(
                f"{option}: {model} is a bundle, in which it is fixed",
                "a run folder",
                f"export another bundle with {option}",
            )
    pictures = open_data(data, convert=convert)
    samples = pictures.split(split)
    probabilities, subject, counts = (
        _of_bundle(model, device, pictures, samples)
        if bundle
        else _of_run(
            model,
            pictures,
            samples,
            full=full,
            image_size=image_size,
            keep_rate=keep_rate_choice(keep_rate),
            logit_adjustment=logit_adjustment_choice(logit_adjustment),
        )
    )
    groups = shots_choice(shots, counts) if counts else None
    body = {
        **subject,
        "split": split,
        "data": pictures.info.model_dump(),
        **evaluation(probabilities, labels_of(samples), pictures.classes, groups),
    }
    if classes_csv is not None:
        write_atomic(classes_csv, classes_table(body["classes"]))
    if out is not None:
        # Scripts read the standard output: pictures are for the file, and so for the report, alone.
        small = thumbnails(
            body["confused_pairs"],
            lambda index: (samples[index].path.name, pictures.read(samples[index])),
        )
        write_result(out, "evaluation", {**body, "pictures": small})
    if json:
        print_json(body)
        return
    low, high = body["top1_interval"]
    typer.echo(
        f"{model} on {body['images']} {split} images of {pictures.name} ({subject['engine']}): "
        f"top-1 {body['top1']:.2f} %, top-5 {body['top5']:.2f} %, macro {body['macro']:.2f} %, "
        f"ECE {body['ece']:.2f} %; top-1's 95 % interval {low:.2f} to {high:.2f} %"
    )
    for group in body.get("shots", []):
        if group["tested"]:
            typer.echo(
                f"{group['group']} ({group['train_images']} training images): "
                f"{group['top1']:.2f} % on average over {group['tested']} classes"
            )
    for pair in body["confused_pairs"][:_SHOWN_PAIRS]:
        (a, b), (there, back) = pair["classes"], pair["confused"]
        typer.echo(
            f"confused: {a} and {b}, {pair['share']:.1f} % of their {sum(pair['images'])} images "
            f"({there} of the first taken for the second, {back} the other way)"
        )
    if subject.get("cal_teacher") and not full:
        typer.echo(
            f"{model} is a CAL teacher, measured with one forward; "
            "add --full for its full inference (8 forwards)"
        )


def _not_full(found: str) -> InputError:
    return InputError(f"--full: {found}", "the run folder of a CAL teacher", "leave out --full")


def _of_bundle(
    path: Path, device: str, pictures: Any, samples: Any
) -> tuple[Any, dict[str, Any], tuple[int, ...]]:
    from edge_fgir.data import prepared_images
    from edge_fgir.evaluation import answers_of, known_counts
    from edge_fgir.runtime import Classifier

    with Classifier.open(path, device_choice(device)) as model:
        if model.labels != pictures.classes:
            raise InputError(
                f"{path} knows other classes than {pictures.name}", "the data it was trained on"
            )
        images = prepared_images(pictures, samples, model.bundle.preprocess)
        answers = answers_of(model, images)
        subject = {**model.info, "model_bytes": model.bundle.model_size}
        return answers, subject, known_counts(model.bundle)


def _of_run(
    path: Path,
    pictures: Any,
    samples: Any,
    *,
    full: bool,
    image_size: int | None,
    keep_rate: float | tuple[float, ...] | None,
    logit_adjustment: float | Literal["auto"] | None,
) -> tuple[Any, dict[str, Any], tuple[int, ...]]:
    need("torch", "train", "evaluating a run folder")
    import torch

    from edge_fgir.data import labels_of, prepared_images, typical_images
    from edge_fgir.models.inference import logits_of, on_gpu
    from edge_fgir.models.logit_adjustment import adjustment, best_tau
    from edge_fgir.models.trained import (
        class_difference,
        load_at,
        read_labels,
        weights_file,
    )

    known = read_labels(path)
    if known != pictures.classes:
        raise InputError(
            f"{path} knows other classes than {pictures.name}",
            "the data it was trained on",
            class_difference(known, pictures.classes),
        )
    trained, model = load_at(
        path, partial(typical_images, pictures), image_size=image_size, keep_rate=keep_rate
    )
    if full and not trained.network.attention_maps:
        raise _not_full(f"{path} is no CAL teacher")
    model = on_gpu(model)

    def answer(samples: Any, title: str) -> Any:
        images = prepared_images(pictures, samples, trained.preprocess)
        if full:
            return _full_logits(model, images, trained.normalization)
        return logits_of(model, images, trained.normalization, title)

    logits = answer(samples, "classifying")
    counts, tau = trained.train_counts, logit_adjustment
    if not counts and trained.data == pictures.info:
        counts = tuple(pictures.counts("train"))
    if tau == "auto":
        val = pictures.split("val")
        tau = best_tau(answer(val, "logit adjustment"), labels_of(val), counts)
    if tau is not None:
        logits = logits + adjustment(counts, tau)
    subject = {
        "bundle": str(path),
        "name": trained.name,
        "target": "torch",
        "precision": "fp32",
        "engine": f"torch {torch.__version__} eager CPU{', 8 forwards' if full else ''}",
        "cal_teacher": trained.network.attention_maps > 0,
        "image_size": trained.preprocess.size,
        "reduction": trained.network.reduction
        and trained.network.reduction.model_dump(mode="json"),
        "logit_adjustment": tau,
        "model_bytes": weights_file(path).stat().st_size,
    }
    return torch.from_numpy(logits).softmax(1).numpy(), subject, counts


def _full_logits(model: Any, images: Any, normalization: Any) -> Any:
    import torch

    from edge_fgir._progress import progress
    from edge_fgir.models import full_inference
    from edge_fgir.models.inference import normalized_batches

    answers = []
    device = next(model.parameters()).device
    with progress("classifying with 8 forwards", len(images)) as meter, torch.inference_mode():
        for batch in normalized_batches(images, normalization, device):
            answers.append(full_inference(model, batch).float().cpu())
            meter.advance(len(batch))
    return torch.cat(answers).numpy()
