"""``edge-fgir eval``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edge_fgir._errors import InputError
from edge_fgir.cli._app import JsonOption, app, need, print_json


@app.command("eval")
def evaluate(
    model: Annotated[Path, typer.Argument(help="Run folder, or bundle.")],
    data: Annotated[str, typer.Option(help="Folder, or a built-in name (elpv).")],
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    device: Annotated[str, typer.Option(help="For a bundle: auto, cpu, gpu, npu or trt.")] = "auto",
    convert: Annotated[
        bool, typer.Option("--convert", help="Accept turned, transparent, 16-bit, CMYK files.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Also write the result file.")] = None,
    json: JsonOption = False,
) -> None:
    """Measure accuracy: top-1, top-5, macro, per class, calibration error.

    Example: `edge-fgir eval birds.fgir --data photos`
    """
    from edge_fgir.benchmarking import write_result
    from edge_fgir.benchmarking.accuracy import evaluation
    from edge_fgir.data import SPLITS, labels_of, open_data
    from edge_fgir.runtime.manifest import MANIFEST

    if split not in SPLITS:
        raise InputError(f"--split {split}", f"one of {', '.join(SPLITS)}")
    if not model.exists():
        raise InputError(f"{model} does not exist", "a run folder or a bundle")
    pictures = open_data(data, convert=convert)
    samples = pictures.split(split)
    bundle = model.is_file() or (model / MANIFEST).exists()
    probabilities, subject = (
        _of_bundle(model, device, pictures, samples)
        if bundle
        else _of_run(model, pictures, samples)
    )
    body = {
        **subject,
        "split": split,
        "data": pictures.info.model_dump(),
        **evaluation(probabilities, labels_of(samples), pictures.classes),
    }
    if out is not None:
        write_result(out, "evaluation", body)
    if json:
        print_json(body)
        return
    typer.echo(
        f"{model} on {body['images']} {split} images of {pictures.name} ({subject['engine']}): "
        f"top-1 {body['top1']:.2f} %, top-5 {body['top5']:.2f} %, macro {body['macro']:.2f} %, "
        f"ECE {body['ece']:.2f} %"
    )


def _of_bundle(path: Path, device: str, pictures: Any, samples: Any) -> tuple[Any, dict[str, Any]]:
    import numpy as np

    from edge_fgir._progress import progress
    from edge_fgir.cli._choices import device_choice
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


def _of_run(path: Path, pictures: Any, samples: Any) -> tuple[Any, dict[str, Any]]:
    need("torch", "train", "evaluating a run folder")
    import torch

    from edge_fgir.data import prepared_images
    from edge_fgir.models.inference import logits_of
    from edge_fgir.models.trained import load_trained, read_labels, weights_file

    if read_labels(path) != pictures.classes:
        raise InputError(
            f"{path} knows other classes than {pictures.name}", "the data it was trained on"
        )
    trained, model = load_trained(path)
    images = prepared_images(pictures, samples, trained.preprocess)
    logits = logits_of(model, images, trained.normalization, "classifying")
    subject = {
        "bundle": str(path),
        "name": trained.name,
        "target": "torch",
        "precision": "fp32",
        "engine": f"torch {torch.__version__} eager CPU",
        "image_size": trained.preprocess.size,
        "model_bytes": weights_file(path).stat().st_size,
    }
    return torch.from_numpy(logits).softmax(1).numpy(), subject
