"""From a checkpoint to a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import save

from edge_fgir._errors import InputError
from edge_fgir._files import new_folder, read_utf8, write_atomic
from edge_fgir._run_files import RunFiles
from edge_fgir.importing.checkpoint import Checkpoint
from edge_fgir.importing.filling import filled
from edge_fgir.importing.kinds import KINDS
from edge_fgir.importing.settings import told
from edge_fgir.runs import ImportedFrom, Run, TrainedModel
from edge_fgir.runtime import DataInfo

_UNKNOWN = "unknown"


def import_checkpoint(
    path: Path, kind: str, labels: Path, out: Path, changes: Sequence[str] = ()
) -> Run:
    """Make a run folder of a checkpoint that the authors of a paper published.

    Args:
        path: The checkpoint, ``.pth`` or ``.safetensors``; no code in it is run.
        kind: One of :data:`KINDS`.
        labels: Class names in the order of the outputs, one a line.
        out: The folder to write; it must be new.
        changes: ``name=value`` texts for what neither tensors nor the file's settings tell.

    Raises:
        InputError: The checkpoint cannot be read, or is none of the kind; or labels do not fit its
            head; or ``out`` exists.
    """
    if kind not in KINDS:
        raise InputError(f"--as {kind}", f"one of {', '.join(KINDS)}")
    if out.exists():
        raise InputError(f"{out} exists", "a new folder", "choose another --out")
    names = _labels(labels)
    checkpoint = Checkpoint.read(path)
    family = KINDS[kind]
    settings = told(family.settings, checkpoint.config, changes)
    reading = family.read(checkpoint, settings)
    if reading.num_classes < 2:
        raise InputError(f"{path} tells {reading.num_classes} class", "a head of two or more")
    if len(names) != reading.num_classes:
        raise InputError(
            f"{labels} has {len(names)} labels",
            f"{reading.num_classes}, one a class of the head in {path}",
            "list them in the order of its outputs, one a line",
        )
    model = filled(reading, path)
    described = TrainedModel(
        name=path.stem,
        network=reading.network,
        num_classes=reading.num_classes,
        normalization=reading.normalization,
        preprocess=reading.preprocess,
        data=DataInfo(name=settings.dataset_name, licence=_UNKNOWN, hash=_UNKNOWN),
        imported=ImportedFrom(kind=kind, file=path.name, sha256=checkpoint.sha256),
    )
    with new_folder(out, replaces=RunFiles(out).model.name) as draft:
        run = Run(draft)
        state = {name: value.contiguous() for name, value in model.state_dict().items()}
        write_atomic(run.last_weights, save(state))
        run.write(described, names)
    return Run.open(out)


def _labels(path: Path) -> list[str]:
    """Return the lines of a file of labels.

    Raises:
        InputError: It is missing, is no text, or has an empty line or one twice.
    """
    text = read_utf8(path, "class names, one a line")
    names = [line.strip() for line in text.splitlines()]
    while names and not names[-1]:
        names.pop()
    if "" in names:
        raise InputError(f"{path}: line {names.index('') + 1} is empty", "a class name a line")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{path} has the label {twice} twice", "different class names")
    return names
