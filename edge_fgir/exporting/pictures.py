"""Pictures that lie in a folder of no data set, as the device sees them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge_fgir._errors import InputError
from edge_fgir.exporting.spread import spread_evenly
from edge_fgir.runtime import Pixels, Preprocess, find_pictures, read_image


def pictures_in(folder: Path, preprocess: Preprocess, at_most: int | None = None) -> Pixels:
    """Read a folder's pictures, of whatever depth; bad ones are left out.

    Args:
        folder: Holds them.
        preprocess: Makes (S, S, 3) of each.
        at_most: Read no more than these, spread evenly over all; None: all.

    Raises:
        InputError: It holds none that can be read.
    """
    files = find_pictures(folder)
    if at_most is not None:
        files = [files[place] for place in spread_evenly(len(files), at_most)]
    pictures, problems = [], []
    for file in files:
        try:
            pictures.append(preprocess.apply(read_image(file, convert=True)))
        except InputError as error:
            problems.append(error)
    if not pictures:
        raise problems[0]
    return np.stack(pictures)
