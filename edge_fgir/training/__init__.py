"""Training: recipe and data in, run folder out."""

from edge_fgir.runs import Recipe, read_recipe
from edge_fgir.training.hooks import Finish, Hook
from edge_fgir.training.loop import Training, train
from edge_fgir.training.precision import autocast, resolve_precision
from edge_fgir.training.qat import QATResult, train_quantization_aware
from edge_fgir.training.ranking import rank_teachers
from edge_fgir.training.teachers import train_fingerprint, training_key

__all__ = [
    "Finish",
    "Hook",
    "QATResult",
    "Recipe",
    "Training",
    "autocast",
    "rank_teachers",
    "read_recipe",
    "resolve_precision",
    "train",
    "train_fingerprint",
    "train_quantization_aware",
    "training_key",
]
