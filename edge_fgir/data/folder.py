"""Folders of class folders: ``train|val|test/<class>/<image>``, and plain ``<class>/<image>``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from edge_fgir._errors import InputError
from edge_fgir.data.class_names import Folders, class_folders, hidden_classes, visible_folders
from edge_fgir.data.dataset import LICENCE_UNKNOWN, SPLITS, DataSet, Sample, Split
from edge_fgir.data.reading import Reading, Skipped
from edge_fgir.data.split_names import SPLIT_NAMES, split_of
from edge_fgir.data.unsplit import shown, split_fairly
from edge_fgir.data.val_aside import with_val_aside
from edge_fgir.runtime import Listing, is_picture, list_pictures, other_files, pictures_below

_LAYOUT = "train/<class>/<image>, and the same under test (and val)"
_LAYOUTS = f"{_LAYOUT}, or <class>/<image>"


def read_folder(root: Path, *, strict: bool = False) -> tuple[DataSet, bool]:
    """Read a data set from folders.

    With a folder called ``train`` (or ``training``; ``valid``, ``validation`` and ``dev`` stand for
    ``val``, in any case of letters) these are the splits; without ``val``, 10 % of train is set
    aside, by class, seeded. Without such a folder every folder is a class, and its pictures are
    split by :func:`~edge_fgir.data.unsplit.split_fairly`.

    Returns:
        The data set, and whether every picture has been looked at.

    Raises:
        InputError: The folder is missing or empty, there are fewer than two classes, a class has no
            pictures, or a split holds a class that ``train`` does not.
    """
    if not root.is_dir():
        # Of --data=~/photos a shell leaves the tilde as it is.
        home = "write the folder out: ~ was not expanded" if root.parts[:1] == ("~",) else ""
        raise InputError(f"data folder {root} does not exist", _LAYOUT, home)
    return _read(root, root.resolve().name, strict=strict)


def _read(root: Path, name: str, *, strict: bool) -> tuple[DataSet, bool]:
    """Read the data set ``name``, whose folders lie in ``root``."""
    folders = visible_folders(root)
    splits = _split_folders(root, folders)
    for folder in splits.values():
        if not visible_folders(folder) and any(map(is_picture, folder.iterdir())):
            raise InputError(
                f"{folder} holds pictures and no folders of classes",
                _LAYOUTS,
                f"if {folder.name} is a class, rename its folder: the name means a split",
            )
    if "train" in splits:
        return _read_split_folders(root, name, splits, folders, strict=strict), False
    if len(folders) == 1 and _holds_folders_alone(folders[0]):
        # What an archive leaves when it is unpacked: a folder in a folder.
        return _read_inside(folders[0], name, _passed_over(root, folders[0]), strict=strict)
    listings = {folder: list_pictures(folder) for folder in folders}
    full = [folder for folder in folders if listings[folder].pictures]
    if len(full) == 1 and _holds_folders_alone(full[0]) and not splits:
        beside = [folder for folder in folders if folder != full[0]]
        # An empty folder is a class that waits for its pictures, not what is told about others'.
        if all(listings[folder].others and not listings[folder].problems for folder in beside):
            return _read_inside(full[0], name, _passed_over(root, full[0], beside), strict=strict)
    if splits or not any(listing.pictures for listing in listings.values()):
        raise InputError(f"{root / 'train'} does not exist", _LAYOUTS)
    return _read_class_folders(root, name, listings, strict=strict), True


def _read_inside(folder: Path, name: str, note: str, *, strict: bool) -> tuple[DataSet, bool]:
    """Read the data set ``name`` from a folder inside it, and say so."""
    data, looked_at = _read(folder, name, strict=strict)
    return data.read_as(Reading((note, *data.reading.notes), data.reading.skipped)), looked_at


def _holds_folders_alone(folder: Path) -> bool:
    """Say whether there are folders in a folder and, beside them, no pictures."""
    return bool(visible_folders(folder)) and not any(map(is_picture, folder.iterdir()))


def _passed_over(root: Path, inside: Path, beside: Sequence[Path] = ()) -> str:
    """Return what to say of a data set that is read from one of its folders."""
    note = f"read from {inside}"
    if beside:
        note += f"; no pictures in {shown([folder.name for folder in beside])}"
    if lists := sorted(path.name for place in (root, *beside) for path in place.glob("*.mat")):
        note += f"; MATLAB files, in which its split may be, are not read ({shown(lists)})"
    return note


def _split_folders(root: Path, folders: Iterable[Path]) -> dict[Split, Path]:
    """Return the folder of each split, among a data set's."""
    splits: dict[Split, Path] = {}
    for folder in folders:
        split = split_of(folder.name)
        if split is None:
            continue
        if split in splits:
            raise InputError(
                f"{root} holds {splits[split].name} and {folder.name}",
                f"one folder for {split}",
                "move the pictures into one of them",
            )
        splits[split] = folder
    return splits


def _read_split_folders(
    root: Path, name: str, splits: Mapping[Split, Path], folders: Iterable[Path], *, strict: bool
) -> DataSet:
    train = class_folders(visible_folders(splits["train"]))
    _check_classes(splits["train"], train, f"at least 2: {_LAYOUT}")
    samples: dict[Split, tuple[Sample, ...]] = {}
    reading = Reading(train.notes)
    all_listings: dict[Path, Listing] = {}
    for split in SPLITS:
        if split in splits:
            here = train if split == "train" else class_folders(visible_folders(splits[split]))
            listings = {folder: list_pictures(folder) for folder, _ in here}
            samples[split] = _read_split(splits[split], here, listings, train.names)
            all_listings |= listings
    reading = reading.skipping(_skipped(all_listings.values()))
    reading = reading.noting(*_listing_notes(splits.values(), all_listings))
    for folder in folders:
        if folder not in splits.values() and pictures_below(folder):
            reading = reading.noting(
                f"{folder.name} is no split ({', '.join(SPLIT_NAMES)}) and was not read"
            )
    data = DataSet(name, LICENCE_UNKNOWN, train.names, samples, strict=strict, reading=reading)
    return data if "val" in samples else with_val_aside(data, "a val folder")


def _skipped(listings: Iterable[Listing]) -> Iterator[Skipped]:
    for listing in listings:
        for path, error in listing.problems:
            yield Skipped(str(path), str(error))


def _listing_notes(roots: Iterable[Path], listings: Mapping[Path, Listing]) -> Iterator[str]:
    """Yield what is unusual about class folders and the folders ``roots`` that they lie in."""
    nested = [folder for folder, listing in listings.items() if listing.below]
    if nested:
        count = sum(listings[folder].below for folder in nested)
        yield (
            f"{count} pictures lie in folders inside class folders, such as {nested[0].name}, and "
            "belong to these classes"
        )
    yield from other_files(sum((listing.others for listing in listings.values()), Counter()))
    for folder in sorted({name for root in roots for name in hidden_classes(root)}):
        yield f"the hidden folder {folder} was passed over; rename it if it is a class"


def _check_classes(folder: Path, classes: Folders, expected: str) -> None:
    if len(classes.names) < 2:
        raise InputError(f"{folder} holds {len(classes.names)} class folders", expected)


def _read_split(
    root: Path, folders: Folders, listings: Mapping[Path, Listing], classes: tuple[str, ...]
) -> tuple[Sample, ...]:
    label_of = {name: label for label, name in enumerate(classes)}
    samples = []
    for folder, name in folders:
        if name not in label_of:
            raise InputError(
                f"{folder} is a class that train does not have", "the class names of train"
            )
        files = listings[folder].pictures
        if not files:
            if listings[folder].problems:
                raise listings[folder].problems[0][1]
            raise InputError(
                f"class folder {folder} holds no pictures",
                "at least one",
                "add pictures or remove the folder",
            )
        samples += [Sample(file, label_of[name]) for file in files]
    if not samples:
        raise InputError(f"{root} is empty", _LAYOUT)
    return tuple(samples)


def _read_class_folders(
    root: Path, name: str, listings: Mapping[Path, Listing], *, strict: bool
) -> DataSet:
    """Read ``<class>/<image>``, and split it."""
    classes = class_folders(folder for folder, listing in listings.items() if listing.pictures)
    _check_classes(root, classes, f"at least 2: {_LAYOUTS}")
    label_of = {name: label for label, name in enumerate(classes.names)}
    samples = [
        Sample(file, label_of[name])
        for folder, name in classes
        for file in listings[folder].pictures
    ]
    reading = Reading(classes.notes).noting(*_listing_notes([root], listings))
    reading = reading.skipping(_skipped(listings.values()))
    if empty := [folder.name for folder, listing in listings.items() if not listing.pictures]:
        reading = reading.noting(f"folders without pictures are no classes: {shown(empty)}")
    data = DataSet(name, LICENCE_UNKNOWN, classes.names, {}, strict=strict, reading=reading)
    return split_fairly(data, root, samples)
