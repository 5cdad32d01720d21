"""A camera's session as a picture: what it showed, what each frame was called, what was told.

    .venv/bin/python benchmarks/session.py X.fgir --data photos --out docs/pictures/session.png

Plays `--visits` clips of a shaken camera, as `benchmarks/events.py` makes them, with the noise of
an empty scene between them, through `Classifier.stream` and a `Tracker`, and draws both.
"""

from __future__ import annotations

import argparse
import colorsys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from events import FPS, SECONDS, shaken
from PIL import Image, ImageDraw, ImageFont

from edge_fgir.data import labels_of, open_data
from edge_fgir.runtime import Classifier, Event, Frame, Pixels, Result, Tracker

ROOT = Path(__file__).resolve().parents[1]
PAUSE_S = 4
A_SECOND = 22
"""Pixels."""
LEFT, TOP, PICTURE, STRIP, BAR = 86, 12, 110, 44, 40
INK, QUIET, PAPER = (30, 30, 30), (205, 205, 205), (255, 255, 255)


@dataclass(frozen=True)
class Visit:
    """One clip: when it begins, s, the class shown and the photograph (H, W, 3) RGB."""

    start: float
    truth: str
    photo: Pixels


def frames_of(visits: list[Visit], seed: int) -> Iterator[Frame]:
    """Yield the session's frames, (H, W, 3) BGR."""
    random, index = np.random.default_rng(seed), 0
    for number, visit in enumerate(visits):
        noise = (random.integers(90, 130, (240, 320, 3), np.uint8) for _ in range(PAUSE_S * FPS))
        for rgb in (*noise, *shaken(visit.photo, (seed, number))):
            yield Frame(rgb[..., ::-1], index, index / FPS)
            index += 1


def draw(visits: list[Visit], results: list[Result], events: list[Event]) -> Image.Image:
    """Return the picture."""
    seconds = len(results) / FPS
    width = LEFT + round(seconds * A_SECOND) + 40
    rows = [TOP, TOP + PICTURE + 12, TOP + PICTURE + STRIP + 24]
    image = Image.new("RGB", (width, rows[2] + BAR + 34), PAPER)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    for row, word in zip(rows, ("camera", "frames", "events"), strict=True):
        pen.text((8, row + 4), word, INK, font)
    for visit in visits:
        small = Image.fromarray(visit.photo)
        small.thumbnail((SECONDS * A_SECOND - 6, PICTURE - 18))
        x = at(visit.start) + 3
        image.paste(small, (x, rows[0] + 18))
        pen.text((x, rows[0]), short(visit.truth), INK, font)
    for index, result in enumerate(results):
        color = QUIET if result.is_unknown else shade(result.label)
        left, right = at(index / FPS), at((index + 1) / FPS)
        pen.rectangle((left, rows[1], right - 1, rows[1] + STRIP), color)
    for event in events:
        left, right = at(event.start), at(event.end + 1 / FPS)
        color = QUIET if event.is_unknown else shade(event.label)
        pen.rectangle((left, rows[2], right, rows[2] + BAR), color)
        name = "unknown" if event.is_unknown else short(event.name)
        pen.text((left + 4, rows[2] + 3), name, INK, font)
        pen.text((left + 4, rows[2] + 21), f"{100 * event.score:.0f} %", INK, font)
    bottom = rows[2] + BAR + 6
    for second in range(0, int(seconds) + 1, 10):
        pen.line((at(second), bottom, at(second), bottom + 5), INK)
        pen.text((at(second) + 3, bottom + 3), f"{second} s", INK, font)
    return image


def at(seconds: float) -> int:
    """Return where a time lies, pixels."""
    return LEFT + round(seconds * A_SECOND)


def short(name: str) -> str:
    """Return a name that fits over a visit."""
    return name if len(name) < 18 else f"{name[:16]}."


def shade(label: str) -> tuple[int, int, int]:
    """Return a light colour that is always the same for a label."""
    hue = sum(ord(letter) * 37**place for place, letter in enumerate(label)) % 360 / 360
    red, green, blue = colorsys.hls_to_rgb(hue, 0.72, 0.65)
    return round(255 * red), round(255 * green), round(255 * blue)


def main() -> None:
    """Play the session, draw it, and say what is on the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--data", required=True, help="data folder; its test split is shown")
    parser.add_argument("--visits", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures" / "session.png")
    options = parser.parse_args()

    data = open_data(options.data)
    samples, labels = data.split("test"), labels_of(data.split("test"))
    places = np.random.default_rng(options.seed).permutation(len(samples))[: options.visits]
    visits = [
        Visit(
            number * (PAUSE_S + SECONDS) + PAUSE_S,
            data.classes[labels[place]],
            data.read(samples[place]),
        )
        for number, place in enumerate(places.tolist())
    ]
    with Classifier.open(options.bundle) as model:
        results = list(model.stream(frames_of(visits, options.seed), drop="none"))
        tracker = Tracker(model.judge)
        told = [event for result in results for event in tracker.update(result)]
        told += tracker.finish()
    ended = [event for event in told if event.state == "ended"]
    draw(visits, results, ended).save(options.out, optimize=True)
    changes = sum(a.label != b.label for a, b in pairwise(results))
    unknown = sum(result.is_unknown for result in results)
    print(f"{len(results)} frames, {unknown} of them unknown; the label changed {changes} times")
    for event in ended:
        print(event.visit, event.name, f"{event.score:.3f}", event.start, event.end)
    print("shown:", ", ".join(visit.truth for visit in visits))


if __name__ == "__main__":
    main()
