"""``edge-fgir data``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_fgir._errors import InputError
from edge_fgir.cli._app import JsonOption, app, echo, print_json
from edge_fgir.cli._choices import (
    SHOTS,
    DataArgument,
    ShotsOption,
    StrictOption,
    choose,
    shots_choice,
)

_group = typer.Typer(help="Data sets: what is in them, what is wrong with them, packing them.")
app.add_typer(_group, name="data", no_args_is_help=True)

_KINDS_SHOWN = 20


@_group.command()
def stats(
    data: DataArgument,
    strict: StrictOption = False,
    shots: ShotsOption = SHOTS,
    plot: Annotated[
        Path | None, typer.Option(help="Also draw the class sizes into this .svg or .png file.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Check every picture's header, count pictures by class and split, and say how uneven they are.

    Example: `edge-fgir data stats elpv --plot sizes.svg`
    """
    from dataclasses import asdict

    from edge_fgir.data import SPLITS, ClassSizes, open_data
    from edge_fgir.evaluation import GROUPS, Shots

    found = open_data(data, strict=strict)
    counts = {split: found.counts(split) for split in SPLITS}
    learned = Shots(tuple(counts["train"]), *shots_choice(shots))
    sizes = ClassSizes.of(counts["train"]) if any(counts["train"]) else None
    if plot is not None:
        if sizes is None:
            raise InputError(f"--plot: {found.name} has no training pictures", "a train split")
        from edge_fgir.reporting import save_class_sizes

        save_class_sizes(plot, found.name, learned)
    if json:
        by_class = [
            {
                "name": name,
                **{split: counts[split][i] for split in SPLITS},
                "group": learned.groups[i],
            }
            for i, name in enumerate(found.classes)
        ]
        groups = {
            name: {"train_images": learned.ranges[name], "classes": learned.groups.count(name)}
            for name in GROUPS
        }
        print_json(
            {
                **found.info.model_dump(),
                "classes": by_class,
                "train": sizes and asdict(sizes),
                "groups": groups,
            }
        )
        return
    width = max(len(name) for name in found.classes)
    echo(f"{found.name}: {found.licence}")
    echo(f"{'':{width}}  " + "  ".join(f"{split:>6}" for split in SPLITS))
    for i, name in enumerate(found.classes):
        echo(f"{name:{width}}  " + "  ".join(f"{counts[split][i]:6d}" for split in SPLITS))
    echo(f"{'all':{width}}  " + "  ".join(f"{sum(counts[split]):6d}" for split in SPLITS))
    if sizes is None:
        return
    echo(
        f"train: {sizes.smallest} to {sizes.largest} pictures a class, mean {sizes.mean:.1f}, "
        f"median {sizes.quantiles['50 %']:g}; imbalance ratio {sizes.imbalance:.1f}, "
        f"Gini {sizes.gini:.2f}"
    )
    echo(
        "classes by training pictures: "
        + ", ".join(
            f"{learned.groups.count(name)} {name} ({learned.ranges[name]})" for name in GROUPS
        )
    )


@_group.command()
def check(
    data: DataArgument,
    strict: StrictOption = False,
    min_images: Annotated[
        int, typer.Option(min=0, help="Fewest pictures of a class, in all splits together.")
    ] = 20,
    distance: Annotated[
        int,
        typer.Option(
            min=0,
            max=15,
            help="Bits of 128 in which the hashes of two look-alikes may differ; 0 to 2 where all "
            "pictures are much alike.",
        ),
    ] = 8,
    json: JsonOption = False,
) -> None:
    """Decode every picture and list what is wrong: a picture in two splits, unreadable files,
    classes with too few pictures or none in a split, wrong paths. Exit code 1 if anything is.

    Example: `edge-fgir data check photos`
    """
    from collections import Counter
    from dataclasses import asdict

    from edge_fgir.data import check_data

    found = check_data(data, strict=strict, min_images=min_images, distance=distance)
    pictures = sum(map(len, found.data.splits.values()))
    problems = found.problems
    kinds = Counter(problem.kind for problem in problems)
    if json:
        print_json(
            {
                "ok": not problems,
                "name": found.data.name,
                "pictures": pictures,
                "counts": kinds,
                "problems": [asdict(problem) for problem in problems],
                "notes": found.data.reading.notes,
            }
        )
    else:
        for note in found.data.reading.notes:
            echo(f"note: {note}")
        for kind, count in kinds.items():
            for problem in [one for one in problems if one.kind == kind][:_KINDS_SHOWN]:
                echo(f"{kind}: {problem.message}")
            if count > _KINDS_SHOWN:
                echo(f"{kind}: {count - _KINDS_SHOWN} more; --json lists all")
        total = ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "nothing wrong"
        echo(f"{found.data.name}, {pictures} pictures: {total}")
    if problems:
        raise typer.Exit(1)


@_group.command()
def sample(
    data: DataArgument,
    out: Annotated[Path, typer.Option(help="Folder to write <class>/<image> into.")],
    count: Annotated[int, typer.Option(min=1, help="How many pictures.")] = 8,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    json: JsonOption = False,
) -> None:
    """Copy a few pictures of a split, drawn at random (seeded), to try a bundle on.

    Example: `edge-fgir data sample elpv --count 8 --out photos`
    """
    from edge_fgir.data import SPLITS, copy_excerpt, open_data

    part = choose("--split", split, SPLITS)
    opened = open_data(data)
    copies = [str(copy) for copy in copy_excerpt(opened, part, count, out)]
    if json:
        print_json(copies)
        return
    echo(f"{len(copies)} {split} pictures of {opened.name} in {out} ({opened.licence})")


@_group.command()
def pack(
    data: DataArgument,
    out: Annotated[Path, typer.Option(help="New folder for the shards.")],
    shard_mb: Annotated[int, typer.Option(min=1, help="Size of a shard, megabytes.")] = 256,
    strict: StrictOption = False,
    json: JsonOption = False,
) -> None:
    """Write a data set as webdataset shards: few large files, for data too large for folders.

    The pictures' files go in unchanged, in a shuffled order that is always the same.

    Example: `edge-fgir data pack photos --out shards`
    """
    from edge_fgir.data import open_data
    from edge_fgir.data import pack as write_shards

    card = write_shards(open_data(data, strict=strict), out, shard_mb * 1_000_000)
    shards = len(list(out.glob("*.tar")))
    if json:
        print_json({"out": str(out), "shards": shards, **card.model_dump()})
        return
    pictures = ", ".join(f"{count} {split}" for split, count in card.pictures.items())
    echo(f"{pictures} pictures of {card.name} in {shards} shards in {out} ({card.licence})")
