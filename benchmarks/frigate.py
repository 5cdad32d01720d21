"""Frigate on photographs: a folder as Frigate fills it, fitted, and asked as Frigate asks.

    .venv/bin/python benchmarks/frigate.py cub_100 --shared ../shared/data --work runs/frigate
    .venv/bin/python benchmarks/frigate.py cub_100 --work runs/frigate --python ENV/bin/python

makes crops of photographs as Frigate saves them: squares of 20 to 300 pixels, several frames of
each visit that hardly differ, named by the moment at which a user sorted them, a visit after the
other; mostly PNG, some WebP and JPEG; a class ``none``. ``edge-fgir fit --for frigate`` learns
from them, by the command that :func:`fit_command` makes.
Then other visits, of other photographs, are shown to ``model.tflite`` and to ``bird.tflite`` as
Frigate 0.17 does, in the interpreter that is installed here and in that of every ``--python``
(:mod:`frigate_replay`). What has been made or fitted before is found again.

    .venv/bin/python benchmarks/frigate.py --work runs/frigate --bundle B --photos FOLDER

asks a bundle that is there already about photographs of its classes, and of others.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import shutil
import string
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image
from rows import keep

from edge_fgir import Bundle, Classifier
from edge_fgir.data import open_data
from edge_fgir.exporting.frigate import frigate_files
from edge_fgir.exporting.frigate_graph import NO_BIRD, NONE

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "frigate.json"


@dataclass(frozen=True)
class Photographs:
    """Of which photographs a folder is made.

    Attributes:
        classes: Of the folder, ``none`` among them, with the kinds of things that are in each.
        never_seen: Kinds that are ``none`` too, but of which the folder has no picture.
    """

    classes: dict[str, tuple[str, ...]]
    never_seen: tuple[str, ...]


SETS = {
    "grocery_store": Photographs(
        classes={
            "avocado": ("05.Avocado",),
            "banana": ("06.Banana",),
            "carrots": ("62.Carrots",),
            "granny_smith": ("01.Granny-Smith",),
            "orange": ("16.Orange",),
            "royal_gala": ("04.Royal-Gala",),
            "satsumas": ("27.Satsumas",),
            NONE: ("08.Lemon", "68.Yellow-Onion", "67.Brown-Cap-Mushroom"),
        },
        never_seen=("78.Regular-Tomato", "45.Oatly-Oat-Milk"),
    ),
    "cub_100": Photographs(
        classes={
            "american_goldfinch": ("American_Goldfinch",),
            "blue_jay": ("Blue_Jay",),
            "carolina_wren": ("Carolina_Wren",),
            "downy_woodpecker": ("Downy_Woodpecker",),
            "purple_finch": ("Purple_Finch",),
            "red_bellied_woodpecker": ("Red_bellied_Woodpecker",),
            "white_breasted_nuthatch": ("White_breasted_Nuthatch",),
            "white_crowned_sparrow": ("White_crowned_Sparrow",),
            NONE: ("Brown_Creeper", "Gray_Catbird", "Mallard", "Red_winged_Blackbird"),
        },
        never_seen=("Belted_Kingfisher", "Tree_Swallow"),
    ),
}
PICTURES = 60
"""Of each class in the folder."""
VISITS, FRAMES = 8, 6
"""Of each class that are asked about; fewer frames than the 16 that Frigate would ask about."""
_SMALLEST, _LARGEST = 20, 300
_MOST_FRAMES = 6
_LEAST_ANSWERS, _AGREEING = 3, 0.6
"""Of an object, before Frigate's custom classification names it."""


@dataclass(frozen=True)
class Visit:
    """One thing that came by: its frames are cut from one photograph.

    Attributes:
        label: Its class.
        frames: Files, in the order of time.
        seen: Whether the folder that was learned from has its kind.
    """

    label: str
    frames: tuple[Path, ...]
    seen: bool


def frames_of(photograph: Path, count: int, random: np.random.Generator) -> Iterator[Image.Image]:
    """Yield crops of one visit: the box moves a little, so does the light, and video is lossy."""
    picture = Image.open(photograph).convert("RGB")
    side = min(picture.size) * random.uniform(0.6, 0.9)
    left, top = (random.uniform(0, length - side) for length in picture.size)
    pixels = math.exp(random.uniform(math.log(_SMALLEST), math.log(_LARGEST)))
    for _ in range(count):
        own = min(side * random.uniform(0.92, 1.08), *picture.size)
        corner = [
            float(np.clip(at + side * random.uniform(-0.06, 0.06), 0, length - own))
            for at, length in zip((left, top), picture.size, strict=True)
        ]
        shown = round(float(np.clip(pixels * random.uniform(0.9, 1.1), _SMALLEST, _LARGEST)))
        x, y = corner
        box = (x, y, x + own, y + own)
        crop = picture.resize((shown, shown), Image.Resampling.BICUBIC, box=box)
        lit = np.asarray(crop) * random.uniform(0.9, 1.1)
        lossy = io.BytesIO()
        Image.fromarray(lit.clip(0, 255).astype(np.uint8)).save(
            lossy, "JPEG", quality=int(random.integers(50, 85))
        )
        yield Image.open(lossy)


def photographs(folder: Path, kinds: Sequence[str]) -> list[Path]:
    """Return the photographs of some products, their kinds in turns."""
    of_kind = [sorted((folder / kind).glob("*.jpg")) for kind in kinds]
    rounds = range(max(map(len, of_kind)))
    return [files[at] for at in rounds for files in of_kind if at < len(files)]


def make_dataset(photos: Path, classes: dict[str, tuple[str, ...]], root: Path) -> dict[str, int]:
    """Fill a folder as ``clips/NAME/dataset`` of Frigate is filled.

    Returns:
        Of each file, relative to the folder, its visit's number.
    """
    random = np.random.default_rng(0)
    visits: dict[str, int] = {}
    when, number = 1_780_000_000.0, 0
    for label, kinds in classes.items():
        (root / label).mkdir(parents=True)
        left = PICTURES
        for photograph in photographs(photos, kinds):
            if not left:
                break
            count = min(left, int(random.integers(1, _MOST_FRAMES + 1)))
            for crop in frames_of(photograph, count, random):
                when += random.uniform(0.02, 0.2)
                letters = "".join(random.choice([*string.ascii_lowercase, *string.digits], 6))
                ending = str(random.choice(["png", "png", "png", "webp", "jpg"]))
                name = f"{label}/{label}-{when:.6f}-{letters}.{ending}"
                crop.save(root / name, lossless=True)  # JPEG and PNG do not look at it
                visits[name] = number
            left -= count
            number += 1
            when += random.uniform(3, 20)
    return visits


Group = tuple[str, Sequence[Path], bool]
"""A class, its photographs, and whether what was learned from had its kind."""


def of_set(photos: Path, chosen: Photographs) -> list[Group]:
    """Return photographs of the test split; those of the folder are of the training split."""
    groups: list[Group] = [
        (label, photographs(photos, kinds), True) for label, kinds in chosen.classes.items()
    ]
    return [*groups, (NONE, photographs(photos, chosen.never_seen), False)]


def of_labels(photos: Path, labels: Sequence[str]) -> list[Group]:
    """Return photographs of a bundle's classes, and of half as many others, which are ``none``."""
    names = sorted(folder.name for folder in photos.iterdir())
    others = [name for name in names if name not in labels][: len(labels) // 2]
    groups: list[Group] = [(name, photographs(photos, [name]), True) for name in labels]
    return [*groups, *((NONE, photographs(photos, [name]), False) for name in others)]


def make_visits(groups: Sequence[Group], root: Path) -> list[Visit]:
    """Write the crops of visits that nothing was learned from."""
    random = np.random.default_rng(1)
    made = []
    for number, (label, files, seen) in enumerate(groups):
        for photograph in files[:VISITS]:
            folder = root / label / f"{number}-{photograph.parent.name}-{photograph.stem}"
            folder.mkdir(parents=True)
            frames = []
            for at, crop in enumerate(frames_of(photograph, FRAMES, random)):
                frames.append(folder / f"{at}.png")
                crop.save(frames[-1])
            made.append(Visit(label, tuple(frames), seen))
    return made


def fit_command(dataset: Path, out: Path, minutes: float) -> list[str]:
    """Return the command of ``docs/frigate.md``."""
    words = ["fit", dataset, "--for", "frigate", "--minutes", f"{minutes:g}", "--out", out]
    return [sys.executable, "-m", "edge_fgir", *map(str, words), "--resume"]


def torn(dataset: Path, visits: dict[str, int]) -> int:
    """Return of how many visits some frames are learned from and others judge."""
    data = open_data(str(dataset))
    sides: dict[int, set[str]] = defaultdict(set)
    for split in ("train", "val", "test"):
        for sample in data.split(split):
            sides[visits[sample.path.relative_to(dataset).as_posix()]].add(split)
    return sum(len(found) > 1 for found in sides.values())


def asked(python: str, model: Path, crops: Sequence[Path]) -> tuple[dict[str, Any], np.ndarray]:
    """Return an interpreter's name and speed, and (N, K) scores as Frigate reads them."""
    command = [python, str(Path(__file__).with_name("frigate_replay.py")), str(model)]
    lines = "\n".join(map(str, crops))
    done = subprocess.run(command, input=lines, stdout=subprocess.PIPE, text=True, check=True)
    answer = json.loads(done.stdout)
    scores = np.asarray(answer.pop("scores"), np.uint8)
    return answer, scores


class Frigate:
    """Frigate's side of the contract: what it makes of scores.

    Args:
        folder: ``frigate/`` of a bundle.
        bird: Its bird classification, instead of a custom one.
    """

    def __init__(self, folder: Path, *, bird: bool) -> None:
        self._bird = bird
        self.model = folder / ("bird.tflite" if bird else "model.tflite")
        lines = (folder / ("birdmap.txt" if bird else "labelmap.txt")).read_text().splitlines()
        self._names = [
            line[line.find("(") + 1 : line.find(")")] if bird else line for line in lines
        ]
        settings = yaml.safe_load((folder / "config.yml").read_text())["classification"]
        settings = settings["bird"] if bird else settings["custom"]["NAME"]
        self._threshold = float(settings["threshold"])

    def answer(self, scores: np.ndarray) -> tuple[str, float]:
        """Return the label and the score of one crop."""
        shares = scores / scores.sum(axis=0)
        best = int(np.argmax(shares))
        label = NONE if self._bird and best == NO_BIRD else self._names[best]
        return label, round(float(shares[best]), 2)

    def named(self, answers: Sequence[tuple[str, float]]) -> str | None:
        """Return what an object is called after these answers; None: nothing."""
        name, best = None, 0.0
        history: list[str] = []
        for label, score in answers:
            if score < self._threshold or (self._bird and label == NONE):
                continue
            if self._bird:
                if score > best:
                    name, best = label, score
                continue
            history.append(label)
            most, count = Counter(history).most_common(1)[0]
            enough = len(history) >= _LEAST_ANSWERS and count >= _AGREEING * len(history)
            if enough and most != NONE:
                name = most
        return name


def row_of(
    frigate: Frigate, scores: np.ndarray, visits: Sequence[Visit], bundle: Sequence[str]
) -> dict[str, Any]:
    """Return how good the answers to all crops are, and the names of the objects."""
    answers = [frigate.answer(each) for each in scores]
    labels = [label for label, _ in answers]
    wanted = [visit.label for visit in visits for _ in visit.frames]
    names = [frigate.named(answers[at * FRAMES : (at + 1) * FRAMES]) for at in range(len(visits))]
    row: dict[str, Any] = {
        "pictures": len(answers),
        "top1": _percent(np.equal(labels, wanted)),
        "bundle_top1": _percent(np.equal(bundle, wanted)),
        "agreement": _percent(np.equal(labels, bundle)),
    }
    of_class = [(visit, name) for visit, name in zip(visits, names, strict=True)]
    known = [(visit, name) for visit, name in of_class if visit.label != NONE]
    row["objects"] = {
        "of_a_class": len(known),
        "named_right": sum(name == visit.label for visit, name in known),
        "named_wrong": sum(name not in (None, visit.label) for visit, name in known),
    }
    for key, seen in (("none_of_kinds_seen", True), ("none_of_kinds_never_seen", False)):
        some = [name for visit, name in of_class if visit.label == NONE and visit.seen is seen]
        row["objects"][key] = len(some)
        row["objects"][f"{key}_named"] = sum(name is not None for name in some)
    return row


def _percent(flags: Any) -> float:
    return round(float(100 * np.mean(flags)), 1)


def of_bundle(bundle: Bundle, crops: Sequence[Path]) -> list[str]:
    """Return what the bundle itself says of crops; what is below its threshold is ``none``."""
    threshold = bundle.calibration.unknown_threshold
    with Classifier.open(bundle.path) as model:
        told = [model(crop) for crop in crops]
    return [each.label if each.score >= threshold else NONE for each in told]


def main() -> None:
    """Make, fit, ask and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photographs", nargs="?", choices=SETS, default="grocery_store")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--work", type=Path, default=Path("runs/frigate"))
    parser.add_argument("--minutes", type=float, default=12.0, help="of the fit")
    parser.add_argument("--python", nargs="*", default=[], help="of other interpreters")
    parser.add_argument("--out", type=Path, default=RESULT, help="result file")
    parser.add_argument("--bundle", type=Path, help="of target litert, instead of a fit")
    parser.add_argument("--photos", type=Path, help="<class>/*.jpg to ask that bundle about")
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    shutil.rmtree(work / "later", ignore_errors=True)
    facts: dict[str, Any] = {}
    if arguments.bundle is not None:
        bundle = Bundle(arguments.bundle)
        visits = make_visits(of_labels(arguments.photos, bundle.labels), work / "later")
    else:
        photos, chosen = arguments.shared / arguments.photographs, SETS[arguments.photographs]
        dataset, record = work / "dataset", work / "visits.json"
        if not record.exists():
            shutil.rmtree(dataset, ignore_errors=True)
            work.mkdir(parents=True, exist_ok=True)
            record.write_text(json.dumps(make_dataset(photos / "train", chosen.classes, dataset)))
        numbers = json.loads(record.read_text())
        facts = {
            "visits_learned": len(set(numbers.values())),
            "visits_torn": torn(dataset, numbers),
        }
        visits = make_visits(of_set(photos / "test", chosen), work / "later")
        out = work / "fitted.fgir"
        if not out.exists():
            subprocess.run(fit_command(dataset, out, arguments.minutes), check=True)
        bundle = Bundle(out)
    crops = [frame for visit in visits for frame in visit.frames]
    said = of_bundle(bundle, crops)
    facts |= {
        "data": bundle.manifest.data.name if arguments.bundle else arguments.photographs,
        "none_is_a_class": NONE in bundle.labels,
        "network": bundle.manifest.architecture,
        "image_size": bundle.preprocess.size,
        "precision": bundle.manifest.precision,
    }
    for kind, program in (("custom", "frigate"), ("bird", "frigate-bird")):
        made = frigate_files(
            bundle.read(bundle.manifest.model_file),
            bundle.preprocess,
            bundle.labels,
            bundle.calibration,
            program,
        )
        for name, data in made.items():
            (work / kind / name).parent.mkdir(parents=True, exist_ok=True)
            (work / kind / name).write_bytes(data)
        frigate = Frigate(work / kind / "frigate", bird=kind == "bird")
        first = None
        for python in (sys.executable, *arguments.python):
            about, scores = asked(python, frigate.model, crops)
            first = scores if first is None else first
            apart = int(np.abs(scores.astype(int) - first).max())
            row = row_of(frigate, scores, visits, said)
            row |= {"model": kind, "largest_score_difference": apart, **about, **facts}
            print(row, flush=True)
            keep(arguments.out, "frigate", row, ("data", "model", "interpreter"))


if __name__ == "__main__":
    main()
