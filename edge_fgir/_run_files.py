"""What lies where in a run folder: the only place that names its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_fgir._errors import InputError


@dataclass(frozen=True)
class RunFiles:
    """The files of a run folder, whether they exist or not. TensorBoard's lie beside them.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The resolved recipe."""
        return self.path / "config.yaml"

    @property
    def model(self) -> Path:
        """The description of the trained model."""
        return self.path / "model.json"

    @property
    def class_names(self) -> Path:
        """The class names in the order of the outputs, one a line."""
        return self.path / "labels.txt"

    @property
    def data_record(self) -> Path:
        """Which pictures it was trained on."""
        return self.path / "data.safetensors"

    @property
    def lock(self) -> Path:
        """Held by the process that trains it."""
        return self.path / ".lock"

    @property
    def last_weights(self) -> Path:
        """The weights after the last step."""
        return self.path / "weights.safetensors"

    @property
    def averaged_weights(self) -> Path:
        """Their exponential moving average, where the recipe asks for one."""
        return self.path / "ema.safetensors"

    @property
    def weights(self) -> Path:
        """The weights that are evaluated and exported: the averaged ones if there are any.

        Raises:
            InputError: The training has not finished.
        """
        for path in (self.averaged_weights, self.last_weights):
            if path.exists():
                return path
        raise InputError(
            f"{self.path} has no {self.last_weights.name}",
            "a finished training",
            "run: edge-fgir train ... --resume",
        )

    @property
    def state(self) -> Path:
        """All tensors that an interrupted training needs to go on."""
        return self.path / "state.safetensors"

    @property
    def position(self) -> Path:
        """The step that ``state`` is of, for people and scripts."""
        return self.path / "state.json"

    @property
    def metrics(self) -> Path:
        """Losses and validations, one JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def summary(self) -> Path:
        """The ``training`` result of a finished run."""
        return self.path / "summary.json"

    @property
    def crossed(self) -> Path:
        """Of a head on frozen features: logits (N, K) of the training pictures, by heads that have
        not seen them."""
        return self.path / "crossed.npy"

    @property
    def views(self) -> Path:
        """A picture of the views that a teacher makes of the first batch."""
        return self.path / "pictures" / "views.png"

    @property
    def caches(self) -> Path:
        """Where a teacher's answers are kept by default."""
        return self.path / "cache"

    @property
    def profile(self) -> Path:
        """What the profiler has measured of it."""
        return self.path / "profile"

    @property
    def quantization_aware(self) -> Path:
        """Where runs lie that went on from this one by quantization-aware training."""
        return self.path / "int8"
