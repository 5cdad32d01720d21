"""Training: recipe and data in, run folder out."""

from edge_fgir.runs import Recipe, read_recipe
from edge_fgir.training.hooks import Hook
from edge_fgir.training.loop import Training, train
from edge_fgir.training.qat import QATResult, train_quantization_aware

__all__ = [
    "Hook",
    "QATResult",
    "Recipe",
    "Training",
    "read_recipe",
    "train",
    "train_quantization_aware",
]
