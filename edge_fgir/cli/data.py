"""``edge-fgir data``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_fgir._errors import InputError
from edge_fgir.cli._app import JsonOption, app, print_json

_group = typer.Typer(help="Data sets: what is in them, and packing them.")
app.add_typer(_group, name="data", no_args_is_help=True)


@_group.command()
def stats(
    data: Annotated[str, typer.Argument(help="Folder of pictures or shards, or elpv.")],
    convert: Annotated[
        bool, typer.Option("--convert", help="Accept turned, transparent, 16-bit, CMYK files.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Check every picture's header and count pictures by class and split.

    Example: `edge-fgir data stats elpv`
    """
    from edge_fgir.data import SPLITS, open_data

    found = open_data(data, convert=convert)
    counts = {split: found.counts(split) for split in SPLITS}
    if json:
        by_class = [
            {"name": name, **{split: counts[split][i] for split in SPLITS}}
            for i, name in enumerate(found.classes)
        ]
        print_json({**found.info.model_dump(), "classes": by_class})
        return
    width = max(len(name) for name in found.classes)
    typer.echo(f"{found.name}: {found.licence}")
    typer.echo(f"{'':{width}}  " + "  ".join(f"{split:>6}" for split in SPLITS))
    for i, name in enumerate(found.classes):
        typer.echo(f"{name:{width}}  " + "  ".join(f"{counts[split][i]:6d}" for split in SPLITS))
    typer.echo(f"{'all':{width}}  " + "  ".join(f"{sum(counts[split]):6d}" for split in SPLITS))


@_group.command()
def sample(
    data: Annotated[str, typer.Argument(help="Folder of pictures or shards, or elpv.")],
    out: Annotated[Path, typer.Option(help="Folder to write <class>/<image> into.")],
    count: Annotated[int, typer.Option(min=1, help="How many pictures.")] = 8,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    json: JsonOption = False,
) -> None:
    """Copy a few pictures of a split, drawn at random (seeded), to try a bundle on.

    Example: `edge-fgir data sample elpv --count 8 --out photos`
    """
    import random

    from edge_fgir.data import SPLITS, open_data

    if split not in SPLITS:
        raise InputError(f"--split {split}", f"one of {', '.join(SPLITS)}")
    found = open_data(data)
    samples = found.split(split)
    copies = []
    for chosen in random.Random(0).sample(samples, min(count, len(samples))):
        copy = out / found.classes[chosen.label] / chosen.path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(chosen.read_bytes())
        copies.append(str(copy))
    if json:
        print_json(copies)
        return
    typer.echo(f"{len(copies)} {split} pictures of {found.name} in {out} ({found.licence})")


@_group.command()
def pack(
    data: Annotated[str, typer.Argument(help="Folder of pictures or shards, or elpv.")],
    out: Annotated[Path, typer.Option(help="New folder for the shards.")],
    shard_mb: Annotated[int, typer.Option(min=1, help="Size of a shard, megabytes.")] = 256,
    convert: Annotated[
        bool, typer.Option("--convert", help="Accept turned, transparent, 16-bit, CMYK files.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Write a data set as webdataset shards: few large files, for data too large for folders.

    The pictures' files go in unchanged, in a shuffled order that is always the same. What needs
    --convert here needs it wherever the shards are used.

    Example: `edge-fgir data pack photos --out shards`
    """
    from edge_fgir.data import open_data
    from edge_fgir.data import pack as write_shards

    card = write_shards(open_data(data, convert=convert), out, shard_mb * 1_000_000)
    shards = len(list(out.glob("*.tar")))
    if json:
        print_json({"out": str(out), "shards": shards, **card.model_dump()})
        return
    pictures = ", ".join(f"{count} {split}" for split, count in card.pictures.items())
    typer.echo(f"{pictures} pictures of {card.name} in {shards} shards in {out} ({card.licence})")
