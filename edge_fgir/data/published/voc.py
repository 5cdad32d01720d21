"""Pascal VOC's annotations, an XML file a picture, where the boxes of a picture are of one class.

    JPEGImages/, Annotations/           or images/, annotations/, and as label_files.py lists
    ImageSets/Main/train.txt, val.txt   (or trainval.txt), test.txt: names of pictures, no ending

Source: "The PASCAL Visual Object Classes Challenge 2012 Development Kit" (Everingham and Winn).
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from edge_fgir._errors import InputError
from edge_fgir.data.dataset import SPLITS, DataSet, Split
from edge_fgir.data.published.boxes import not_readable
from edge_fgir.data.published.label_files import (
    labelled_data,
    labelled_pictures,
    places,
)
from edge_fgir.data.texts import read_text

_KIND = "a Pascal VOC detection data set"
_FOLDERS = [("JPEGImages", "Annotations"), ("images", "annotations"), ("images", "Annotations")]
_LISTS = Path("ImageSets", "Main")
_LARGEST_BYTES = 4 << 20
_EXPECTED = "an annotation with objects that have a name"


def read(root: Path, strict: bool) -> tuple[DataSet, bool] | None:
    """Read Pascal VOC's annotations; None if ``root`` is laid out otherwise."""
    if not root.is_dir():
        return None
    layouts = places(root, _FOLDERS)
    pictures = labelled_pictures(layouts, ".xml")
    if not pictures:
        named = (place for layout in layouts for place in layout if place.pictures != place.labels)
        if any(place.pictures.name == _FOLDERS[0][0] and place.holds_pictures() for place in named):
            raise not_readable(root, _KIND, "no picture has a file of annotations")
        return None
    lists = _lists(root)
    return labelled_data(root, _KIND, pictures, _classes, lists, strict=strict)


def _lists(root: Path) -> dict[Split, Path]:
    """Return the list of each split."""
    files = {split: root / _LISTS / f"{split}.txt" for split in SPLITS}
    lists = {split: file for split, file in files.items() if file.is_file()}
    both = root / _LISTS / "trainval.txt"
    if "train" not in lists and both.is_file():
        lists["train"] = both
    return lists


def _classes(file: Path) -> set[str]:
    """Return the classes of a file of annotations."""
    text = read_text(file, _LARGEST_BYTES)
    # Entities, which can name files or grow without end, are declared nowhere else.
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise InputError(f"{file} declares a type of document", "plain XML")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise InputError(f"{file} is no XML ({error})", _EXPECTED) from error
    names = [(each.findtext("name") or "").strip() for each in root.findall("object")]
    if root.tag != "annotation" or not all(names):
        raise InputError(f"{file} is another XML or has an object without a name", _EXPECTED)
    return set(names)
