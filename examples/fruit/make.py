"""Makes this folder's bundle, photographs and card.

    python examples/fruit/make.py GROCERY_STORE OPENCV_SAMPLES --work build/fruit

``GROCERY_STORE`` has ``train/``, ``val/`` and ``test/`` with a folder a product, such as
``00.Golden-Delicious``, as the data set is split by its authors (Klasson et al., WACV 2019; MIT
licence): the network learns from it and is measured on it, and none of its pictures is kept.
``OPENCV_SAMPLES`` has ``apple.jpg``, ``orange.jpg`` and ``fruits.jpg``, as ``samples/data`` of
OpenCV's source code has them (Apache-2.0): these are shown, and carried in the bundle.

An interrupted training goes on.
"""

from __future__ import annotations

import argparse
import os
import shutil
from dataclasses import replace
from pathlib import Path
from string import Template
from typing import NamedTuple

from PIL import Image

import edge_fgir as ef
from edge_fgir._files import write_atomic
from edge_fgir.data import DataSet, open_data

FOLDER = Path(__file__).resolve().parent
PHOTOS = FOLDER / "photos"
PRODUCTS = {
    "apple": ("Golden-Delicious", "Granny-Smith", "Pink-Lady", "Red-Delicious", "Royal-Gala"),
    "banana": ("Banana",),
    "kiwi": ("Kiwi",),
    "lemon": ("Lemon",),
    "lime": ("Lime",),
    "orange": ("Orange", "Satsumas"),
    "pear": ("Anjou", "Conference", "Kaiser"),
}
NAME = "Grocery Store data set, seven kinds of fruit"
LICENCE = "MIT"
TARGET = "arm"
SIDE = 192


class Shown(NamedTuple):
    """A photograph: OpenCV's file, what it shows, and which part of the file it is."""

    file: str
    fruit: str
    part: tuple[int, int, int, int] | None = None


SHOWN = {
    "apple": Shown("apple.jpg", "apple"),
    "fruits": Shown("fruits.jpg", "many kinds, most of them cut open"),
    "lime": Shown("fruits.jpg", "lime", (335, 115, 512, 292)),
    "orange": Shown("orange.jpg", "orange"),
}


def gathered(source: Path, out: Path) -> Path:
    """Copy the pictures of the products, by kind, in their authors' splits; return the folder."""
    shutil.rmtree(out, ignore_errors=True)
    for split in ("train", "val", "test"):
        for kind, products in PRODUCTS.items():
            target = out / split / kind
            target.mkdir(parents=True)
            for product in products:
                for folder in (source / split).glob(f"*.{product}"):
                    for picture in folder.iterdir():
                        shutil.copy(picture, target / f"{product}-{picture.name}")
    return out


def draw(source: Path) -> None:
    """Write the photographs that are shown, scaled to a short side of ``SIDE``."""
    PHOTOS.mkdir(exist_ok=True)
    for name, shown in SHOWN.items():
        with Image.open(source / shown.file) as picture:
            part = picture.convert("RGB").crop(shown.part or (0, 0, *picture.size))
        scale = SIDE / min(part.size)
        size = (round(part.width * scale), round(part.height * scale))
        part.resize(size, Image.Resampling.LANCZOS).save(PHOTOS / f"{name}.jpg", quality=90)


def answers(bundle: Path) -> str:
    """Return what the bundle says of the photographs, as rows of a table."""
    with ef.Classifier.open(bundle) as model:
        told = {name: model(PHOTOS / f"{name}.jpg") for name in SHOWN}
    return "\n".join(
        f"| `{name}.jpg` | {SHOWN[name].fruit} | {result.label}"
        f"{' (unknown)' if result.is_unknown else ''} | {100 * result.score:.0f} |"
        for name, result in told.items()
    )


def card(bundle: ef.Bundle, data: DataSet, accuracy: ef.Evaluation) -> str:
    """Return the card: what it is, how good, of what, under which terms."""
    by_class = "\n".join(
        f"| {one.name} | {learned} | {one.images} | {one.top1:.0f} |"
        for one, learned in zip(accuracy.classes, data.counts("train"), strict=True)
    )
    text = Template((FOLDER / "card.md").read_text(encoding="utf-8"))
    return text.substitute(
        network=bundle.manifest.architecture,
        params=f"{bundle.manifest.params:,}",
        side=bundle.preprocess.size,
        train=len(data.split("train")),
        val=len(data.split("val")),
        test=accuracy.images,
        top1=f"{accuracy.top1:.1f}",
        low=f"{accuracy.top1_interval[0]:.0f}",
        high=f"{accuracy.top1_interval[1]:.0f}",
        macro=f"{accuracy.macro:.1f}",
        kilobytes=round(bundle.size / 1e3),
        classes=by_class,
        answers=answers(bundle.path),
    )


def main() -> None:
    """Train, export, measure, and write the folder."""
    parser = argparse.ArgumentParser(description="Makes examples/fruit.")
    parser.add_argument("source", type=Path, metavar="GROCERY_STORE")
    parser.add_argument("samples", type=Path, metavar="OPENCV_SAMPLES")
    parser.add_argument("--work", type=Path, default=Path("build/fruit"))
    given = parser.parse_args()
    source = given.source.resolve()
    draw(given.samples)
    given.work.mkdir(parents=True, exist_ok=True)
    os.chdir(given.work)  # results name what they measured as it was named
    data = replace(open_data(str(gathered(source, Path("photos")))), name=NAME, licence=LICENCE)
    run = Path("run")
    ef.train(FOLDER / "recipe.yaml", data, run, resume=run.exists())
    options = ef.ExportOptions(precision="int8", golden=PHOTOS, as_zip=True)
    bundle = ef.export(run, TARGET, data, "fruit.fgir", options)
    accuracy = ef.evaluate("fruit.fgir", data)
    shutil.copy(bundle.path, FOLDER / "fruit.fgir")
    accuracy.write(FOLDER / "accuracy.json")
    write_atomic(FOLDER / "README.md", card(bundle, data, accuracy))


if __name__ == "__main__":
    main()
