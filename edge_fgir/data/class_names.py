"""Class folders and what their names become."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_fgir._errors import InputError
from edge_fgir._text import label_problem
from edge_fgir.runtime import is_junk_folder, pictures_below

_TOOLS = (".thumb", ".ipynb", ".git", ".svn", ".cache", ".trash", ".@__thumb", ".appledouble")
"""How hidden folders begin that are no classes, thumbnails and copies among them."""

_SHOWN = 5


@dataclass(frozen=True)
class Folders:
    """The class folders of one split.

    Attributes:
        classes: Folder and class name of each, by name of the folder.
        notes: What is unusual about them.
    """

    classes: tuple[tuple[Path, str], ...]
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The class names, sorted, each once."""
        return tuple(sorted({name for _, name in self.classes}))

    def __iter__(self) -> Iterator[tuple[Path, str]]:
        return iter(self.classes)


def visible_folders(root: Path) -> list[Path]:
    """Return the folders in ``root`` that may be classes or splits, by name."""
    return sorted(
        path
        for path in root.iterdir()
        if path.is_dir() and path.name[0] != "." and not is_junk_folder(path.name)
    )


def hidden_classes(root: Path) -> list[str]:
    """Return the names of hidden folders in ``root`` that hold pictures and may be meant."""
    return sorted(
        path.name
        for path in root.iterdir()
        if path.is_dir()
        and path.name[0] == "."
        and not path.name.lower().startswith(_TOOLS)
        and pictures_below(path)
    )


def class_folders(folders: Iterable[Path]) -> Folders:
    """Return class folders with what their names become.

    A name is taken in its composed Unicode form, so that ``ü`` of macOS and of Linux is one class.

    Raises:
        InputError: A name cannot be a line of ``labels.txt``.
    """
    classes = tuple((folder, class_name(folder)) for folder in sorted(folders))
    names = [name for _, name in classes]
    return Folders(classes, (*_twins(names), *blank_ends(names)))


def class_name(folder: Path) -> str:
    """Return the class that a folder's name stands for.

    Raises:
        InputError: It cannot be a line of ``labels.txt``.
    """
    name = composed(folder.name)
    if (reason := label_problem(name)) is not None:
        raise InputError(
            f"class folder {folder.parent / ascii(name)} {reason}, so it cannot be a line of "
            "labels.txt",
            "one line of UTF-8 text",
            "rename the folder",
        )
    return name


def composed(name: str) -> str:
    """Return a name in its composed Unicode form."""
    return unicodedata.normalize("NFC", name)


def blank_ends(names: Iterable[str]) -> Iterator[str]:
    """Yield what to say of names that begin or end with a blank: at most one line."""
    odd = sorted({name for name in names if name != name.strip()})
    if len(odd) == 1:
        begins, ends = odd[0] != odd[0].lstrip(), odd[0] != odd[0].rstrip()
        where = " and ".join(["begins"] * begins + ["ends"] * ends)
        yield f"class {odd[0]!r} {where} with a blank"
    elif odd:
        more = f" and {len(odd) - _SHOWN} more" if len(odd) > _SHOWN else ""
        yield f"classes {', '.join(map(repr, odd[:_SHOWN]))}{more} begin or end with a blank"


def _twins(names: Iterable[str]) -> Iterator[str]:
    """Yield a note for names that a person would take for one."""
    names = list(names)
    for name, count in sorted(Counter(names).items()):
        if count > 1:
            yield f"{count} folders are called {name} in different Unicode forms: one class"
    alike: dict[str, list[str]] = {}
    for name in sorted(set(names)):
        alike.setdefault(" ".join(name.casefold().split()), []).append(name)
    for twins in alike.values():
        if len(twins) > 1:
            shown = " and ".join(map(repr, twins))
            yield f"classes {shown} differ by capital letters or blanks alone; are they one?"
