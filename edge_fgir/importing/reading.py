"""What a kind of checkpoint is read as: a network, the names of its tensors, its pictures."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from edge_fgir.importing.names import Names
from edge_fgir.models import Network
from edge_fgir.runtime import Normalization, Preprocess


@dataclass(frozen=True)
class Reading:
    """A checkpoint understood.

    Attributes:
        network: What the weights are of.
        num_classes: Size of its head.
        names: Of its tensors.
        tensors: The authors' tensors, by their names.
        preprocess: From a photograph to the network's input, as the authors test.
        normalization: Behind it.
    """

    network: Network
    num_classes: int
    names: Names
    tensors: dict[str, Tensor] = field(repr=False)
    preprocess: Preprocess
    normalization: Normalization
