"""Importing what others trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_fgir import importing
from edge_fgir.runs import Run


def import_checkpoint(
    checkpoint: Path | str,
    kind: str,
    labels: Path | str,
    out: Path | str,
    *,
    changes: Sequence[str] = (),
) -> Run:
    """Make a run folder of a published checkpoint, as ``edge-fgir import`` does.

    Example::

        import edge_fgir as ef

        run = ef.import_checkpoint("cub_lrnet14.pth", "tgda", "labels.txt", "runs/lrnet14")
        print(run.labels, run.description.preprocess.size)

    Args:
        checkpoint: The file, ``.pth`` or ``.safetensors``; no code in it is run.
        kind: Whose it is: ``tgda``, ``clca``, ``glsim`` or ``ila``.
        labels: A file of class names in the order of the outputs, one a line.
        out: The run folder to write; it must be new.
        changes: ``name=value`` texts for what neither tensors nor the file's settings tell.

    Raises:
        InputError: The checkpoint cannot be read or is none of the kind, or labels do not fit it.
    """
    return importing.import_checkpoint(Path(checkpoint), kind, Path(labels), Path(out), changes)
