"""Small real trainings for tests: generated photographs that a network learns in seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from shared import Shared
from targets import loosened

SIDE = 48
CLASSES = ("green_leaf", "red_leaf", "striped_leaf")
COUNTS = {"train": 24, "val": 12, "test": 12}

RECIPE = {
    "name": "tiny",
    "method": "ce",
    "epochs": 8,
    "batch_size": 8,
    "precision": "fp32",
    "model": {"name": "lrnet14"},
    "data": {"view_size": 32, "resize_ratio": 1.2, "trivial_augment": False, "workers": 0},
    "eval": {"image_size": 32, "every_epochs": 1},
    "optimizer": {"lr": 0.002, "warmup_steps": 2},
    "loss": {"label_smoothing": 0.0},
}


def make_photos(root: Path) -> Path:
    """Write ``train|val|test/<class>/<n>.png``: noisy blobs, one colour or stripe a class."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for split, count in COUNTS.items():
        for label, name in enumerate(CLASSES):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = random.normal(90, 25, (SIDE, SIDE, 3))
                y, x = random.uniform(16, 32, 2)
                blob = (rows - y) ** 2 + (columns - x) ** 2 < random.uniform(8, 14) ** 2
                paint = [(40, 180, 40), (190, 40, 40), (40, 180, 40)][label]
                pixels[blob] = paint + random.normal(0, 20, (int(blob.sum()), 3))
                if label == 2:
                    pixels[blob & (columns % 6 < 3)] = 230
                image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
                image.save(folder / f"{number:03d}.png")
    return root


def write_recipe(path: Path, **changes: object) -> Path:
    """Write the tiny recipe with some top-level values replaced."""
    path.write_text(yaml.safe_dump({**RECIPE, **changes}))
    return path


@pytest.fixture(scope="session")
def photos(shared: Shared) -> Path:
    """A data folder of three classes of generated photographs."""
    return shared.folder("photos", lambda path: make_photos(path / "leaves")) / "leaves"


@pytest.fixture(scope="session")
def tiny_run(photos: Path, shared: Shared) -> Path:
    """A finished run: LRNet-14 at 32 px, cross-entropy."""
    return fitted(shared, "tiny", photos)


@pytest.fixture(scope="session")
def teacher_run(photos: Path, shared: Shared) -> Path:
    """A finished CAL teacher, one epoch."""
    model = {"name": "lrnet14", "attention_maps": 4}
    return fitted(shared, "teacher", photos, method="cal", epochs=1, model=model)


@pytest.fixture(scope="session")
def vit_run(photos: Path, shared: Shared) -> Path:
    """A finished run: a ViT of four blocks at 64 px with EViT, elastic over 32 to 64 px."""
    return fitted(
        shared,
        "vit",
        photos,
        name="leaves",
        epochs=2,
        model={
            "name": "vit_tiny_patch16_224",
            "options": {"depth": 4, "embed_dim": 48, "dynamic_img_size": True},
            "reduction": {"method": "evit", "blocks": [1, 2]},
        },
        data={"view_size": 64, "resize_ratio": 1.2, "trivial_augment": False, "workers": 0},
        eval={"image_size": 64, "every_epochs": 2},
        elastic={"image_sizes": [32, 48, 64]},
    )


@pytest.fixture(scope="session")
def tiny_export(tiny_run: Path, photos: Path, shared: Shared) -> Callable[[str, str], Path]:
    """Return a function that returns the tiny run's bundle for a target, in a precision."""
    pytest.importorskip("onnx")
    from edge_fgir.data import open_data
    from edge_fgir.exporting import ExportOptions, export

    def make(target: str, precision: str) -> Path:
        def fill(path: Path) -> None:
            export(
                tiny_run,
                loosened(target),
                open_data(str(photos)),
                path,
                ExportOptions(precision=precision),
            )

        return shared.folder(f"tiny-{target}-{precision}.fgir", fill)

    return make


def fitted(shared: Shared, key: str, photos: Path, /, **changes: object) -> Path:
    """Return the run of the tiny recipe with some values replaced; copy it to change it.

    Args:
        shared: Where it is kept.
        key: Of the shared folder: another one for each recipe.
        photos: The data.
        changes: Values of the recipe.
    """
    pytest.importorskip("torch")
    from edge_fgir.data import open_data
    from edge_fgir.training import read_recipe, train

    def fit(folder: Path) -> None:
        folder.mkdir()
        recipe = read_recipe(str(write_recipe(folder / "recipe.yaml", **changes)))
        train(recipe, open_data(str(photos)), folder / "run")

    return shared.folder(f"run-{key}", fit) / "run"


@pytest.fixture(scope="session")
def make_folder() -> Callable[..., Path]:
    """Return a function that writes a small data folder with the given class names."""

    def make(root: Path, classes: Sequence[str]) -> Path:
        for split, count in (("train", 8), ("val", 2), ("test", 2)):
            for index, name in enumerate(classes):
                (root / split / name).mkdir(parents=True)
                for number in range(count):
                    pixels = np.full((SIDE, SIDE, 3), 40 + 60 * index + number, np.uint8)
                    Image.fromarray(pixels).save(root / split / name / f"{number}.png")
        return root

    return make
