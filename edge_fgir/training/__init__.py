"""Training: recipe and data in, run folder out."""

from edge_fgir.runs import Recipe, read_recipe
from edge_fgir.training.hooks import Hook
from edge_fgir.training.loop import Training, train
from edge_fgir.training.qat import QATResult, train_quantization_aware
from edge_fgir.training.ranking import rank_teachers
from edge_fgir.training.teachers import train_fingerprint

__all__ = [
    "Hook",
    "QATResult",
    "Recipe",
    "Training",
    "rank_teachers",
    "read_recipe",
    "train",
    "train_fingerprint",
    "train_quantization_aware",
]
