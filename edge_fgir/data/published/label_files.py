"""Pictures with a file of labels each, as programs write them in which boxes are drawn.

    images/train/a.jpg, labels/train/a.txt     and the same under val and test
    train/images/a.jpg, train/labels/a.txt     and the same under valid and test
    images/a.jpg, labels/a.txt                 in no split
    train/a.jpg, train/a.txt                   side by side, in splits or in none

The folders' names and the files' ending are those of the kind of labels.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from edge_fgir._errors import InputError
from edge_fgir._paths import with_slashes
from edge_fgir.data.dataset import DataSet, Split
from edge_fgir.data.listed import listed_data
from edge_fgir.data.published.boxes import Boxed, of_one_class
from edge_fgir.data.reading import Skipped, refuse
from edge_fgir.data.split_names import split_folders
from edge_fgir.data.texts import read_text
from edge_fgir.runtime import is_picture, list_pictures


class Labelled(NamedTuple):
    """A picture and its labels.

    Attributes:
        picture: Its file.
        labels: The file of its labels, which need not be there.
        split: Where the data set puts it; None: nowhere.
        problem: Why it cannot be looked at; empty if it can.
    """

    picture: Path
    labels: Path
    split: Split | None
    problem: str = ""


class Place(NamedTuple):
    """A folder of pictures, the folder of their labels, which may be the same, and their split."""

    pictures: Path
    labels: Path
    split: Split | None

    def holds_pictures(self) -> bool:
        """Say whether pictures lie in the folder itself."""
        return self.pictures.is_dir() and any(map(is_picture, self.pictures.iterdir()))

    def may_be(self, ending: str) -> bool:
        """Say whether files of labels may lie there; looks at no more than names."""
        if self.pictures != self.labels:
            return self.labels.is_dir()
        files = self.labels.iterdir() if self.labels.is_dir() else ()
        return any(path.name.endswith(ending) for path in files)

    def labelled(self, ending: str) -> Iterator[Labelled]:
        """Yield its pictures; side by side with labels, those of this folder alone."""
        if not self.pictures.is_dir():
            return
        if self.pictures == self.labels:
            found = [(path, "") for path in sorted(filter(is_picture, self.pictures.iterdir()))]
        else:
            listing = list_pictures(self.pictures)
            found = [(path, "") for path in listing.pictures]
            found += [(path, str(problem)) for path, problem in listing.problems]
        for path, problem in found:
            inside = path.relative_to(self.pictures).with_suffix(ending)
            yield Labelled(path, self.labels / inside, self.split, problem)


def places(root: Path, names: Sequence[tuple[str, str]]) -> list[list[Place]]:
    """Return where the pictures of a data set and their labels may lie: layouts, most likely first.

    Args:
        root: The data set.
        names: What folders of pictures and of labels are called.
    """
    splits = list(split_folders(root))
    layouts = []
    for pictures, labels in names:
        inner = split_folders(root / pictures)
        layouts += [
            [Place(folder, root / labels / folder.name, split) for folder, split in inner],
            [Place(folder / pictures, folder / labels, split) for folder, split in splits],
            [Place(root / pictures, root / labels, None)],
        ]
    layouts.append([Place(folder, folder, split) for folder, split in splits])
    return [*layouts, [Place(root, root, None)]]


def labelled_pictures(layouts: Iterable[Sequence[Place]], ending: str) -> list[Labelled]:
    """Return the pictures of the first layout in which one has a file of labels; none: none."""
    for layout in layouts:
        if any(place.may_be(ending) for place in layout):
            found = [each for place in layout for each in place.labelled(ending)]
            if any(each.labels.is_file() for each in found):
                return found
    return []


def labelled_data(
    root: Path,
    kind: str,
    pictures: Sequence[Labelled],
    read_classes: Callable[[Path], Collection[str]],
    lists: Mapping[Split, Path],
    *,
    strict: bool,
) -> tuple[DataSet, bool]:
    """Make a data set of the pictures whose labels are all of one class.

    Args:
        root: The data set.
        kind: What it is called.
        pictures: Its pictures.
        read_classes: Returns the classes of a file of labels, each once.
        lists: Of each split, the list of its pictures, which counts instead of the folders'
            names; empty where there are none.
        strict: As :func:`~edge_fgir.data.open_data` takes it.

    Returns:
        The data set, and whether every picture has been looked at.

    Raises:
        InputError: Most files of labels cannot be read, or the pictures show fewer than two
            classes; with ``strict``, one cannot be read.
    """
    pictures, broken, notes = _listed(pictures, lists) if lists else (pictures, [], [])
    boxed = []
    for picture, labels, split, problem in pictures:
        try:
            if problem:
                raise InputError(problem)
            classes = read_classes(labels) if labels.is_file() else ()
        except InputError as error:
            broken.append(Skipped(str(picture), str(error)))
        else:
            boxed.append(Boxed(picture.relative_to(root).as_posix(), classes, split))
    refuse(broken, len(boxed) + len(broken), strict=strict)
    rows, others = of_one_class(root, kind, boxed)
    return listed_data(
        root.name, root, rows, strict=strict, notes=[*notes, *others], skipped=broken
    )


def _listed(
    pictures: Sequence[Labelled], lists: Mapping[Split, Path]
) -> tuple[Sequence[Labelled], list[Skipped], list[str]]:
    """Return the pictures that lists name, what they name that is not there, and a note."""
    # Names of lists are looked up among the pictures, so that none leads elsewhere.
    by_name: dict[str, list[Labelled]] = {}
    for each in pictures:
        for name in {each.picture.stem, each.picture.name}:
            by_name.setdefault(name, []).append(each)
    listed: list[Labelled] = []
    missing: list[Skipped] = []
    for split, file in lists.items():
        for number, line in enumerate(read_text(file).splitlines(), 1):
            if path := line.strip():
                parts = with_slashes(path).split("/")
                found = _of_the_longest_end(by_name.get(parts[-1], []), parts)
                if len(found) == 1:
                    listed.append(found[0]._replace(split=split))
                else:
                    what = f"which {len(found)} pictures are" if found else "which is not there"
                    reason = f"line {number} of {file} names {path[:80]!r}, {what}"
                    missing.append(Skipped(path, reason, "path"))
    count = len({each.picture for each in pictures} - {each.picture for each in listed})
    names = " and ".join(file.name for file in lists.values())
    return listed, missing, [f"{count} pictures are in none of {names}: not read"] * (count > 0)


def _of_the_longest_end(pictures: Sequence[Labelled], parts: Sequence[str]) -> list[Labelled]:
    """Return those of some pictures of one name whose folders agree with a path's the furthest.

    Cameras name their frames alike, and a list may be of another machine's folders.
    """

    def agreeing(each: Labelled) -> int:
        pairs = zip(reversed(each.picture.parts[:-1]), reversed(parts[:-1]), strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

    most = max(map(agreeing, pictures), default=0)
    return [each for each in pictures if agreeing(each) == most]
