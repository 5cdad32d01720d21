"""``edge-fgir eval``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_fgir._errors import InputError
from edge_fgir.cli._app import JsonOption, app, need, print_json
from edge_fgir.cli._choices import KeepRateOption, device_choice, keep_rate_choice

_SHOWN_PAIRS = 3
_BATCH = 32


@app.command("eval")
def evaluate(
    model: Annotated[Path, typer.Argument(help="Run folder, or bundle.")],
    data: Annotated[str, typer.Option(help="Folder, or a built-in name (elpv).")],
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    device: Annotated[str, typer.Option(help="For a bundle: auto, cpu, gpu, npu or trt.")] = "auto",
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
    out: Annotated[
        Path | None, typer.Option(help="Also write the result file, with example pictures.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measure accuracy: top-1, top-5, macro, per class, calibration error, confused pairs.

    Example: `edge-fgir eval birds.fgir --data photos`
    """
    from edge_fgir.benchmarking import write_result
    from edge_fgir.benchmarking.accuracy import evaluation
    from edge_fgir.data import SPLITS, labels_of, open_data
    from edge_fgir.reporting.pictures import thumbnails
    from edge_fgir.runtime.manifest import MANIFEST

    if split not in SPLITS:
        raise InputError(f"--split {split}", f"one of {', '.join(SPLITS)}")
    if not model.exists():
        raise InputError(f"{model} does not exist", "a run folder or a bundle")
    bundle = model.is_file() or (model / MANIFEST).exists()
    if full and bundle:
        raise _not_full(f"{model} is a bundle")
    for option, value in (("--image-size", image_size), ("--keep-rate", keep_rate)):
        if value and bundle:
            raise InputError(
                f"{option}: {model} is a bundle, in which it is fixed",
                "a run folder",
                f"export another bundle with {option}",
            )
    pictures = open_data(data, convert=convert)
    samples = pictures.split(split)
    probabilities, subject = (
        _of_bundle(model, device, pictures, samples)
        if bundle
        else _of_run(
            model,
            pictures,
            samples,
            full=full,
            image_size=image_size,
            keep_rate=keep_rate_choice(keep_rate),
        )
    )
    body = {
        **subject,
        "split": split,
        "data": pictures.info.model_dump(),
        **evaluation(probabilities, labels_of(samples), pictures.classes),
    }
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


def _of_bundle(path: Path, device: str, pictures: Any, samples: Any) -> tuple[Any, dict[str, Any]]:
    import numpy as np

    from edge_fgir._progress import progress
    from edge_fgir.data import prepared_images
    from edge_fgir.runtime import Classifier

    with Classifier.open(path, device_choice(device)) as model:
        if model.labels != pictures.classes:
            raise InputError(
                f"{path} knows other classes than {pictures.name}", "the data it was trained on"
            )
        images = prepared_images(pictures, samples, model.bundle.preprocess)
        answers = []
        with progress("classifying", len(images)) as meter:
            for image in images:
                answers.append(model.infer(image[None]))
                meter.advance()
        return np.concatenate(answers), {**model.info, "model_bytes": model.bundle.model_size}


def _of_run(
    path: Path,
    pictures: Any,
    samples: Any,
    *,
    full: bool,
    image_size: int | None,
    keep_rate: float | tuple[float, ...] | None,
) -> tuple[Any, dict[str, Any]]:
    need("torch", "train", "evaluating a run folder")
    import torch

    from edge_fgir.data import prepared_images, typical_images
    from edge_fgir.models.inference import logits_of
    from edge_fgir.models.trained import load_at, read_labels, weights_file

    if read_labels(path) != pictures.classes:
        raise InputError(
            f"{path} knows other classes than {pictures.name}", "the data it was trained on"
        )
    trained, model = load_at(
        path, partial(typical_images, pictures), image_size=image_size, keep_rate=keep_rate
    )
    if full and not trained.attention_maps:
        raise _not_full(f"{path} is no CAL teacher")
    images = prepared_images(pictures, samples, trained.preprocess)
    logits = (
        _full_logits(model, images, trained.normalization)
        if full
        else logits_of(model, images, trained.normalization, "classifying")
    )
    subject = {
        "bundle": str(path),
        "name": trained.name,
        "target": "torch",
        "precision": "fp32",
        "engine": f"torch {torch.__version__} eager CPU{', 8 forwards' if full else ''}",
        "cal_teacher": trained.attention_maps > 0,
        "image_size": trained.preprocess.size,
        "reduction": trained.reduction and trained.reduction.model_dump(mode="json"),
        "model_bytes": weights_file(path).stat().st_size,
    }
    return torch.from_numpy(logits).softmax(1).numpy(), subject


def _full_logits(model: Any, images: Any, normalization: Any) -> Any:
    import torch

    from edge_fgir._progress import progress
    from edge_fgir.models import full_inference
    from edge_fgir.models.inference import normalized

    answers = []
    with progress("classifying with 8 forwards", len(images)) as meter, torch.inference_mode():
        for batch in torch.from_numpy(images).permute(0, 3, 1, 2).split(_BATCH):
            answers.append(full_inference(model, normalized(batch, normalization)).float())
            meter.advance(len(batch))
    return torch.cat(answers).numpy()
