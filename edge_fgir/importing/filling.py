"""A network filled with the tensors of a checkpoint, every one of them accounted for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from torch import Tensor, nn

from edge_fgir._errors import InputError
from edge_fgir.importing.reading import Reading

_COUNTER = "num_batches_tracked"


def filled(reading: Reading, file: Path) -> nn.Module:
    """Return the network that a reading describes with its weights, in evaluation mode.

    Args:
        reading: Of the file.
        file: For messages.

    Raises:
        InputError: A tensor is missing, too many, or has another shape; the first of each is named
            as the authors name it.
    """
    model = reading.network.build(reading.num_classes, reading.preprocess.size)
    own, given = model.state_dict(), reading.names.renamed(reading.tensors)
    for name in own.keys() & given.keys():
        if _same_but_for_ones(own[name], given[name]):
            given[name] = given[name].reshape(own[name].shape)
    # BatchNorm counts its batches for a momentum that none of these networks has; of a ViTFS
    # without registers, the authors store none, not an empty tensor.
    given = {n: own[n] for n in own if n.endswith(_COUNTER) or not own[n].numel()} | given
    shaped = [name for name in own if name in given and own[name].shape != given[name].shape]
    wrong = [
        *_first("{} is missing", (n for n in own if n not in given), own, reading),
        *_first("{} is not of it", (n for n in given if n not in own), given, reading),
        *(
            f"{reading.names.theirs(name)} has shape {_shape(given[name])} "
            f"instead of {_shape(own[name])}"
            for name in shaped[:1]
        ),
    ]
    if wrong:
        kind = type(model).__name__
        raise InputError(
            f"{file} does not hold the {kind} that it seems to hold: {'; '.join(wrong)}",
            f"the tensors of {reading.network.name} for {reading.num_classes} classes at "
            f"{reading.preprocess.size} px",
            "if its settings are others, name them with --set",
        )
    model.load_state_dict(given)
    return model.eval()


def _first(
    text: str, names: Iterable[str], tensors: dict[str, Tensor], reading: Reading
) -> list[str]:
    first, *rest = [*names, ""]
    if not first:
        return []
    more = f" (and {len(rest) - 1} more)" if len(rest) > 1 else ""
    return [text.format(f"{reading.names.theirs(first)} {_shape(tensors[first])}") + more]


def _same_but_for_ones(one: Tensor, other: Tensor) -> bool:
    """Whether two shapes differ in sides of 1 alone: a 1 x 1 convolution is a linear layer."""
    return [n for n in one.shape if n > 1] == [n for n in other.shape if n > 1]


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "()"
