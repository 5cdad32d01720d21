"""The built-in data set ``elpv``: electroluminescence photographs of solar cells.

2,624 grey pictures of 300 x 300 px from 44 modules, labelled by cell type and defect probability
(Buerhop et al. 2018; Deitsch et al. 2019), as packaged in ``elpv-dataset``.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from edge_fgir._errors import MissingExtraError
from edge_fgir.data.dataset import DataSet, Sample
from edge_fgir.data.split import SEED, stratified

LICENCE = "CC BY-NC-SA 4.0, non-commercial use only (elpv-dataset, ZAE Bayern)"

_GRADES = (0.0, 1 / 3, 2 / 3, 1.0)
_GRADE_NAMES = ("ok", "minor", "major", "defect")
_TYPES = ("mono", "poly")
_VAL_SHARE, _TEST_SHARE = 0.15, 0.25


def read_elpv() -> DataSet:
    """Read ``elpv``: 8 classes = mono/poly x 4 defect grades, train/val/test = 60/15/25 %.

    Raises:
        MissingExtraError: ``elpv-dataset`` is not installed.
    """
    spec = find_spec("elpv_dataset")
    if spec is None or spec.origin is None:
        raise MissingExtraError("elpv-dataset", "demo", "the built-in data set 'elpv'")
    root = Path(spec.origin).parent / "data"
    samples = [_sample(root, line) for line in (root / "labels.csv").read_text().splitlines()]
    labels = [sample.label for sample in samples]
    train, val, test = stratified(labels, [_VAL_SHARE, _TEST_SHARE], SEED)
    classes = tuple(f"{kind}-{grade}" for kind in _TYPES for grade in _GRADE_NAMES)
    return DataSet(
        name="elpv",
        licence=LICENCE,
        classes=classes,
        splits={
            "train": tuple(samples[i] for i in train),
            "val": tuple(samples[i] for i in val),
            "test": tuple(samples[i] for i in test),
        },
    )


def _sample(root: Path, line: str) -> Sample:
    file, probability, kind = line.split()
    grade = min(range(len(_GRADES)), key=lambda i: abs(_GRADES[i] - float(probability)))
    return Sample(root / file, _TYPES.index(kind) * len(_GRADES) + grade)
