"""Pictures that a bundle carries: some of the validation split, or those of a folder."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from targets import loosened

from edge_fgir._errors import InputError
from edge_fgir.data import open_data
from edge_fgir.exporting import ExportOptions, export
from edge_fgir.runtime import Bundle, verify

pytestmark = pytest.mark.export


def carried(bundle: Bundle) -> list[np.ndarray]:
    files = [each.file for each in bundle.golden.images]
    return [np.asarray(Image.open(io.BytesIO(bundle.read(f"golden/{file}")))) for file in files]


def colored(folder: Path, count: int) -> Path:
    folder.mkdir()
    for index in range(count):
        Image.new("RGB", (48, 40), (9 * index, 99, 199)).save(folder / f"{index:02d}.png")
    return folder


def test_a_bundle_carries_the_pictures_of_a_folder_alone(
    tiny_run: Path, photos: Path, tmp_path: Path
) -> None:
    options = ExportOptions(precision="fp32", golden=colored(tmp_path / "ours", 20))
    data, out = open_data(str(photos)), tmp_path / "x.fgir"
    bundle = export(tiny_run, loosened("openvino"), data, out, options)
    found = carried(bundle)
    assert len(found) == 16
    reds = [int(pixels[16, 16, 0]) for pixels in found]
    assert reds[0] == 0
    assert reds[-1] == 9 * 19
    assert all((pixels == (red, 99, 199)).all() for pixels, red in zip(found, reds, strict=True))
    assert all(check.ok for check in verify(out))
    assert bundle.calibration.validation_images == len(data.split("val"))


def test_a_folder_that_has_no_pictures_is_told_before_anything_is_made(
    tiny_run: Path, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    for name, finding in (("empty", "holds no pictures"), ("none", "does not exist")):
        told: list[object] = []
        options = ExportOptions(precision="fp32", golden=tmp_path / name)
        with pytest.raises(InputError, match=finding):
            export(
                tiny_run,
                loosened("openvino"),
                open_data(str(photos)),
                tmp_path / "x.fgir",
                options,
                told.append,
            )
        assert told == []
