"""Mutated input for every parser of text or bytes from outside: what is refused is one line.

``make fuzz`` runs 10,000 cases of a fixed seed and prints, for each parser, how many were accepted,
how many refused, and what went wrong: another exception than ours, more than a line, or a case that
took more than some seconds.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from bundles import make_bundle
from PIL import Image
from samples import latency, write_result

from edge_fgir._errors import EdgeFgirError, InputError
from edge_fgir._files import to_json
from edge_fgir._resources import folder
from edge_fgir.benchmarking.messages import Identified, read_answer
from edge_fgir.data.csv_list import read_class_names, read_list
from edge_fgir.data.source import read_source
from edge_fgir.results import read_result
from edge_fgir.runs import read_recipe
from edge_fgir.runs.data_record import DataRecord
from edge_fgir.runs.description import TrainedModel
from edge_fgir.runtime import Manifest, read_image
from edge_fgir.runtime.formats import check_onnx, checked_ir
from edge_fgir.runtime.targets import operators_of
from edge_fgir.sweeping import read_sweep

SLOW_S = 5.0
_PICTURES = range(8)
"""Of each split of a data set."""
_SHOWN = 5
_WORDS = (
    b"null", b"true", b"-1", b"1e999", b"NaN", b"9" * 400, b"[" * 200, b"{", b"}", b'"', b"\\u0000",
    b"\x1b[2J", b"\xe2\x80\xae", b"\x00", b"\xff", b"../../etc", b"&a ", b"*a", b"<<: ",
    b"!!binary ", b"\r\n", b"\t", b": ", b"- ", b"# ", b"2024-99-99", b"0x", b",", b"\xef\xbb\xbf",
)  # fmt: skip

MODEL = {
    "name": "tiny",
    "network": {"name": "lrnet14"},
    "num_classes": 2,
    "normalization": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
    "preprocess": {"size": 32},
    "train_counts": [8, 8],
    "data": {"name": "leaves", "licence": "CC0-1.0", "hash": "0" * 64},
}

Parser = Callable[[bytes, Path], object]


@dataclass
class Tally:
    """What became of the cases of a parser."""

    accepted: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)


def mutated(content: bytes, dice: random.Random) -> bytes:
    """Return content with a few changes: bytes, words of trouble, pieces lost, doubled or moved."""
    changed = bytearray(content)
    for _ in range(dice.randint(1, 4)):
        place = dice.randrange(len(changed) + 1)
        length = dice.choice((1, 2, 8, 60))
        match dice.randrange(6):
            case 0 if place < len(changed):
                changed[place] = dice.randrange(256)
            case 1:
                changed[place:place] = dice.choice(_WORDS)
            case 2:
                del changed[place : place + length]
            case 3:
                changed[place:place] = changed[place : place + length]
            case 4:
                changed[place : place + length] = dice.choice(_WORDS)
            case _:
                del changed[place : None if dice.random() < 0.1 else place + 1]
    return bytes(changed)


def in_file(name: str, parse: Callable[[Path], object]) -> Parser:
    """Return a parser of a file of that name."""

    def run(content: bytes, scratch: Path) -> object:
        path = scratch / name
        path.write_bytes(content)
        return parse(path)

    return run


def as_setting(content: bytes, scratch: Path) -> object:
    """Read the text as the value of ``--set``."""
    return read_recipe("student-lrnet14", [content.decode(errors="surrogateescape")])


def as_model(check: Callable[[bytes], object]) -> Parser:
    """Return a parser of a model file, whose refusals the opener of bundles turns into a line."""

    def run(content: bytes, scratch: Path) -> object:
        try:
            return check(content)
        except ValueError as error:
            raise InputError(str(error)) from error

    return run


def in_data_set(name: str, labels: str = "") -> Parser:
    """Return a parser of a data set that a file of that name describes, beside its pictures.

    Args:
        name: Of the file.
        labels: What the file of labels of each picture holds, ``{label}`` for its class; ``name``
            tells its ending where it is one of them. Empty: there are none.
    """

    def run(content: bytes, scratch: Path) -> object:
        root = scratch / "sets" / name.replace("/", "-").replace(".", "-")
        if not root.exists():
            ending = ".xml" if name.endswith(".xml") else ".txt"
            for split, shade in (("train", 0), ("valid", 120), ("test", 240)):
                (root / split).mkdir(parents=True)
                for number in _PICTURES:
                    place = root / split / f"{number}.png"
                    Image.new("RGB", (16, 16), (shade, 25 * number, 9)).save(place)
                    if labels:
                        place.with_suffix(ending).write_text(labels.format(label=number % 2))
        (root / name).write_bytes(content)
        return read_source(str(root))

    return run


def published() -> dict[str, tuple[list[bytes], Parser]]:
    """Return descriptions of published data sets, and what reads them, by name."""
    names = {number: f"{number}.png" for number in _PICTURES}
    coco = {
        "images": [{"id": number, "file_name": name} for number, name in names.items()],
        "annotations": [{"image_id": number, "category_id": number % 2} for number in names],
        "categories": [{"id": 0, "name": "wren"}, {"id": 1, "name": "robin"}],
    }
    boxes = [
        {"image": name, "annotations": [{"label": "ab"[number % 2]}]}
        for number, name in names.items()
    ]
    rows = "".join(f"{name},{number % 2},{1 - number % 2}\n" for number, name in names.items())
    lines = "".join(
        f'{{"file_name": "{name}", "label": "{number % 2}"}}\n' for number, name in names.items()
    )
    table = "".join(f"{number},{'ab'[number % 2]}\n" for number in names)
    box = "{label} .5 .5 .2 .2\n"
    annotation = "<annotation><object><name>bird {label}</name></object></annotation>"
    wholes = {
        "train/_annotations.coco.json": (json.dumps(coco), ""),
        "train/_annotations.createml.json": (json.dumps(boxes), ""),
        "train/_classes.csv": (f"filename, wren, robin\n{rows}", ""),
        "train/metadata.jsonl": (lines, ""),
        "labels.csv": (f"id,breed\n{table}", ""),
        "data.yaml": ("names: [wren, robin]\n", box),
        "train/0.xml": (annotation.format(label=0), annotation),
    }
    return {
        name: ([whole.encode()], in_data_set(name, labels))
        for name, (whole, labels) in wholes.items()
    }


def parsers(scratch: Path) -> dict[str, tuple[list[bytes], Parser]]:
    """Return whole inputs, and what reads them, by name."""
    onnx, ir = make_bundle(scratch / "a.fgir", target="arm"), make_bundle(scratch / "b.fgir")
    graph = next(onnx.glob("arm/*.onnx")) if (onnx / "arm").is_dir() else next(onnx.rglob("*.onnx"))
    xml, weights = next(ir.rglob("*.xml")), next(ir.rglob("*.bin")).stat().st_size
    operators, layers = operators_of("onnxruntime"), operators_of("openvino")
    result = scratch / "whole.json"
    write_result(result, "latency", latency("arm", 3.0))
    model = to_json(MODEL).encode()
    pictures = []
    for kind in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF"):
        file = io.BytesIO()
        pixels = np.random.default_rng(0).integers(0, 255, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(file, kind)
        pictures.append(file.getvalue())
    record = scratch / "record"
    numbers = np.arange(3, dtype=np.uint64)
    splits = dict.fromkeys(("train", "val", "test"), numbers)
    DataRecord("0" * 64, splits, splits).write(record)
    sweep = b"name: s\nrecipe: teacher\ndata: elpv\nseeds: [0, 1]\ngrid: {epochs: [1, 2]}\n"
    return {
        "recipes": (
            [path.read_bytes() for path in sorted(folder("recipes").glob("*.yaml"))],
            in_file("a.yaml", lambda path: read_recipe(str(path))),
        ),
        "--set": (
            [b"optimizer.lr=1e-3", b"model={name: lrnet14}", b"views=[crop, drop]"],
            as_setting,
        ),
        "sweep files": ([sweep], in_file("s.yaml", read_sweep)),
        "manifests": (
            [(ir / "manifest.json").read_bytes()],
            lambda content, _: Manifest.parse(content, "manifest.json"),
        ),
        "ONNX": ([graph.read_bytes()], as_model(lambda model: check_onnx(model, operators))),
        "IR": ([xml.read_bytes()], as_model(lambda model: checked_ir(model, weights, layers))),
        "model.json": ([model], in_file("model.json", TrainedModel.read)),
        "results": ([result.read_bytes()], in_file("r.json", read_result)),
        "data records": ([record.read_bytes()], in_file("d.safetensors", DataRecord.read)),
        "answers of a device": (
            [b'{"kind": "failed", "message": "x"}', b'{"kind": "identified", "device": {}}'],
            lambda content, _: read_answer(content, Identified, "pi"),
        ),
        "lists": (
            [b"class_id,dir\n0,a/1.jpg\n1,b/2.jpg\n", b"0,a.jpg\n1,b.jpg\n"],
            in_file("train.csv", partial(read_list, column="dir")),
        ),
        "class names": ([b"class_id,class_name\n0,a\n1,b\n"], in_file("c.csv", read_class_names)),
        "pictures": (pictures, in_file("p.png", partial(read_image, convert=True))),
        **published(),
    }


def fuzz(cases: int, seed: int) -> dict[str, Tally]:
    """Give each parser its share of the cases, and return what became of them."""
    dice, tallies = random.Random(seed), dict[str, Tally]()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        for title, (inputs, parse) in (found := parsers(scratch)).items():
            tally = tallies.setdefault(title, Tally())
            for _ in range(-(-cases // len(found))):
                content = mutated(dice.choice(inputs), dice)
                began = time.monotonic()
                try:
                    parse(content, scratch)
                    tally.accepted += 1
                except EdgeFgirError as error:
                    tally.refused += 1
                    if "\n" in str(error):
                        tally.faults.append(f"more than a line: {error!r:.300}")
                except Exception as error:  # what is looked for
                    tally.faults.append(f"{error!r:.200} on {content!r:.300}")
                if time.monotonic() - began > SLOW_S:
                    tally.faults.append(f"slow: {content!r:.300}")
    return tallies


def main() -> None:
    """Print the table; exit with 1 where anything went wrong."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cases", type=int, default=10_000)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    tallies = fuzz(given.cases, given.seed)
    lines = [f"{'parser':22}{'cases':>8}{'accepted':>10}{'refused':>10}{'faults':>10}"]
    for title, tally in tallies.items():
        figures = (tally.accepted, tally.refused, len(tally.faults))
        lines.append(f"{title:22}{sum(figures):8}" + "".join(map("{:10}".format, figures)))
    for title, tally in tallies.items():
        lines += [f"{title}: {fault}" for fault in tally.faults[:_SHOWN]]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.exit(any(tally.faults for tally in tallies.values()))


if __name__ == "__main__":
    main()
